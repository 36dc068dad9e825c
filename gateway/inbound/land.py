"""Land a batch: everything that the events of the channels mean, in one transaction, in statements over sets.

Kinds are landed in the order in which they can depend on each other (people, messages, edits, deletions, receipts);
within a kind the order of arrival holds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations.store import conversations_by_id, messages_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent, append, lock_feeds
from gateway.inbound import journal
from gateway.inbound.arrivals import Arrival
from gateway.inbound.matters import Conversation, line_event, open_conversations, place, write
from gateway.inbound.people import key_of, make_people, senders_of
from gateway.inbound.stage import Staged, stage
from gateway.receipts import ledger
from gateway.receipts.outcomes import ShowChannel
from shared.connector import ChannelType
from shared.events import (
    Echo,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PeerBlocked,
    PeerConnected,
    Reason,
    ReceiptReported,
    Sender,
    TypingReported,
)
from shared.ids import CONVERSATION, SHOP, show_id
from shared.model import show_time
from shared.subjects import TypingSeen

EDIT: Final = """
    UPDATE messages m
    SET history = coalesce(m.history, '[]') || jsonb_build_object('content', m.content,
                                                                  'at', coalesce(m.edited_at, m.created_at)),
        content = $6::jsonb, edited_at = now()
    FROM identities i
    WHERE m.shop_id = $1 AND m.channel_id = $2 AND m.external_id = $5 AND m.deleted_at IS NULL
      AND (i.shop_id, i.id) = (m.shop_id, m.identity_id) AND i.account = $3 AND i.peer = $4
    RETURNING m.id, m.conversation_id, i.contact_id
"""
DELETE: Final = """
    UPDATE messages m SET deleted_at = coalesce(m.deleted_at, now())
    FROM identities i
    WHERE m.shop_id = $1 AND m.channel_id = $2 AND m.external_id = $5
      AND (i.shop_id, i.id) = (m.shop_id, m.identity_id) AND i.account = $3 AND i.peer = $4
    RETURNING m.id, m.conversation_id, i.contact_id
"""
BLOCK: Final = """
    UPDATE identities i SET blocked_at = $5
    WHERE i.shop_id = $1 AND i.channel_type = $2 AND i.account = $3 AND i.peer = $4
"""
TYPIST: Final = """
    SELECT c.id FROM identities i JOIN conversations c ON (c.shop_id, c.contact_id) = (i.shop_id, i.contact_id)
    WHERE i.shop_id = $1 AND i.channel_type = $2 AND i.account = $3 AND i.peer = $4 AND c.status <> 'closed'
    ORDER BY c.updated_at DESC LIMIT 1
"""
UNKNOWN_MESSAGE: Final = Reason(
    code="unknown_message", detail="The message it speaks of is not here (yet); replay it later."
)


@dataclass(slots=True)
class Landed:
    """What a batch led to beside its rows: signals to give once it is committed."""

    shops: set[Any] = field(default_factory=set)
    typing: list[TypingSeen] = field(default_factory=list)
    sent: bool = False


@dataclass(slots=True)
class Surroundings:
    """What landing needs to know beside the events."""

    types: Mapping[str, ChannelType]
    reopen_days: float
    show_channel: ShowChannel


async def land(
    connection: AsyncConnection, arrivals: Sequence[Arrival], around: Surroundings, *, journaled: bool = False
) -> Landed:
    """Land what is new of these events, in the caller's transaction. `journaled`: they are replayed from quarantine.

    Raises `Overtaken`: another transaction came first with the same people; the same call again finds them.
    """
    raw = await driver(connection)
    staged = await stage(raw, arrivals, journaled=journaled)
    landed = Landed()
    if not staged.fresh:
        return landed
    news = [
        journal.quarantined_event(arrival, reason)
        for arrival in staged.fresh
        if (reason := journal.undigested_reason(arrival)) is not None
    ]
    news += await land_people(raw, staged)
    landed.shops = {arrival.channel.shop_id for arrival in staged.fresh}
    news = await land_messages(connection, staged, around, news)
    news += await land_changes(connection, staged.fresh)
    receipts = [arrival for arrival in staged.fresh if isinstance(arrival.event, ReceiptReported)]
    if receipts:
        news += await ledger.apply(connection, receipts, around.show_channel)
        landed.sent = True
    landed.typing = await typists(raw, staged.fresh)
    await append(raw, news)
    return landed


async def land_people(raw: Any, staged: Staged) -> list[NewEvent]:
    """Make the people who are new, and note who has blocked us or come back."""
    strangers = [
        (arrival, sender)
        for arrival in staged.fresh
        if (sender := sender_of(arrival)) is not None and key_of(arrival) not in staged.people
    ]
    news: list[NewEvent] = []
    if strangers:
        made, news = await make_people(raw, senders_of(strangers), staged.now)
        staged.people |= made
    for arrival in staged.fresh:
        if isinstance(arrival.event, PeerConnected | PeerBlocked):
            blocked_at = staged.now if isinstance(arrival.event, PeerBlocked) else None
            await raw.execute(BLOCK, *key_of(arrival), blocked_at)
    return news


def sender_of(arrival: Arrival) -> Sender | None:
    """What is told of the sender, by the events that make a contact."""
    match arrival.event:
        case MessageReceived() | PeerConnected():
            return arrival.event.sender
        case Echo():
            return Sender()
        case _:
            return None


async def land_messages(
    connection: AsyncConnection, staged: Staged, around: Surroundings, news: Sequence[NewEvent]
) -> list[NewEvent]:
    """Write the messages, and with them the events so far; answer with those still to be written."""
    messages = [(a, staged.people[key_of(a)]) for a in staged.fresh if isinstance(a.event, MessageReceived | Echo)]
    if not messages:
        return list(news)
    raw = await driver(connection)
    lines = await place(raw, messages, staged.conversations, now=staged.now, reopen_days=around.reopen_days)
    now = show_time(staged.now)
    told = [line_event(line, now) for line in lines]
    changed = list({c.id: c for line in lines if (c := line.conversation).news}.values())
    if not changed:
        await lock_feeds(raw, {event.shop_id for event in told})
        await write(raw, lines, [*news, *told])
        return []
    await open_conversations(raw, [c for c in changed if c.news == "conversation.opened"])
    await write(raw, lines, [])
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
    """Edits, then deletions; what speaks of an unknown message is set aside for a later replay."""
    raw = await driver(connection)
    news = []
    for arrival in (a for a in fresh if isinstance(a.event, MessageEdited)):
        assert isinstance(arrival.event, MessageEdited)
        content = arrival.event.content.model_dump_json(exclude_none=True)
        row = await raw.fetchrow(EDIT, *which(arrival), arrival.event.external_id, content)
        news.append(await changed(connection, arrival, row, "message.edited"))
    for arrival in (a for a in fresh if isinstance(a.event, MessageDeleted)):
        assert isinstance(arrival.event, MessageDeleted)
        row = await raw.fetchrow(DELETE, *which(arrival), arrival.event.external_id)
        news.append(await changed(connection, arrival, row, "message.deleted"))
    return news


def which(arrival: Arrival) -> tuple[Any, ...]:
    address = arrival.event.address
    return arrival.channel.shop_id, arrival.channel.id, address.account, address.peer


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
