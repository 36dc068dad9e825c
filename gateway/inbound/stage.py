"""The first statement of a landing: journal what is new, and find for each event its person and open conversation.

One statement for a whole set, since on most machines the way to the database costs more than the work there.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from gateway.inbound.arrivals import Arrival, is_journaled
from gateway.inbound.people import Key, Person, key_of
from shared.events import Undigested
from shared.ids import CONTACT, show_id

# The conversation's row is locked: its numbers are about to move. Two transactions that open or make the same thing
# at once are told apart by the unique constraints, and the later one starts again.
STAGE: Final = """
    WITH t AS MATERIALIZED (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                             $8::text[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::text[])
             WITH ORDINALITY
             AS t (shop_id, number, channel_id, dedupe, kind, state, reason, event, raw, channel_type, account, peer,
                   thread, n)
    ), j AS (
        INSERT INTO journal (shop_id, id, channel_id, dedupe, kind, state, reason, event, raw, processed_at)
        SELECT shop_id, number, channel_id, dedupe, kind, state, reason::jsonb, event, raw,
               CASE WHEN state = 'processed' THEN now() END
        FROM t WHERE dedupe IS NOT NULL ORDER BY dedupe
        ON CONFLICT (shop_id, channel_id, dedupe) DO NOTHING
        RETURNING id
    )
    SELECT t.n, t.dedupe IS NULL OR j.id IS NOT NULL AS fresh, now() AS now,
           i.id AS identity_id, i.contact_id, i.name,
           c.id, c.status, c.closed_at, c.last_seq, c.unread, c.waiting_since
    FROM t LEFT JOIN j ON j.id = t.number
    LEFT JOIN LATERAL (
        SELECT i.id, i.contact_id, p.name
        FROM identities i JOIN contacts p ON (p.shop_id, p.id) = (i.shop_id, i.contact_id)
        WHERE (i.shop_id, i.channel_type, i.account, i.peer) = (t.shop_id, t.channel_type, t.account, t.peer)
    ) i ON true
    LEFT JOIN LATERAL (
        SELECT * FROM conversations c
        WHERE (c.shop_id, c.contact_id, c.thread) = (t.shop_id, i.contact_id, t.thread)
        ORDER BY c.status = 'closed', c.id DESC LIMIT 1 FOR UPDATE
    ) c ON true
    ORDER BY t.n
"""


@dataclass(slots=True)
class Staged:
    """What the first statement told: the fresh events, who is behind them, and the rows of their conversations."""

    now: datetime
    fresh: list[Arrival]
    people: dict[Key, Person]
    conversations: dict[tuple[uuid.UUID, str], Any]


async def stage(raw: Any, arrivals: Sequence[Arrival], *, journaled: bool) -> Staged:
    """Journal and look up. `journaled`: the rows of the journal exist, and all events count as fresh."""
    record = [is_journaled(arrival.event) and not journaled for arrival in arrivals]
    undigested = [a.event if isinstance(a.event, Undigested) else None for a in arrivals]
    addresses = [arrival.event.address for arrival in arrivals]
    rows = await raw.fetch(
        STAGE,
        [a.channel.shop_id for a in arrivals],
        [a.number for a in arrivals],
        [a.channel.id for a in arrivals],
        [a.dedupe if wanted else None for a, wanted in zip(arrivals, record, strict=True)],
        [a.event.kind for a in arrivals],
        ["processed" if event is None else "quarantined" for event in undigested],
        [None if event is None else event.reason.model_dump_json() for event in undigested],
        [None if event is None else event.model_dump_json() for event in undigested],
        [a.event.raw for a in arrivals],
        [address.channel for address in addresses],
        [address.account for address in addresses],
        [address.peer for address in addresses],
        [address.thread or "" for address in addresses],
    )
    return collect(arrivals, rows)


def collect(arrivals: Sequence[Arrival], rows: Sequence[Any]) -> Staged:
    staged = Staged(rows[0]["now"], [], {}, {})
    for arrival, row in zip(arrivals, rows, strict=True):
        if not row["fresh"]:
            continue
        staged.fresh.append(arrival)
        contact_id = row["contact_id"]
        if contact_id is not None:
            key = key_of(arrival)
            if key not in staged.people:
                staged.people[key] = Person(
                    key[0], row["identity_id"], contact_id, row["name"], show_id(CONTACT, contact_id)
                )
            if row["id"] is not None:
                staged.conversations[contact_id, arrival.event.address.thread or ""] = row
    return staged
