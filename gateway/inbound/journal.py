"""The raw journal: every provider's own words, beside what we made of them. received = processed + quarantined."""

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from gateway.events.feed import NewEvent, append
from gateway.inbound.arrivals import Arrival
from gateway.views import InboundView
from shared.events import Reason
from shared.ids import CHANNEL, INBOUND, show_id

INSERT: Final = """
    INSERT INTO journal (shop_id, id, channel_id, dedupe, kind, state, reason, event, raw)
    VALUES ($1, $2, $3, $4, $5, 'quarantined', $6::jsonb, $7, $8)
    ON CONFLICT (shop_id, channel_id, dedupe) DO NOTHING RETURNING id
"""
SET_ASIDE: Final = """
    UPDATE journal SET state = 'quarantined', reason = $3::jsonb, event = $4, processed_at = NULL
    WHERE shop_id = $1 AND id = $2
"""
ACCEPT: Final = """
    UPDATE journal SET state = 'processed', reason = NULL, event = NULL, processed_at = now()
    WHERE shop_id = $1 AND id = $2 AND state = 'quarantined' RETURNING 1
"""


async def quarantine(connection: Any, arrival: Arrival, reason: Reason) -> None:
    """Keep an event that cannot be landed: whole, visible, and to be replayed. Ends in the feed."""
    event, channel = arrival.event, arrival.channel
    values = (channel.shop_id, arrival.number, channel.id, arrival.dedupe, event.kind)
    told = (reason.model_dump_json(), event.model_dump_json(), event.raw)
    if await connection.fetchval(INSERT, *values, *told) is not None:
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
