"""Land a batch: everything that the events of the channels mean, in one transaction, in statements over sets.

Kinds are landed in the order in which they can depend on each other (people, messages, edits, deletions, receipts);
within a kind the order of arrival holds.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations.store import conversations_by_id, messages_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent, append, lock_feeds
from gateway.files import fetching
from gateway.files.fetching import Order
from gateway.inbound import accounts, journal, kinship, threading
from gateway.inbound.arrivals import Arrival
from gateway.inbound.matters import Conversation, Line, guests_of, line_event, open_conversations, place, write
from gateway.inbound.people import key_of, make_people, newcomers
from gateway.inbound.stage import Staged, stage
from gateway.receipts import ledger
from gateway.receipts.outcomes import ShowChannel
from shared.connector import ChannelType
from shared.content import Content
from shared.events import (
    UNDATED,
    ChannelReported,
    Echo,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PeerBlocked,
    PeerConnected,
    Reason,
    ReceiptReported,
    TypingReported,
)
from shared.ids import CONVERSATION, SHOP, show_id
from shared.model import show_time
from shared.subjects import TypingSeen

# A message of the person's, whichever of their ids names it; parameters 1 to 6 are those of `which`.
MEANT: Final = """
    FROM identities k
    JOIN identities i ON (i.shop_id, i.contact_id, i.channel_type) = (k.shop_id, k.contact_id, k.channel_type)
    JOIN messages m ON (m.shop_id, m.channel_id, m.identity_id, m.external_id) = (i.shop_id, $2, i.id, $6)
    WHERE (k.shop_id, k.channel_type, k.account, k.peer) = ($1, $3, $4, $5)
    ORDER BY i.id <> k.id, m.id DESC LIMIT 1
"""
# An edit is late if a newer one is here, or if the message is gone. Providers tell whole seconds, so within one the
# arrival counts; an edit without a time ($8 is null) is never late and makes no other late. Each entry of the history
# names the `edit` that put it there: its time, and its number in the journal, which tells the arrival.
EDIT: Final = f"""
    WITH meant AS (
        SELECT m.shop_id, m.id, i.contact_id, m.deleted_at IS NOT NULL OR EXISTS (
            SELECT 1 FROM jsonb_array_elements(m.history) h
            WHERE (date_trunc('second', (h -> 'edit' ->> 'occurred_at')::timestamptz), (h -> 'edit' ->> 'number')::uuid)
                  > (date_trunc('second', $8::timestamptz), $9::uuid)) AS late
        {MEANT} FOR UPDATE OF m
    )
    UPDATE messages m
    SET history = coalesce(m.history, '[]') || jsonb_build_object(
            'content', CASE WHEN late THEN $7::jsonb ELSE m.content END,
            'at', CASE WHEN late THEN now() ELSE coalesce(m.edited_at, m.created_at) END,
            'edit', jsonb_build_object('occurred_at', $8::timestamptz, 'number', $9::uuid)),
        content = CASE WHEN late THEN m.content ELSE $7::jsonb END,
        edited_at = CASE WHEN late THEN m.edited_at ELSE now() END
    FROM meant WHERE (m.shop_id, m.id) = (meant.shop_id, meant.id)
    RETURNING m.id, m.conversation_id, meant.contact_id, late
"""  # noqa: S608 - made of constants
DELETE: Final = f"""
    WITH meant AS (SELECT m.shop_id, m.id, i.contact_id {MEANT})
    UPDATE messages m SET deleted_at = coalesce(m.deleted_at, now())
    FROM meant WHERE (m.shop_id, m.id) = (meant.shop_id, meant.id)
    RETURNING m.id, m.conversation_id, meant.contact_id
"""  # noqa: S608 - made of constants
BLOCK: Final = """
    UPDATE identities i SET blocked_at = $5
    WHERE i.shop_id = $1 AND i.channel_type = $2 AND i.account = $3 AND i.peer = $4
"""
TYPIST: Final = """
    SELECT c.id FROM identities i JOIN conversations c ON (c.shop_id, c.contact_id) = (i.shop_id, i.contact_id)
    WHERE i.shop_id = $1 AND i.channel_type = $2 AND i.account = $3 AND i.peer = $4 AND c.status <> 'closed'
    ORDER BY c.updated_at DESC LIMIT 1
"""
LOCKING: Final = (MessageEdited, MessageDeleted, ReceiptReported)  # after the messages of their set are written
UNKNOWN_MESSAGE: Final = Reason(
    code="unknown_message",
    detail="The message it speaks of is not here. If it comes within the hour, this lands by itself; later, replay it.",
)


@dataclass(slots=True)
class Landed:
    """What a batch led to beside its rows: signals to give once it is committed."""

    shops: set[Any] = field(default_factory=set)
    typing: list[TypingSeen] = field(default_factory=list)
    changed_channels: set[uuid.UUID] = field(default_factory=set)
    sent: bool = False  # the outbox has changed: something was sent, or a file is to be fetched


@dataclass(slots=True)
class Surroundings:
    """What landing needs to know beside the events."""

    types: Mapping[str, ChannelType]
    reopen_days: float
    show_channel: ShowChannel


async def land(connection: AsyncConnection, arrivals: Sequence[Arrival], around: Surroundings) -> Landed:
    """Land what is new of these events, in the caller's transaction.

    Raises `Overtaken`: another transaction came first with the same people; the same call again finds them.
    """
    landed = Landed()
    if not arrivals:
        return landed
    raw = await driver(connection)
    staged = await stage(raw, arrivals)
    if not staged.fresh and not staged.held:
        return landed
    news = [journal.quarantined_event(arrival, arrival.held) for arrival in staged.held if arrival.held]
    news += await land_people(connection, staged)
    news += await accounts.reports(connection, staged.fresh, around.show_channel)
    landed.changed_channels = {arrival.channel.id for arrival in staged.fresh if is_trouble(arrival)}
    landed.shops = {arrival.channel.shop_id for arrival in [*staged.fresh, *staged.held]}
    news = await land_messages(connection, staged, around, news)
    news += await land_changes(connection, staged.fresh)
    receipts = [arrival for arrival in staged.fresh if isinstance(arrival.event, ReceiptReported)]
    if receipts:
        applied = await ledger.apply(connection, receipts, around.show_channel)
        news += applied.events
        landed.changed_channels |= applied.changed_channels
        landed.sent = True
    landed.sent = landed.sent or staged.ordered
    landed.typing = await typists(raw, staged.fresh)
    await append(raw, news)
    return landed


def is_trouble(arrival: Arrival) -> bool:
    """Whether the provider says that our end no longer works as it did."""
    return isinstance(arrival.event, ChannelReported) and arrival.event.problem is not None


async def land_people(connection: AsyncConnection, staged: Staged) -> list[NewEvent]:
    """Make the people who are new, recognise those who are not, and note who has blocked us or come back."""
    raw = await driver(connection)
    news, unknown = await kinship.move(connection, staged, staged.fresh)
    known = set(staged.people)
    strangers = newcomers(staged.fresh, staged.people)
    if strangers:
        made, told = await make_people(connection, strangers)
        staged.people |= made
        news += told
    while unknown:  # those who were new a moment ago, or moved twice
        tried = len(unknown)
        moved, unknown = await kinship.move(connection, staged, unknown)
        news += moved
        if len(unknown) == tried:
            break
    news += await kinship.recognise(connection, staged, known)
    if any(event.type == "contact.linked" for event in news):
        await kinship.find_conversations(raw, staged)
    for arrival in staged.fresh:
        match arrival.event:
            case PeerBlocked():
                await raw.execute(BLOCK, *key_of(arrival), staged.now)
                staged.blocked.add(key_of(arrival))
            case PeerConnected():
                await raw.execute(BLOCK, *key_of(arrival), None)
                staged.blocked.discard(key_of(arrival))
            case MessageReceived() if staged.blocked and key_of(arrival) in staged.blocked:
                await raw.execute(BLOCK, *key_of(arrival), None)
                staged.blocked.discard(key_of(arrival))
    return news


async def land_messages(
    connection: AsyncConnection, staged: Staged, around: Surroundings, news: Sequence[NewEvent]
) -> list[NewEvent]:
    """Write the messages; answer with the events still to be written.

    In the common case the events go out with the messages, in one statement. It takes the lock of the feed, which
    everyone takes last: so not where the set has locks to take after it.
    """
    messages = [(a, staged.people[key_of(a)]) for a in staged.fresh if isinstance(a.event, MessageReceived | Echo)]
    if not messages:
        return list(news)
    raw = await driver(connection)
    placements = await threading.thread_mails(raw, messages, staged)
    lines = await place(raw, messages, staged.conversations, placements, now=staged.now, reopen_days=around.reopen_days)
    guests = guests_of(lines)
    files = [file for line in lines for file in files_of(line)]
    if files:
        await fetching.order(raw, files)
        staged.ordered = True
    now = show_time(staged.now)
    told = [line_event(line, now) for line in lines]
    changed = list({c.id: c for line in lines if (c := line.conversation).news}.values())
    if not changed and not guests and not any(isinstance(arrival.event, LOCKING) for arrival in staged.fresh):
        await lock_feeds(raw, {event.shop_id for event in told})
        await write(raw, lines, [*news, *told])
        return []
    await open_conversations(raw, [c for c in changed if c.news == "conversation.opened"])
    await write(raw, lines, [])
    await threading.invite(raw, guests)
    return [*news, *await conversation_news(connection, changed, staged.now, around), *told]


async def conversation_news(
    connection: AsyncConnection, changed: Sequence[Conversation], now: datetime, around: Surroundings
) -> list[NewEvent]:
    """`conversation.opened` and `.reopened`, told before the messages that caused them."""
    news = []
    for shop_id in {conversation.shop_id for conversation in changed}:
        mine = {c.id: c for c in changed if c.shop_id == shop_id}
        views = await conversations_by_id(connection, shop_id, list(mine), around.types, now)
        for key, view in views.items():
            kind = mine[key].news
            assert kind is not None
            news.append(NewEvent(shop_id, kind, view.model_dump_json(), key, mine[key].contact_id))
    return news


async def land_changes(connection: AsyncConnection, fresh: Sequence[Arrival]) -> list[NewEvent]:
    """Edits, then deletions; what speaks of an unknown message is set aside, and of a late edit nothing is told."""
    raw = await driver(connection)
    news = []
    for arrival in (a for a in fresh if isinstance(a.event, MessageEdited)):
        row = await edit(raw, arrival)
        if row is None or not row["late"]:
            news.append(await changed(connection, arrival, row, "message.edited"))
    for arrival in (a for a in fresh if isinstance(a.event, MessageDeleted)):
        row = await raw.fetchrow(DELETE, *which(arrival))
        news.append(await changed(connection, arrival, row, "message.deleted"))
    return news


async def edit(raw: Any, arrival: Arrival) -> Any:
    """Show the new content, or keep it among the earlier ones if it is `late`. None if the message is not here."""
    event = arrival.event
    assert isinstance(event, MessageEdited)
    content = fetching.claimed(event.content)
    occurred_at = None if event.occurred_at == UNDATED else event.occurred_at
    said = content.model_dump_json(exclude_none=True)
    row = await raw.fetchrow(EDIT, *which(arrival), said, occurred_at, arrival.number)
    if row is not None:
        await order_files(raw, arrival, row["id"], content)
    return row


def files_of(line: Line) -> list[Order]:
    """The files of a message that are still at the provider."""
    wanted = fetching.expected(line.person.shop_id, line.id, line.event.content)
    return [(file, line.event.address, line.arrival.channel.id) for file in wanted]


async def order_files(raw: Any, arrival: Arrival, message_id: uuid.UUID, content: Content) -> None:
    wanted = fetching.expected(arrival.channel.shop_id, message_id, content)
    if wanted:
        await fetching.order(raw, [(file, arrival.event.address, arrival.channel.id) for file in wanted])


def which(arrival: Arrival) -> tuple[Any, ...]:
    """The message that an edit or a deletion speaks of."""
    assert isinstance(arrival.event, MessageEdited | MessageDeleted)
    address = arrival.event.address
    channel = arrival.channel
    return channel.shop_id, channel.id, address.channel, address.account, address.peer, arrival.event.external_id


async def changed(connection: AsyncConnection, arrival: Arrival, row: Any, kind: str) -> NewEvent:
    shop_id = arrival.channel.shop_id
    if row is None:
        return await journal.set_aside(await driver(connection), arrival, UNKNOWN_MESSAGE)
    views = await messages_by_id(connection, shop_id, [row["id"]])
    return NewEvent(
        shop_id, kind, views[row["id"]].model_dump_json(), row["conversation_id"], row["contact_id"], row["id"]
    )


async def typists(raw: Any, fresh: Sequence[Arrival]) -> list[TypingSeen]:
    seen = []
    for arrival in fresh:
        if isinstance(arrival.event, TypingReported):
            conversation_id = await raw.fetchval(TYPIST, *key_of(arrival))
            if conversation_id:
                seen.append(
                    TypingSeen(
                        shop_id=show_id(SHOP, arrival.channel.shop_id),
                        conversation_id=show_id(CONVERSATION, conversation_id),
                        on=arrival.event.on,
                        by="contact",
                    )
                )
    return seen


def describe(error: BaseException) -> Reason:
    """Why an event could not be landed, for a person: the kind of fault and the database's or our own sentence."""
    text = str(getattr(error, "orig", None) or error).splitlines()
    return Reason(code=type(error).__name__, detail=json.dumps(text[0][:500])[1:-1] if text else type(error).__name__)
