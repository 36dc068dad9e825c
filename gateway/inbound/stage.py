"""The first statement of a landing: journal what is new, and find for each event its person and open conversation.

One statement for a whole set, since on most machines the way to the database costs more than the work there.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from gateway.inbound.arrivals import Arrival, is_journaled
from gateway.inbound.people import Key, Person, key_of, surest
from shared.ids import CONTACT, show_id

# The conversation's row is locked: its numbers are about to move. Two transactions that open or make the same thing
# at once are told apart by the unique constraints, and the later one starts again. The journal is written in the same
# order by everyone, so that nobody waits in a circle; of copies in one set the first counts, since it has the place.
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
        FROM t WHERE dedupe IS NOT NULL ORDER BY dedupe, n
        ON CONFLICT (shop_id, channel_id, dedupe) DO NOTHING
        RETURNING id
    )
    SELECT t.n, t.dedupe IS NULL OR j.id IS NOT NULL AS fresh, now() AS now,
           i.id AS identity_id, i.contact_id, i.name, i.phone, i.blocked_at,
           c.id, c.status, c.closed_at, c.last_seq, c.unread, c.waiting_since
    FROM t LEFT JOIN j ON j.id = t.number
    LEFT JOIN LATERAL (
        SELECT i.id, i.contact_id, i.blocked_at, p.name, p.phone
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
    """What the first statement told: the fresh events, who is behind them, and the rows of their conversations.

    `held` are fresh too, and kept in quarantine. `blocked` are those among the people who had blocked us.
    """

    now: datetime
    fresh: list[Arrival] = field(default_factory=list)
    held: list[Arrival] = field(default_factory=list)
    people: dict[Key, Person] = field(default_factory=dict)
    conversations: dict[tuple[uuid.UUID, str], Any] = field(default_factory=dict)
    blocked: set[Key] = field(default_factory=set)
    ordered: bool = False
    """Whether files are to be fetched."""


async def stage(raw: Any, arrivals: Sequence[Arrival]) -> Staged:
    """Journal and look up. What is journaled already counts as fresh: it never landed."""
    record = [is_journaled(arrival.event) and not arrival.journaled for arrival in arrivals]
    addresses = [arrival.event.address for arrival in arrivals]
    rows = await raw.fetch(
        STAGE,
        [a.channel.shop_id for a in arrivals],
        [a.number for a in arrivals],
        [a.channel.id for a in arrivals],
        [a.dedupe if wanted else None for a, wanted in zip(arrivals, record, strict=True)],
        [a.event.kind for a in arrivals],
        ["quarantined" if a.held else "processed" for a in arrivals],
        [a.held.model_dump_json() if a.held else None for a in arrivals],
        [a.event.model_dump_json() if a.held else None for a in arrivals],
        [a.event.raw for a in arrivals],
        [address.channel for address in addresses],
        [address.account for address in addresses],
        [surest(arrival.event) for arrival in arrivals],
        [address.thread or "" for address in addresses],
    )
    return collect(arrivals, rows)


def collect(arrivals: Sequence[Arrival], rows: Sequence[Any]) -> Staged:
    staged = Staged(rows[0]["now"])
    for arrival, row in zip(arrivals, rows, strict=True):
        if not row["fresh"]:
            continue
        if arrival.held is not None:
            staged.held.append(arrival)
            continue
        staged.fresh.append(arrival)
        contact_id = row["contact_id"]
        if contact_id is not None:
            key = key_of(arrival)
            if key not in staged.people:
                staged.people[key] = Person(
                    key[0], row["identity_id"], contact_id, row["name"], show_id(CONTACT, contact_id), row["phone"]
                )
                if row["blocked_at"] is not None:
                    staged.blocked.add(key)
            if row["id"] is not None:
                staged.conversations[contact_id, arrival.event.address.thread or ""] = row
    return staged
