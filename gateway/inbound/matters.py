"""From the messages of a batch to conversations: found, reopened or opened, and the place of each message in them."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.inbound.people import Person
from gateway.views import Author, MessageView
from shared.events import Echo, Evidence, MessageReceived, Status
from shared.ids import CONTACT, CONVERSATION, MESSAGE, new_uuid, show_id

FIND: Final = """
    SELECT t.contact_id, t.thread, c.id, c.status, c.closed_at, c.last_seq, c.unread, c.waiting_since
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (shop_id, contact_id, thread)
    CROSS JOIN LATERAL (
        SELECT * FROM conversations c
        WHERE (c.shop_id, c.contact_id, c.thread) = (t.shop_id, t.contact_id, t.thread)
        ORDER BY c.status = 'closed', c.id DESC LIMIT 1 FOR UPDATE
    ) c
"""
OPEN: Final = """
    INSERT INTO conversations (shop_id, id, contact_id, channel_id, identity_id, thread, status)
    SELECT *, 'open' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[])
"""
ADVANCE: Final = """
    UPDATE conversations c
    SET last_seq = t.last_seq, unread = t.unread, waiting_since = t.waiting_since, last_message_id = t.last_message_id,
        channel_id = t.channel_id, identity_id = t.identity_id, context = t.context::jsonb, last_inbound_at = now(),
        status = 'open', closed_at = NULL, updated_at = now(), version = c.version + 1
    FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::timestamptz[], $6::uuid[], $7::uuid[], $8::uuid[],
                $9::text[])
         AS t (shop_id, id, last_seq, unread, waiting_since, last_message_id, channel_id, identity_id, context)
    WHERE (c.shop_id, c.id) = (t.shop_id, t.id)
"""
WRITE: Final = """
    INSERT INTO messages (shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name, channel_id,
                          identity_id, external_id, content, status, evidence, reply_to, created_at, occurred_at)
    SELECT shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name, channel_id,
           identity_id, external_id, content::jsonb, status, evidence, reply_to, now(), occurred_at
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                $9::uuid[], $10::uuid[], $11::text[], $12::text[], $13::text[], $14::text[], $15::uuid[],
                $16::timestamptz[])
         AS t (shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name, channel_id,
               identity_id, external_id, content, status, evidence, reply_to, occurred_at)
"""
QUOTED: Final = """
    SELECT t.n, coalesce(
        (SELECT p.message_id FROM message_parts p
         WHERE (p.shop_id, p.channel_id, p.external_id) = (t.shop_id, t.channel_id, t.external_id) LIMIT 1),
        (SELECT m.id FROM messages m WHERE (m.shop_id, m.channel_id, m.identity_id, m.external_id)
                                         = (t.shop_id, t.channel_id, t.identity_id, t.external_id))) AS id
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[]) WITH ORDINALITY
         AS t (shop_id, channel_id, identity_id, external_id, n)
"""

Matter = tuple[uuid.UUID, uuid.UUID, str]  # shop, contact, thread


@dataclass(slots=True)
class Conversation:
    """A conversation while a batch passes through it."""

    shop_id: uuid.UUID
    id: uuid.UUID
    contact_id: uuid.UUID
    thread: str
    last_seq: int
    unread: int
    waiting_since: datetime | None
    news: str | None = None  # conversation.opened or .reopened
    last: "Line | None" = None


@dataclass(slots=True)
class Line:
    """A message in its place."""

    arrival: Arrival
    event: MessageReceived | Echo
    person: Person
    conversation: Conversation
    seq: int
    id: uuid.UUID = field(default_factory=new_uuid)
    reply_to: uuid.UUID | None = None

    @property
    def inward(self) -> bool:
        return isinstance(self.event, MessageReceived)


async def place(
    connection: Any, arrivals: Sequence[tuple[Arrival, Person]], *, now: datetime, reopen_days: float
) -> list[Line]:
    """Put each message of the batch at the end of its conversation, in the order of arrival, and store all of it."""
    matters = await find_conversations(connection, arrivals, now=now, reopen_days=reopen_days)
    lines = [put(arrival, person, matters[matter_of(arrival, person)], now) for arrival, person in arrivals]
    await find_quoted(connection, lines)
    await open_conversations(connection, [c for c in matters.values() if c.news == "conversation.opened"])
    await write(connection, lines)
    await advance(connection, list(matters.values()))
    return lines


def matter_of(arrival: Arrival, person: Person) -> Matter:
    return person.shop_id, person.contact_id, arrival.event.address.thread or ""


async def find_conversations(
    connection: Any, arrivals: Sequence[tuple[Arrival, Person]], *, now: datetime, reopen_days: float
) -> dict[Matter, Conversation]:
    keys = sorted({matter_of(arrival, person) for arrival, person in arrivals})
    rows = await connection.fetch(FIND, *(list(column) for column in zip(*keys, strict=True)))
    known = {(row["contact_id"], row["thread"]): row for row in rows}
    matters = {}
    for key in keys:
        row = known.get(key[1:])
        if row is None or is_over(row, now, reopen_days):
            matters[key] = Conversation(key[0], new_uuid(), key[1], key[2], 0, 0, None, "conversation.opened")
        else:
            news = "conversation.reopened" if row["status"] != "open" else None
            matters[key] = Conversation(
                key[0], row["id"], key[1], key[2], row["last_seq"], row["unread"], row["waiting_since"], news
            )
    return matters


def is_over(row: Mapping[str, Any], now: datetime, reopen_days: float) -> bool:
    """Closed so long ago that a new message is a new matter."""
    return bool(row["status"] == "closed" and now - row["closed_at"] > timedelta(days=reopen_days))


def put(arrival: Arrival, person: Person, conversation: Conversation, now: datetime) -> Line:
    assert isinstance(arrival.event, MessageReceived | Echo)
    conversation.last_seq += 1
    line = Line(arrival, arrival.event, person, conversation, conversation.last_seq)
    conversation.last = line
    if line.inward:
        conversation.unread += 1
        conversation.waiting_since = conversation.waiting_since or now
    else:
        conversation.waiting_since = None
    return line


async def find_quoted(connection: Any, lines: Sequence[Line]) -> None:
    quoting = [line for line in lines if line.event.reply_to]
    if not quoting:
        return
    rows = await connection.fetch(
        QUOTED,
        [line.person.shop_id for line in quoting],
        [line.arrival.channel.id for line in quoting],
        [line.person.identity_id for line in quoting],
        [line.event.reply_to for line in quoting],
    )
    for row in rows:
        quoting[row["n"] - 1].reply_to = row["id"]


async def open_conversations(connection: Any, opened: Sequence[Conversation]) -> None:
    if not opened:
        return
    lasts = [last_of(conversation) for conversation in opened]
    await connection.execute(
        OPEN,
        [c.shop_id for c in opened],
        [c.id for c in opened],
        [c.contact_id for c in opened],
        [line.arrival.channel.id for line in lasts],
        [line.person.identity_id for line in lasts],
        [c.thread for c in opened],
    )


def last_of(conversation: Conversation) -> Line:
    assert conversation.last is not None
    return conversation.last


async def advance(connection: Any, conversations: Sequence[Conversation]) -> None:
    lasts = [last_of(conversation) for conversation in conversations]
    await connection.execute(
        ADVANCE,
        [c.shop_id for c in conversations],
        [c.id for c in conversations],
        [c.last_seq for c in conversations],
        [c.unread for c in conversations],
        [c.waiting_since for c in conversations],
        [line.id for line in lasts],
        [line.arrival.channel.id for line in lasts],
        [line.person.identity_id for line in lasts],
        [json.dumps(line.event.context) for line in lasts],
    )


async def write(connection: Any, lines: Sequence[Line]) -> None:
    await connection.execute(
        WRITE,
        [line.person.shop_id for line in lines],
        [line.id for line in lines],
        [line.conversation.id for line in lines],
        [line.seq for line in lines],
        ["in" if line.inward else "out" for line in lines],
        ["contact" if line.inward else "shop" for line in lines],
        [line.person.contact_id if line.inward else None for line in lines],
        [line.person.name if line.inward else None for line in lines],
        [line.arrival.channel.id for line in lines],
        [line.person.identity_id for line in lines],
        [line.event.external_id for line in lines],
        [line.event.content.model_dump_json(exclude_none=True) for line in lines],
        [standing(line)[0] for line in lines],
        [standing(line)[1] for line in lines],
        [line.reply_to for line in lines],
        [line.event.occurred_at for line in lines],
    )


def standing(line: Line) -> tuple[Status, Evidence]:
    """A customer's message is in the inbox; one of ours that was sent elsewhere is known to be sent."""
    return (Status.DELIVERED, Evidence.NONE) if line.inward else (Status.SENT, Evidence.PROVIDER_RECEIPT)


def line_event(line: Line, now: datetime) -> NewEvent:
    """`message.received`, or `message.status` for one that our side sent from elsewhere."""
    status, evidence = standing(line)
    view = MessageView.model_construct(
        id=show_id(MESSAGE, line.id),
        conversation=show_id(CONVERSATION, line.conversation.id),
        seq=line.seq,
        direction="in" if line.inward else "out",
        visibility="public",
        author=author_of(line),
        content=line.event.content,
        status=status,
        status_evidence=evidence,
        parts=(),
        reply_to=show_id(MESSAGE, line.reply_to) if line.reply_to else None,
        client_ref=None,
        created_at=now,
        occurred_at=line.event.occurred_at,
        edited_at=None,
        deleted_at=None,
        failure=None,
    )
    return NewEvent(
        line.person.shop_id,
        "message.received" if line.inward else "message.status",
        view.model_dump_json(),
        line.conversation.id,
        line.person.contact_id,
        line.id,
    )


def author_of(line: Line) -> Author:
    if not line.inward:
        return Author(type="shop", id=None, name=None)
    return Author(type="contact", id=show_id(CONTACT, line.person.contact_id), name=line.person.name)
