"""From the messages of a batch to conversations: found, reopened or opened, and the place of each message in them."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic_core import to_json

from gateway.events.feed import APPEND_CTE, NewEvent, columns
from gateway.files.fetching import claimed
from gateway.inbound.arrivals import Arrival
from gateway.inbound.people import Person
from shared.content import Album, Media, Reaction
from shared.events import UNDATED, Echo, Evidence, MessageReceived, Status
from shared.ids import CONVERSATION, MESSAGE, new_uuid, show_id
from shared.model import show_time

OPEN: Final = """
    INSERT INTO conversations (shop_id, id, contact_id, channel_id, identity_id, thread, status)
    SELECT *, 'open' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[])
"""
# A set of messages and their conversations. Parameters 1 to 7 are the feed's, so that both can go in one statement.
WRITE_CTES: Final = """
    written AS (
        INSERT INTO messages (shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name,
                              channel_id, identity_id, external_id, content, status, evidence, reply_to, created_at,
                              occurred_at)
        SELECT shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name, channel_id,
               identity_id, external_id, content::jsonb, status, evidence, reply_to, now(), occurred_at
        FROM unnest($8::uuid[], $9::uuid[], $10::uuid[], $11::int[], $12::text[], $13::text[], $14::uuid[],
                    $15::text[], $16::uuid[], $17::uuid[], $18::text[], $19::text[], $20::text[], $21::text[],
                    $22::uuid[], $23::timestamptz[])
             AS t (shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name, channel_id,
                   identity_id, external_id, content, status, evidence, reply_to, occurred_at)
    ), advanced AS (
        UPDATE conversations c
        SET last_seq = t.last_seq, unread = t.unread, waiting_since = t.waiting_since,
            last_message_id = t.last_message_id, channel_id = t.channel_id, identity_id = t.identity_id,
            context = coalesce(t.context::jsonb, c.context),
            last_inbound_at = CASE WHEN t.heard THEN greatest(c.last_inbound_at, least(now(), t.heard_at))
                                   ELSE c.last_inbound_at END,
            status = 'open', closed_at = NULL, updated_at = now(), version = c.version + 1
        FROM unnest($24::uuid[], $25::uuid[], $26::int[], $27::int[], $28::timestamptz[], $29::uuid[], $30::uuid[],
                    $31::uuid[], $32::text[], $33::boolean[], $34::timestamptz[])
             AS t (shop_id, id, last_seq, unread, waiting_since, last_message_id, channel_id, identity_id, context,
                   heard, heard_at)
        WHERE (c.shop_id, c.id) = (t.shop_id, t.id)
    )
"""
WRITE: Final = f"WITH {WRITE_CTES}, {APPEND_CTE}"
QUOTED: Final = """
    SELECT t.n, coalesce(
        (SELECT p.message_id FROM message_parts p JOIN messages m ON (m.shop_id, m.id) = (p.shop_id, p.message_id)
         JOIN identities i ON (i.shop_id, i.id) = (m.shop_id, m.identity_id)
         WHERE (p.shop_id, p.channel_id, p.external_id) = (t.shop_id, t.channel_id, t.external_id)
           AND i.contact_id = t.contact_id ORDER BY i.id <> t.identity_id LIMIT 1),
        (SELECT m.id FROM identities i JOIN messages m
           ON (m.shop_id, m.channel_id, m.identity_id, m.external_id) = (i.shop_id, t.channel_id, i.id, t.external_id)
         WHERE (i.shop_id, i.contact_id) = (t.shop_id, t.contact_id) ORDER BY i.id <> t.identity_id LIMIT 1)) AS id
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) WITH ORDINALITY
         AS t (shop_id, channel_id, contact_id, identity_id, external_id, n)
"""

Matter = tuple[uuid.UUID, str]  # contact, thread


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
    public_id: str
    news: str | None = None  # conversation.opened or .reopened
    last: "Line | None" = None
    heard: "Line | None" = None


@dataclass(slots=True)
class Line:
    """A message in its place."""

    arrival: Arrival
    event: MessageReceived | Echo
    person: Person
    conversation: Conversation
    seq: int
    inward: bool
    id: uuid.UUID = field(default_factory=new_uuid)
    reply_to: uuid.UUID | None = None


async def place(
    connection: Any,
    messages: Sequence[tuple[Arrival, Person]],
    rows: Mapping[Matter, Any],
    *,
    now: datetime,
    reopen_days: float,
) -> list[Line]:
    """Put each message of the batch at the end of its conversation, in the order of arrival. Writes nothing yet."""
    matters: dict[Matter, Conversation] = {}
    lines = []
    for arrival, person in messages:
        matter = person.contact_id, arrival.event.address.thread or ""
        conversation = matters.get(matter)
        if conversation is None:
            row = rows.get(matter)
            conversation = matters[matter] = find_or_open(person, matter[1], row, now=now, reopen_days=reopen_days)
        lines.append(put(arrival, person, conversation, now))
    await find_quoted(connection, lines)
    return lines


def find_or_open(person: Person, thread: str, row: Any, *, now: datetime, reopen_days: float) -> Conversation:
    if row is None or is_over(row, now, reopen_days):
        key = new_uuid()
        public_id = show_id(CONVERSATION, key)
        return Conversation(
            person.shop_id, key, person.contact_id, thread, 0, 0, None, public_id, "conversation.opened"
        )
    return Conversation(
        person.shop_id,
        row["id"],
        person.contact_id,
        thread,
        row["last_seq"],
        row["unread"],
        row["waiting_since"],
        show_id(CONVERSATION, row["id"]),
        "conversation.reopened" if row["status"] != "open" else None,
    )


def is_over(row: Mapping[str, Any], now: datetime, reopen_days: float) -> bool:
    """Closed so long ago that a new message is a new matter."""
    return bool(row["status"] == "closed" and now - row["closed_at"] > timedelta(days=reopen_days))


def put(arrival: Arrival, person: Person, conversation: Conversation, now: datetime) -> Line:
    assert isinstance(arrival.event, MessageReceived | Echo)
    conversation.last_seq += 1
    inward = isinstance(arrival.event, MessageReceived)
    event = arrival.event
    if isinstance(event.content, Media | Album):
        event = event.model_copy(update={"content": claimed(event.content)})
    line = Line(arrival, event, person, conversation, conversation.last_seq, inward)
    conversation.last = line
    if inward:
        conversation.heard = line
        conversation.unread += 1
        conversation.waiting_since = conversation.waiting_since or now
    else:
        conversation.waiting_since = None
    return line


def names(line: Line) -> str | None:
    """The provider's id of the message that this one answers or reacts to."""
    content = line.event.content
    return content.target if isinstance(content, Reaction) else line.event.reply_to


async def find_quoted(connection: Any, lines: Sequence[Line]) -> None:
    quoting = [line for line in lines if names(line)]
    if not quoting:
        return
    rows = await connection.fetch(
        QUOTED,
        [line.person.shop_id for line in quoting],
        [line.arrival.channel.id for line in quoting],
        [line.person.contact_id for line in quoting],
        [line.person.identity_id for line in quoting],
        [names(line) for line in quoting],
    )
    for row in rows:
        if row["id"] is not None:
            point_to(quoting[row["n"] - 1], row["id"])


def point_to(line: Line, message_id: uuid.UUID) -> None:
    """The message is known: it is named by our id from here on."""
    line.reply_to = message_id
    if isinstance(line.event.content, Reaction):
        content = line.event.content.model_copy(update={"target": show_id(MESSAGE, message_id)})
        line.event = line.event.model_copy(update={"content": content})


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


async def write(connection: Any, lines: Sequence[Line], news: Sequence[NewEvent]) -> None:
    """Store messages, conversations and events in one statement."""
    conversations = list({line.conversation.id: line.conversation for line in lines}.values())
    lasts = [last_of(conversation) for conversation in conversations]
    await connection.execute(
        WRITE,
        *columns(news),
        [line.person.shop_id for line in lines],
        [line.id for line in lines],
        [line.conversation.id for line in lines],
        [line.seq for line in lines],
        ["in" if line.inward else "out" for line in lines],
        ["contact" if line.inward else "shop" for line in lines],
        [line.person.contact_id if line.inward else None for line in lines],
        [author_name(line) for line in lines],
        [line.arrival.channel.id for line in lines],
        [line.person.identity_id for line in lines],
        [line.event.external_id for line in lines],
        [line.event.content.model_dump_json(exclude_none=True) for line in lines],
        [standing(line)[0] for line in lines],
        [standing(line)[1] for line in lines],
        [line.reply_to for line in lines],
        [line.event.occurred_at for line in lines],
        [c.shop_id for c in conversations],
        [c.id for c in conversations],
        [c.last_seq for c in conversations],
        [c.unread for c in conversations],
        [c.waiting_since for c in conversations],
        [line.id for line in lasts],
        [line.arrival.channel.id for line in lasts],
        [line.person.identity_id for line in lasts],
        [context_of(c) for c in conversations],
        [c.heard is not None for c in conversations],
        [heard_at(c) for c in conversations],
    )


def author_name(line: Line) -> str | None:
    """Of the customer, or of the member of the group who wrote."""
    if not isinstance(line.event, MessageReceived):
        return None
    return line.person.name if line.event.sender.group is None else line.event.sender.name


def context_of(conversation: Conversation) -> str | None:
    """The connector's notes from the customer's last message; None if they stay as they are."""
    heard = conversation.heard
    return None if heard is None or heard.event.context is None else json.dumps(heard.event.context)


def heard_at(conversation: Conversation) -> datetime | None:
    """When the customer wrote: the window for answers counts from then, however late we heard of it."""
    heard = conversation.heard
    return heard.event.occurred_at if heard is not None and heard.event.occurred_at != UNDATED else None


INBOX: Final = (Status.DELIVERED.value, Evidence.NONE.value)
ELSEWHERE: Final = (Status.SENT.value, Evidence.PROVIDER_RECEIPT.value)


def standing(line: Line) -> tuple[str, str]:
    """A customer's message is in the inbox; one of ours that was sent elsewhere is known to be sent."""
    return INBOX if line.inward else ELSEWHERE


def line_event(line: Line, now: str) -> NewEvent:
    """`message.received`, or `message.status` for one that our side sent from elsewhere.

    The same JSON as `MessageView` gives, made by hand since it is made for every message; a test compares the two.
    """
    status, evidence = standing(line)
    author = {"type": "shop", "id": None, "name": None}
    if line.inward:
        author = {"type": "contact", "id": line.person.public_id, "name": author_name(line)}
    view = {
        "id": show_id(MESSAGE, line.id),
        "conversation": line.conversation.public_id,
        "seq": line.seq,
        "direction": "in" if line.inward else "out",
        "visibility": "public",
        "author": author,
        "content": line.event.content,
        "status": status,
        "status_evidence": evidence,
        "parts": (),
        "degraded": (),
        "reply_to": show_id(MESSAGE, line.reply_to) if line.reply_to else None,
        "client_ref": None,
        "created_at": now,
        "occurred_at": show_time(line.event.occurred_at),
        "edited_at": None,
        "deleted_at": None,
        "failure": None,
    }
    return NewEvent(
        line.person.shop_id,
        "message.received" if line.inward else "message.status",
        to_json(view).decode(),
        line.conversation.id,
        line.person.contact_id,
        line.id,
    )
