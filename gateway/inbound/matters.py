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
from gateway.inbound.threading import Placement, own_thread
from shared.content import Reaction, files_of
from shared.events import UNDATED, Echo, Evidence, MessageReceived, Status
from shared.ids import CONVERSATION, MESSAGE, new_uuid, show_id
from shared.model import show_time

OPEN: Final = """
    INSERT INTO conversations (shop_id, id, contact_id, channel_id, identity_id, thread, subject, topic, status)
    SELECT *, 'open' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],
                                 $8::text[])
"""
# A set of messages and their conversations. Parameters 1 to 7 are the feed's, so that both can go in one statement.
WRITE_CTES: Final = """
    written AS (
        INSERT INTO messages (shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name,
                              channel_id, identity_id, external_id, content, status, evidence, reply_to, created_at,
                              occurred_at, mail)
        SELECT shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name, channel_id,
               identity_id, external_id, content::jsonb, status, evidence, reply_to, now(), occurred_at, mail::jsonb
        FROM unnest($8::uuid[], $9::uuid[], $10::uuid[], $11::int[], $12::text[], $13::text[], $14::uuid[],
                    $15::text[], $16::uuid[], $17::uuid[], $18::text[], $19::text[], $20::text[], $21::text[],
                    $22::uuid[], $23::timestamptz[], $24::text[])
             AS t (shop_id, id, conversation_id, seq, direction, author_type, author_id, author_name, channel_id,
                   identity_id, external_id, content, status, evidence, reply_to, occurred_at, mail)
    ), advanced AS (
        UPDATE conversations c
        SET last_seq = t.last_seq, unread = t.unread, waiting_since = t.waiting_since,
            last_message_id = t.last_message_id, channel_id = coalesce(t.channel_id, c.channel_id),
            identity_id = coalesce(t.identity_id, c.identity_id),
            context = coalesce(t.context::jsonb, c.context),
            last_inbound_at = CASE WHEN t.heard THEN greatest(c.last_inbound_at, least(now(), t.heard_at))
                                   ELSE c.last_inbound_at END,
            status = CASE WHEN t.wakes THEN 'open' ELSE c.status END,
            closed_at = CASE WHEN t.wakes THEN NULL ELSE c.closed_at END, updated_at = now(), version = c.version + 1
        FROM unnest($25::uuid[], $26::uuid[], $27::int[], $28::int[], $29::timestamptz[], $30::uuid[], $31::uuid[],
                    $32::uuid[], $33::text[], $34::boolean[], $35::timestamptz[], $36::boolean[])
             AS t (shop_id, id, last_seq, unread, waiting_since, last_message_id, channel_id, identity_id, context,
                   heard, heard_at, wakes)
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
    asleep: bool = False  # closed, snoozed or pending: what a person says opens it again, what a machine says does not
    news: str | None = None  # conversation.opened or .reopened
    first: "Line | None" = None
    last: "Line | None" = None
    answerable: "Line | None" = None  # the last one to which an answer goes: of the partner, not of a guest
    heard: "Line | None" = None
    wakes: bool = False


@dataclass(slots=True)
class Line:
    """A message in its place."""

    arrival: Arrival
    event: MessageReceived | Echo
    person: Person
    conversation: Conversation
    seq: int
    inward: bool
    placement: Placement | None = None
    id: uuid.UUID = field(default_factory=new_uuid)
    reply_to: uuid.UUID | None = None

    @property
    def automatic(self) -> bool:
        """Whether a machine wrote it: then nobody waits for an answer, and it is none."""
        return self.event.mail is not None and self.event.mail.automatic

    @property
    def of_guest(self) -> bool:
        """Whether somebody wrote in the conversation of another."""
        return self.person.contact_id != self.conversation.contact_id


async def place(
    connection: Any,
    messages: Sequence[tuple[Arrival, Person]],
    rows: Mapping[Matter, Any],
    placements: Mapping[uuid.UUID, Placement],
    *,
    now: datetime,
    reopen_days: float,
) -> list[Line]:
    """Put each message of the batch at the end of its conversation, in the order of arrival. Writes nothing yet."""
    matters: dict[Matter, Conversation] = {}
    lines = []
    for arrival, person in messages:
        placement = placements.get(arrival.number)
        matter = matter_of(arrival, person, placement)
        conversation = matters.get(matter)
        if conversation is None:
            row = rows.get(matter)
            over = row is None or is_over(row, now, reopen_days)
            if row is not None and over and placement is not None:
                placement = Placement("closed_long_ago", named=placement.named)
                if matter[0] != person.contact_id:  # of a guest: what is new is not the customer's
                    matter = matter_of(arrival, person, placement)
            conversation = opened(person.shop_id, matter) if over else found(person.shop_id, matter, row)
            matters[matter] = conversation
        lines.append(put(arrival, person, conversation, placement, now))
    await find_quoted(connection, lines)
    return lines


def matter_of(arrival: Arrival, person: Person, placement: Placement | None) -> Matter:
    if placement is not None and placement.found is not None:
        return placement.found.contact_id, placement.found.thread
    return person.contact_id, own_thread(arrival)


def opened(shop_id: uuid.UUID, matter: Matter) -> Conversation:
    key = new_uuid()
    return Conversation(shop_id, key, *matter, 0, 0, None, show_id(CONVERSATION, key), news="conversation.opened")


def found(shop_id: uuid.UUID, matter: Matter, row: Any) -> Conversation:
    public_id = show_id(CONVERSATION, row["id"])
    counts = row["last_seq"], row["unread"], row["waiting_since"]
    return Conversation(shop_id, row["id"], *matter, *counts, public_id, asleep=row["status"] != "open")


def is_over(row: Mapping[str, Any], now: datetime, reopen_days: float) -> bool:
    """Closed so long ago that a new message is a new matter."""
    return bool(row["status"] == "closed" and now - row["closed_at"] > timedelta(days=reopen_days))


def put(
    arrival: Arrival, person: Person, conversation: Conversation, placement: Placement | None, now: datetime
) -> Line:
    assert isinstance(arrival.event, MessageReceived | Echo)
    conversation.last_seq += 1
    inward = isinstance(arrival.event, MessageReceived)
    event = arrival.event
    if files_of(event.content):
        event = event.model_copy(update={"content": claimed(event.content)})
    line = Line(arrival, event, person, conversation, conversation.last_seq, inward, placement)
    conversation.first = conversation.first or line
    conversation.last = line
    conversation.unread += inward
    if not line.of_guest:
        conversation.answerable = line
    if line.automatic:
        return line
    conversation.wakes = True
    if conversation.asleep and conversation.news is None:
        conversation.news = "conversation.reopened"
    conversation.waiting_since = (conversation.waiting_since or now) if inward else None
    if inward and not line.of_guest:
        conversation.heard = line
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
    firsts = [first_of(conversation) for conversation in opened]
    await connection.execute(
        OPEN,
        [c.shop_id for c in opened],
        [c.id for c in opened],
        [c.contact_id for c in opened],
        [line.arrival.channel.id for line in firsts],
        [line.person.identity_id for line in firsts],
        [c.thread for c in opened],
        [line.event.subject for line in firsts],
        [line.event.mail.topic if line.event.mail else "" for line in firsts],
    )


def first_of(conversation: Conversation) -> Line:
    assert conversation.first is not None
    return conversation.first


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
        [mail_json(line) for line in lines],
        [c.shop_id for c in conversations],
        [c.id for c in conversations],
        [c.last_seq for c in conversations],
        [c.unread for c in conversations],
        [c.waiting_since for c in conversations],
        [line.id for line in lasts],
        [line.arrival.channel.id if (line := c.answerable) else None for c in conversations],
        [line.person.identity_id if (line := c.answerable) else None for c in conversations],
        [context_of(c) for c in conversations],
        [c.heard is not None for c in conversations],
        [heard_at(c) for c in conversations],
        [c.wakes for c in conversations],
    )


def mail_json(line: Line) -> str | None:
    """What is kept of a mail beside its words: as the API shows it, and what tells it from another with its id."""
    mail = line.event.mail
    return None if mail is None else json.dumps({**(mail_view(line) or {}), "fingerprint": mail.fingerprint})


def mail_view(line: Line) -> dict[str, Any] | None:
    mail = line.event.mail
    if mail is None:
        return None
    return {
        "subject": line.event.subject,
        "class": mail.category.value,
        "authenticity": mail.authenticity.value,
        "placement": line.placement.show() if line.placement else None,
        "bounce": mail.bounce.model_dump(mode="json") if mail.bounce else None,
    }


def guests_of(lines: Sequence[Line]) -> list[tuple[uuid.UUID, uuid.UUID, str]]:
    """Whom customers wrote to as well in their conversations; of machines and of guests it does not count."""
    return [
        (line.person.shop_id, line.conversation.id, peer)
        for line in lines
        if line.event.mail is not None and not line.automatic and not line.of_guest
        for peer in line.event.mail.audience
    ]


def author_name(line: Line) -> str | None:
    """Of the customer, or of the member of the group who wrote."""
    if not isinstance(line.event, MessageReceived):
        return None
    if line.event.mail is not None:
        return line.event.sender.name or line.person.name
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
        "mail": mail_view(line),
    }
    return NewEvent(
        line.person.shop_id,
        "message.received" if line.inward else "message.status",
        to_json(view).decode(),
        line.conversation.id,
        line.conversation.contact_id,
        line.id,
    )
