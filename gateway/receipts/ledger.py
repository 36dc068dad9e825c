"""Write receipts to the ledger, whether or not their message is known yet, and bring the status up to date."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations.store import messages_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.receipts.fold import LADDER, RANK, Entry, Standing, fold
from gateway.receipts.line import Row
from gateway.receipts.outcomes import ShowChannel, finish
from shared.events import Evidence, Reason, ReceiptReported, Status
from shared.ids import MESSAGE, MalformedId, read_id

BY_EXTERNAL: Final = """
    SELECT p.message_id, p.part, p.external_id, p.channel_id FROM unnest($1::uuid[], $2::uuid[], $3::text[])
         AS t (shop_id, channel_id, external_id)
    JOIN message_parts p USING (shop_id, channel_id, external_id)
"""
UP_TO_MESSAGE: Final = """
    SELECT m.id FROM messages m
    JOIN conversations c ON (c.shop_id, c.id) = (m.shop_id, m.conversation_id)
    JOIN identities i ON i.shop_id = c.shop_id AND i.contact_id = c.contact_id
    JOIN messages u ON u.shop_id = m.shop_id AND u.conversation_id = m.conversation_id AND u.seq >= m.seq
    WHERE m.shop_id = $1 AND m.channel_id = $2 AND u.id = $3 AND m.direction = 'out' AND m.visibility = 'public'
      AND i.channel_type = $4 AND i.account = $5 AND i.peer = $6 AND m.status = ANY($7)
"""
UP_TO_EXTERNAL: Final = (
    "SELECT message_id FROM message_parts WHERE (shop_id, channel_id, external_id) = ($1, $2, $3) LIMIT 1"
)
UP_TO_TIME: Final = """
    SELECT m.id FROM messages m JOIN identities i ON (i.shop_id, i.id) = (m.shop_id, m.identity_id)
    WHERE m.shop_id = $1 AND m.channel_id = $2 AND date_trunc('milliseconds', m.created_at) <= $3
      AND m.direction = 'out' AND m.visibility = 'public' AND i.channel_type = $4 AND i.account = $5 AND i.peer = $6
      AND m.status = ANY($7)
"""
RECORD: Final = """
    INSERT INTO receipts (shop_id, message_id, channel_id, external_id, part, generation, attempt, status, evidence,
                          reason, occurred_at)
    SELECT t.shop_id, t.message_id, t.channel_id, t.external_id, t.part, m.generation, t.attempt, t.status, t.evidence,
           t.reason::jsonb, t.occurred_at
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::int[], $7::text[], $8::text[],
                $9::text[], $10::timestamptz[])
         AS t (shop_id, message_id, channel_id, external_id, part, attempt, status, evidence, reason, occurred_at)
    LEFT JOIN messages m ON (m.shop_id, m.id) = (t.shop_id, t.message_id)
"""
SAVE_PARTS: Final = """
    INSERT INTO message_parts (shop_id, message_id, part, channel_id, external_id)
    SELECT t.* FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::uuid[], $5::text[])
         AS t (shop_id, message_id, part, channel_id, external_id)
    JOIN messages m ON (m.shop_id, m.id) = (t.shop_id, t.message_id)
    ON CONFLICT (shop_id, message_id, part) DO UPDATE SET external_id = excluded.external_id
"""
ADOPT: Final = """
    UPDATE receipts r SET message_id = p.message_id, part = p.part, generation = m.generation
    FROM message_parts p JOIN messages m ON (m.shop_id, m.id) = (p.shop_id, p.message_id)
    WHERE r.message_id IS NULL AND (r.shop_id, r.channel_id, r.external_id) = (p.shop_id, p.channel_id, p.external_id)
      AND ($1::uuid[] IS NULL OR p.message_id = ANY($1))
    RETURNING r.shop_id, r.message_id
"""
LOCK: Final = """
    SELECT m.shop_id, m.id, m.status, m.evidence, m.generation, m.conversation_id, m.seq, c.contact_id,
           (SELECT array_agg(p.part ORDER BY p.part) FROM message_parts p
            WHERE (p.shop_id, p.message_id) = (m.shop_id, m.id)) AS parts
    FROM unnest($1::uuid[], $2::uuid[]) AS t (shop_id, id)
    JOIN messages m ON (m.shop_id, m.id) = (t.shop_id, t.id)
    JOIN conversations c ON (c.shop_id, c.id) = (m.shop_id, m.conversation_id)
    WHERE m.direction = 'out' ORDER BY m.id FOR UPDATE OF m
"""
LEDGER: Final = """
    SELECT message_id, status, evidence, part, generation, reason::text AS reason FROM receipts
    WHERE (shop_id, message_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
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
BESIDE: Final = (Status.QUEUED, Status.UNCERTAIN, Status.FAILED)


async def apply(connection: AsyncConnection, arrivals: Sequence[Arrival], show_channel: ShowChannel) -> list[NewEvent]:
    """Take in receipts and outcomes; answer with the events of the messages whose status changed."""
    raw = await driver(connection)
    rows: list[Row] = []
    for arrival in arrivals:
        rows += await lines_of(raw, arrival)
    outcomes = [arrival for arrival in arrivals if outcome_of(arrival)]
    finished = await finish(connection, outcomes, show_channel)
    rows += finished.failures
    await record(raw, rows)
    touched = {(row.shop_id, row.message_id) for row in rows if row.message_id}
    saved = await save_parts(raw, outcomes)
    if saved:
        touched |= {(row["shop_id"], row["message_id"]) for row in await raw.fetch(ADOPT, saved)}
    return finished.events + await settle(connection, touched)


def outcome_of(arrival: Arrival) -> bool:
    return isinstance(arrival.event, ReceiptReported) and arrival.event.outcome is not None


async def lines_of(raw: Any, arrival: Arrival) -> list[Row]:
    """The lines that one receipt means: one for each message, or part of a message, that it speaks of."""
    event = arrival.event
    assert isinstance(event, ReceiptReported)
    if event.outcome is not None and event.outcome.fate is not None and event.status is not Status.UNCERTAIN:
        return []  # whether a failed attempt is the end of the message is the outbox's to say
    if event.up_to is not None or event.up_to_id is not None:
        return await watermark_lines(raw, arrival, event)
    if event.message_id is not None:
        message_id = own_id(event.message_id)
        return [line(arrival, event, message_id, part=event.part)] if message_id else []
    known = {row["external_id"]: row for row in await raw.fetch(BY_EXTERNAL, *externals(arrival, event))}
    return [external_line(arrival, event, external_id, known.get(external_id)) for external_id in event.external_ids]


def external_line(arrival: Arrival, event: ReceiptReported, external_id: str, row: Mapping[str, Any] | None) -> Row:
    if row is None:
        return line(arrival, event, None, external_id=external_id)
    return line(arrival, event, row["message_id"], part=row["part"], external_id=external_id)


def externals(arrival: Arrival, event: ReceiptReported) -> tuple[list[Any], list[Any], list[str]]:
    ids = list(event.external_ids)
    return [arrival.channel.shop_id] * len(ids), [arrival.channel.id] * len(ids), ids


def line(
    arrival: Arrival,
    event: ReceiptReported,
    message_id: uuid.UUID | None,
    *,
    part: int | None = None,
    external_id: str | None = None,
) -> Row:
    return Row(
        arrival.channel.shop_id,
        arrival.channel.id,
        message_id,
        event.status,
        event.evidence,
        event.occurred_at,
        external_id,
        part,
        event.outcome.attempt if event.outcome else None,
        event.reason,
    )


def own_id(text: str) -> uuid.UUID | None:
    try:
        return read_id(MESSAGE, text)
    except MalformedId:
        return None


async def watermark_lines(raw: Any, arrival: Arrival, event: ReceiptReported) -> list[Row]:
    """One line for each of our messages to this partner that the mark covers and lifts.

    A mark that a provider set with the id of a message that is not known yet is parked for that message.
    """
    shop_id, channel_id, address = arrival.channel.shop_id, arrival.channel.id, event.address
    whose = (address.channel, address.account, address.peer, lifted_by(event))
    if event.up_to is not None:
        rows = await raw.fetch(UP_TO_TIME, shop_id, channel_id, event.up_to, *whose)
        return [line(arrival, event, row["id"]) for row in rows]
    assert event.up_to_id is not None
    last = own_id(event.up_to_id) or await raw.fetchval(UP_TO_EXTERNAL, shop_id, channel_id, event.up_to_id)
    if last is None:
        ours = event.evidence is Evidence.DEVICE  # a device names our ids: what it invents never comes to be
        return [] if ours else [line(arrival, event, None, external_id=event.up_to_id)]
    rows = await raw.fetch(UP_TO_MESSAGE, shop_id, channel_id, last, *whose)
    return [line(arrival, event, row["id"]) for row in rows]


def lifted_by(event: ReceiptReported) -> list[Status]:
    """The statuses that a mark lifts: those of messages that went out and stand lower.

    A provider's mark proves nothing of a message that failed, waits or is in doubt; a device that shows the very
    conversation does.
    """
    below: list[Status] = [
        status for status in LADDER if status is not Status.QUEUED and RANK[status] < RANK.get(event.status, 0)
    ]
    return [*below, *BESIDE] if event.evidence is Evidence.DEVICE else below


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
    )


async def save_parts(raw: Any, outcomes: Sequence[Arrival]) -> list[uuid.UUID]:
    """Keep the provider's ids of what went out, the newest try's; answer with the messages that have any."""
    parts = {
        (message_id, number): (arrival.channel.shop_id, message_id, number, arrival.channel.id, external_id)
        for arrival in outcomes
        if isinstance(event := arrival.event, ReceiptReported) and event.outcome and event.message_id
        if (message_id := own_id(event.message_id)) is not None
        for number, external_id in enumerate(event.outcome.external_ids, event.part or 0)
    }
    if parts:
        await raw.execute(SAVE_PARTS, *(list(column) for column in zip(*parts.values(), strict=True)))
    return [message_id for message_id, _ in parts]


async def settle(connection: AsyncConnection, keys: Iterable[tuple[uuid.UUID, uuid.UUID]]) -> list[NewEvent]:
    """Fold the ledgers of these messages (shop, id) again; a `message.status` event for each that changed."""
    shops_and_ids = sorted(keys)
    if not shops_and_ids:
        return []
    raw = await driver(connection)
    messages = await raw.fetch(LOCK, *(list(column) for column in zip(*shops_and_ids, strict=True)))
    ledger = await ledgers(raw, messages)
    changed = []
    for message in messages:
        standing = fold(ledger[message["id"]], generation=message["generation"], parts=message["parts"] or (0,))
        if (standing.status, standing.evidence) != (message["status"], message["evidence"]):
            changed.append((message, standing))
    await save_standings(raw, changed)
    return await status_events(connection, [message for message, _ in changed])


async def ledgers(raw: Any, messages: Sequence[Any]) -> dict[uuid.UUID, list[Entry]]:
    entries: dict[uuid.UUID, list[Entry]] = {message["id"]: [] for message in messages}
    rows = await raw.fetch(LEDGER, [m["shop_id"] for m in messages], [m["id"] for m in messages])
    for row in rows:
        reason = Reason(**json.loads(row["reason"])) if row["reason"] else None
        status, evidence = Status(row["status"]), Evidence(row["evidence"])
        entries[row["message_id"]].append(Entry(status, evidence, row["part"], row["generation"] or 1, reason))
    return entries


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
