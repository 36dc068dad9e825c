"""The raw journal: every provider's own words, beside what we made of them. received = processed + quarantined."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from gateway.events.feed import NewEvent, append
from gateway.inbound.arrivals import Arrival, is_journaled
from gateway.views import InboundView
from shared.events import Reason, Undigested
from shared.ids import CHANNEL, INBOUND, show_id

INSERT: Final = """
    INSERT INTO journal (shop_id, id, channel_id, dedupe, kind, state, reason, event, raw, processed_at)
    SELECT shop_id, id, channel_id, dedupe, kind, state, reason::jsonb, event, raw,
           CASE WHEN state = 'processed' THEN now() END
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::bytea[]) AS t (shop_id, id, channel_id, dedupe, kind, state, reason, event, raw)
    ORDER BY dedupe
    ON CONFLICT (shop_id, channel_id, dedupe) DO NOTHING
    RETURNING id
"""
SET_ASIDE: Final = (
    "UPDATE journal SET state = 'quarantined', reason = $3::jsonb, event = $4 WHERE shop_id = $1 AND id = $2"
)
ACCEPT: Final = """
    UPDATE journal SET state = 'processed', reason = NULL, event = NULL, processed_at = now()
    WHERE shop_id = $1 AND id = $2 AND state = 'quarantined' RETURNING 1
"""


async def record(connection: Any, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Journal what is new and return it, in the same order; what was told before is left out."""
    journaled = [arrival for arrival in arrivals if is_journaled(arrival.event)]
    if not journaled:
        return list(arrivals)
    rows = await insert(connection, journaled)
    fresh = {row["id"] for row in rows}
    return [a for a in arrivals if a.number in fresh or not is_journaled(a.event)]


async def insert(connection: Any, arrivals: Sequence[Arrival], reason: Reason | None = None) -> Sequence[Any]:
    reasons = [reason or undigested_reason(arrival) for arrival in arrivals]
    rows: Sequence[Any] = await connection.fetch(
        INSERT,
        [a.channel.shop_id for a in arrivals],
        [a.number for a in arrivals],
        [a.channel.id for a in arrivals],
        [a.dedupe for a in arrivals],
        [a.event.kind for a in arrivals],
        ["processed" if why is None else "quarantined" for why in reasons],
        [None if why is None else why.model_dump_json() for why in reasons],
        [None if why is None else a.event.model_dump_json() for a, why in zip(arrivals, reasons, strict=True)],
        [a.event.raw for a in arrivals],
    )
    return rows


def undigested_reason(arrival: Arrival) -> Reason | None:
    return arrival.event.reason if isinstance(arrival.event, Undigested) else None


async def quarantine(connection: Any, arrival: Arrival, reason: Reason) -> None:
    """Keep an event that cannot be landed: whole, visible, and to be replayed. Ends in the feed."""
    if await insert(connection, [arrival], reason):
        await append(connection, [quarantined_event(arrival, reason)])


async def set_aside(connection: Any, arrival: Arrival, reason: Reason) -> NewEvent:
    """Quarantine an event whose journal row was written in this transaction."""
    await connection.execute(
        SET_ASIDE, arrival.channel.shop_id, arrival.number, reason.model_dump_json(), arrival.event.model_dump_json()
    )
    return quarantined_event(arrival, reason)


async def accept(connection: Any, shop_id: uuid.UUID, number: uuid.UUID) -> bool:
    """Take an event out of quarantine; False if someone else has."""
    return await connection.fetchval(ACCEPT, shop_id, number) is not None


def quarantined_event(arrival: Arrival, reason: Reason) -> NewEvent:
    view = InboundView(
        id=show_id(INBOUND, arrival.number),
        channel=show_id(CHANNEL, arrival.channel.id),
        state="quarantined",
        kind=arrival.event.kind,
        reason=reason.model_dump(),
        received_at=datetime.now(UTC),
        processed_at=None,
        event=None,
        raw=None,
    )
    return NewEvent(arrival.channel.shop_id, "inbound.quarantined", view.model_dump_json())
