"""Append to a shop's feed and read it.

Positions are handed out under one lock per shop, taken last in a transaction and held until its commit. So whoever sees
position n has been able to see every one before it: no late commit can be skipped, and a hole is impossible.
(Cursors by transaction id were the alternative: ADR 0004 says why not.)
"""

import struct
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from gateway.files.links import Links
from gateway.problems import Problem
from shared.ids import CONVERSATION, EVENT, SHOP, new_uuid, show_id
from shared.model import show_time
from shared.signing import BadToken, b64, hmac_sha256, unb64

APPEND_CTE: Final = """
    moved AS (
        UPDATE feeds f SET position = f.position + c.events
        FROM (SELECT shop_id, count(*) AS events FROM unnest($1::uuid[]) AS t (shop_id) GROUP BY shop_id) c
        WHERE f.shop_id = c.shop_id
        RETURNING f.shop_id, f.position - c.events AS base
    )
    INSERT INTO events (shop_id, position, id, type, conversation_id, contact_id, message_id, data)
    SELECT e.shop_id, m.base + row_number() OVER (PARTITION BY e.shop_id ORDER BY e.n),
           e.id, e.type, e.conversation_id, e.contact_id, e.message_id, e.data::json
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[]) WITH ORDINALITY
         AS e (shop_id, id, type, conversation_id, contact_id, message_id, data, n)
    JOIN moved m ON m.shop_id = e.shop_id
"""
APPEND: Final = f"WITH {APPEND_CTE}"
LOCK: Final = "SELECT 1 FROM feeds WHERE shop_id = ANY($1) ORDER BY shop_id FOR UPDATE"
READ: Final = """
    SELECT position, id, type, conversation_id, at, data::text AS data FROM events
    WHERE shop_id = $1 AND position > $2 AND ($4::text[] IS NULL OR type = ANY($4))
    ORDER BY position LIMIT $3
"""
EDGES: Final = "SELECT position, oldest FROM feeds WHERE shop_id = $1"
CURSOR: Final = struct.Struct(">Q")
TAG_BYTES: Final = 6  # a cursor is no secret; the tag tells ours from a made-up one


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. `data` is JSON: the resource as the API shows it."""

    shop_id: uuid.UUID
    type: str
    data: str
    conversation_id: uuid.UUID | None = None
    contact_id: uuid.UUID | None = None
    message_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event as it was appended."""

    position: int
    id: uuid.UUID
    type: str
    shop_id: uuid.UUID
    conversation_id: uuid.UUID | None
    at: datetime
    data: str


async def append(connection: Any, events: Sequence[NewEvent]) -> None:
    """Append in this order, as the last statement before the commit: it holds the shop's feed until then."""
    if not events:
        return
    await lock_feeds(connection, {event.shop_id for event in events})
    await connection.execute(APPEND, *columns(events))


async def lock_feeds(connection: Any, shops: Collection[uuid.UUID]) -> None:
    """Several feeds are locked in one order, so that two transactions cannot wait for each other."""
    if len(shops) > 1:
        await connection.execute(LOCK, list(shops))


def columns(events: Sequence[NewEvent]) -> tuple[list[Any], ...]:
    """The parameters of `APPEND_CTE`."""
    return (
        [event.shop_id for event in events],
        [new_uuid() for _ in events],
        [event.type for event in events],
        [event.conversation_id for event in events],
        [event.contact_id for event in events],
        [event.message_id for event in events],
        [event.data for event in events],
    )


async def read(
    connection: Any, shop_id: uuid.UUID, *, after: int, limit: int, types: Sequence[str] | None = None
) -> list[FeedEvent]:
    """Up to `limit` events after a position, in order."""
    rows = await connection.fetch(READ, shop_id, after, limit, types)
    return [feed_event(shop_id, row) for row in rows]


def feed_event(shop_id: uuid.UUID, row: asyncpg.Record) -> FeedEvent:
    return FeedEvent(row["position"], row["id"], row["type"], shop_id, row["conversation_id"], row["at"], row["data"])


@dataclass(frozen=True)
class Edges:
    """The newest position and the oldest that is kept."""

    newest: int
    oldest: int


async def edges(connection: Any, shop_id: uuid.UUID) -> Edges:
    row = await connection.fetchrow(EDGES, shop_id)
    return Edges(row["position"], row["oldest"])


def show_cursor(key: bytes, shop_id: uuid.UUID, position: int) -> str:
    body = CURSOR.pack(position)
    return b64(body + hmac_sha256(key, shop_id.bytes + body)[:TAG_BYTES])


def read_cursor(key: bytes, shop_id: uuid.UUID, cursor: str) -> int:
    """The position in a cursor of this shop; raises `Problem`."""
    try:
        raw = unb64(cursor)
        (position,) = CURSOR.unpack(raw[: CURSOR.size])
    except (BadToken, struct.error):
        raise bad_cursor() from None
    if raw[CURSOR.size :] != hmac_sha256(key, shop_id.bytes + raw[: CURSOR.size])[:TAG_BYTES]:
        raise bad_cursor()
    assert isinstance(position, int)
    return position


def bad_cursor() -> Problem:
    return Problem("cursor_malformed", "This cursor is not from this shop's feed; use `next` of an earlier answer.")


def show_event(key: bytes, links: Links, event: FeedEvent) -> str:
    """The event as JSON, as feed, stream and webhooks show it."""
    conversation = f'"{show_id(CONVERSATION, event.conversation_id)}"' if event.conversation_id else "null"
    return (
        f'{{"id":"{show_id(EVENT, event.id)}","type":"{event.type}","at":"{show_time(event.at)}",'
        f'"shop":"{show_id(SHOP, event.shop_id)}","conversation":{conversation},'
        f'"cursor":"{show_cursor(key, event.shop_id, event.position)}","data":{links.json(event.shop_id, event.data)}}}'
    )
