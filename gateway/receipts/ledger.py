"""Write receipts to the ledger, whether or not their message is known yet, and bring the status up to date."""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations.store import messages_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.receipts import marks
from gateway.receipts.fold import Entry, Standing, fold_parts, worst
from gateway.receipts.line import Row
from gateway.receipts.matching import adopt
from gateway.receipts.mentions import told_lines
from gateway.receipts.outcomes import ShowChannel, finish
from gateway.receipts.parts import GENERATION, Key, save, save_degraded
from shared.events import Evidence, Reason, ReceiptReported, Status

# A line for a message that there is not, or not in this shop, is nobody's.
RECORD: Final = f"""
    INSERT INTO receipts (shop_id, message_id, channel_id, external_id, part, generation, attempt, status, evidence,
                          reason, occurred_at, account, peer, covers_earlier)
    SELECT t.shop_id, t.message_id, t.channel_id, t.external_id, t.part,
           CASE WHEN t.message_id IS NOT NULL THEN coalesce(t.generation, {GENERATION}) END,
           t.attempt, t.status, t.evidence, t.reason::jsonb, t.occurred_at, t.account, t.peer, t.covers_earlier
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::int[], $7::text[], $8::text[],
                $9::text[], $10::timestamptz[], $11::int[], $12::text[], $13::text[], $14::bool[]) WITH ORDINALITY
         AS t (shop_id, message_id, channel_id, external_id, part, attempt, status, evidence, reason, occurred_at,
               generation, account, peer, covers_earlier, n)
    LEFT JOIN messages m ON (m.shop_id, m.id) = (t.shop_id, t.message_id)
    WHERE t.message_id IS NULL OR m.id IS NOT NULL
    ORDER BY t.n
"""  # noqa: S608
LOCK: Final = """
    SELECT m.shop_id, m.id, m.status, m.evidence, m.generation, m.conversation_id, m.seq, m.external_id, c.contact_id
    FROM unnest($1::uuid[], $2::uuid[]) AS t (shop_id, id)
    JOIN messages m ON (m.shop_id, m.id) = (t.shop_id, t.id)
    JOIN conversations c ON (c.shop_id, c.id) = (m.shop_id, m.conversation_id)
    WHERE m.direction = 'out' ORDER BY m.id FOR UPDATE OF m
"""
LEDGER: Final = """
    SELECT message_id, status, evidence, part, generation, reason::text AS reason FROM receipts
    WHERE (shop_id, message_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
"""
PARTS: Final = """
    SELECT message_id, part, status FROM message_parts
    WHERE (shop_id, message_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
"""
SETTLE_PARTS: Final = """
    UPDATE message_parts p SET status = t.status
    FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[]) AS t (shop_id, message_id, part, status)
    WHERE (p.shop_id, p.message_id, p.part) = (t.shop_id, t.message_id, t.part)
"""
SETTLE: Final = """
    UPDATE messages m SET status = t.status, evidence = t.evidence, failure = t.failure::jsonb
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
         AS t (shop_id, id, status, evidence, failure)
    WHERE (m.shop_id, m.id) = (t.shop_id, t.id)
"""
READ_UP_TO: Final = """
    UPDATE conversations c SET contact_read_seq = t.seq
    FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS t (shop_id, id, seq)
    WHERE (c.shop_id, c.id) = (t.shop_id, t.id) AND c.contact_read_seq < t.seq
"""

RETRYABLE: Final = frozenset({"throttled", "unavailable", "deadline", "auth_expired", "resolved"})


@dataclass(slots=True)
class Applied:
    """What receipts led to: events, and channels that stand differently now."""

    events: list[NewEvent]
    changed_channels: set[uuid.UUID]


async def apply(connection: AsyncConnection, arrivals: Sequence[Arrival], show_channel: ShowChannel) -> Applied:
    """Take in receipts and outcomes; answer with the events of the messages whose status changed."""
    raw = await driver(connection)
    told, outcomes = sorted_out(arrivals)
    rows, carried = await told_lines(raw, told)
    finished = await finish(connection, outcomes, show_channel)
    rows += finished.lines
    carried += finished.carried
    await record(raw, rows)
    await save(raw, carried)
    await save_degraded(raw, finished.degraded)
    touched = {(row.shop_id, row.message_id) for row in rows if row.message_id}
    touched |= await take_over(raw, await adopt(raw, carried))
    return Applied(finished.events + await settle(connection, touched), finished.changed_channels)


def sorted_out(arrivals: Sequence[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
    """What providers tell, and how attempts of ours ended."""
    told: list[Arrival] = []
    outcomes: list[Arrival] = []
    for arrival in arrivals:
        assert isinstance(arrival.event, ReceiptReported)
        (told if arrival.event.outcome is None else outcomes).append(arrival)
    return told, outcomes


async def take_over(raw: Any, adopted: Sequence[Any]) -> set[Key]:
    """The messages of parked lines that found theirs, with those before a watermark that did."""
    rows = await marks.earlier_lines(raw, adopted)
    await record(raw, rows)
    found = {(row["shop_id"], row["message_id"]) for row in adopted}
    return found | {(row.shop_id, row.message_id) for row in rows if row.message_id}


async def record(raw: Any, rows: Sequence[Row]) -> None:
    if not rows:
        return
    await raw.execute(
        RECORD,
        [row.shop_id for row in rows],
        [row.message_id for row in rows],
        [row.channel_id for row in rows],
        [row.external_id for row in rows],
        [row.part for row in rows],
        [row.attempt for row in rows],
        [row.status for row in rows],
        [row.evidence for row in rows],
        [row.reason.model_dump_json() if row.reason else None for row in rows],
        [row.occurred_at for row in rows],
        [row.generation for row in rows],
        [row.account for row in rows],
        [row.peer for row in rows],
        [row.covers_earlier for row in rows],
    )


async def settle(connection: AsyncConnection, keys: Iterable[Key]) -> list[NewEvent]:
    """Fold the ledgers of these messages (shop, id) again; a `message.status` event for each that changed."""
    shops_and_ids = sorted(keys)
    if not shops_and_ids:
        return []
    raw = await driver(connection)
    messages = await raw.fetch(LOCK, *(list(column) for column in zip(*shops_and_ids, strict=True)))
    ledger, parts = await ledgers(raw, messages), await parts_of(raw, messages)
    changed, moved = [], []
    for message in messages:
        known = parts[message["id"]]
        standings = fold_parts(ledger[message["id"]], generation=message["generation"], parts=known)
        standing = worst(standings.values())
        lifted = [(message, part, standings[part].status) for part in known if known[part] != standings[part].status]
        moved += lifted
        if lifted or (standing.status, standing.evidence) != (message["status"], message["evidence"]):
            changed.append((message, standing))
    await save_standings(raw, changed)
    await save_parts(raw, moved)
    return await status_events(connection, [message for message, _ in changed])


async def ledgers(raw: Any, messages: Sequence[Any]) -> dict[uuid.UUID, list[Entry]]:
    """What is known of each message, as rows of `LOCK`."""
    entries: dict[uuid.UUID, list[Entry]] = {message["id"]: [] for message in messages}
    rows = await raw.fetch(LEDGER, [m["shop_id"] for m in messages], [m["id"] for m in messages])
    for row in rows:
        reason = Reason(**json.loads(row["reason"])) if row["reason"] else None
        status, evidence = Status(row["status"]), Evidence(row["evidence"])
        generation = 1 if row["generation"] is None else row["generation"]
        entries[row["message_id"]].append(Entry(status, evidence, row["part"], generation, reason))
    for message in messages:
        if message["external_id"] is not None:  # sent from elsewhere: that it went out is why we know of it
            entries[message["id"]].append(Entry(Status.SENT, Evidence.PROVIDER_RECEIPT))
    return entries


async def parts_of(raw: Any, messages: Sequence[Any]) -> dict[uuid.UUID, dict[int, str | None]]:
    """The parts of each message that have an id of the provider's, with the status in which they are shown."""
    parts: dict[uuid.UUID, dict[int, str | None]] = {message["id"]: {} for message in messages}
    rows = await raw.fetch(PARTS, [m["shop_id"] for m in messages], [m["id"] for m in messages])
    for row in rows:
        parts[row["message_id"]][row["part"]] = row["status"]
    return parts


async def save_parts(raw: Any, moved: Sequence[tuple[Any, int, Status]]) -> None:
    if moved:
        await raw.execute(
            SETTLE_PARTS,
            [message["shop_id"] for message, _, _ in moved],
            [message["id"] for message, _, _ in moved],
            [part for _, part, _ in moved],
            [status for _, _, status in moved],
        )


async def save_standings(raw: Any, changed: Sequence[tuple[Any, Standing]]) -> None:
    if not changed:
        return
    await raw.execute(
        SETTLE,
        [message["shop_id"] for message, _ in changed],
        [message["id"] for message, _ in changed],
        [standing.status for _, standing in changed],
        [standing.evidence for _, standing in changed],
        [failure_json(standing) for _, standing in changed],
    )
    read: dict[uuid.UUID, Any] = {}
    for message, standing in changed:
        best = read.get(message["conversation_id"])
        if standing.status is Status.READ and (best is None or best["seq"] < message["seq"]):
            read[message["conversation_id"]] = message
    if read:
        await raw.execute(
            READ_UP_TO,
            [message["shop_id"] for message in read.values()],
            [message["conversation_id"] for message in read.values()],
            [message["seq"] for message in read.values()],
        )


def failure_json(standing: Standing) -> str | None:
    if standing.reason is None:
        return None
    retryable = standing.status is Status.UNCERTAIN or standing.reason.code in RETRYABLE
    return json.dumps({"code": standing.reason.code, "detail": standing.reason.detail, "retryable": retryable})


async def status_events(connection: AsyncConnection, messages: Sequence[Any]) -> list[NewEvent]:
    events = []
    for shop_id in {message["shop_id"] for message in messages}:
        mine = [message for message in messages if message["shop_id"] == shop_id]
        views = await messages_by_id(connection, shop_id, [message["id"] for message in mine])
        events += [
            NewEvent(
                shop_id,
                "message.status",
                views[message["id"]].model_dump_json(),
                message["conversation_id"],
                message["contact_id"],
                message["id"],
            )
            for message in mine
        ]
    return events
