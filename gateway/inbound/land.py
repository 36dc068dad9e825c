"""Land a batch: everything that the events of the channels mean, in one transaction, in statements over sets.

Kinds are landed in the order in which they can depend on each other (people, messages, edits, deletions, receipts);
within a kind the order of arrival holds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations.store import conversations_by_id, messages_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.inbound import journal
from gateway.inbound.arrivals import Arrival
from gateway.inbound.matters import Line, line_event, place
from gateway.inbound.people import Key, Person, find_or_make, key_of
from gateway.receipts import ledger
from shared.connector import ChannelType
from shared.events import (
    Address,
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
    types: Mapping[str, ChannelType]
    reopen_days: float


async def land(
    connection: AsyncConnection, arrivals: Sequence[Arrival], around: Surroundings, *, journaled: bool = False
) -> Landed:
    """Land what is new of these events. `journaled`: their journal rows exist and are being replayed."""
    now = (await connection.execute(sa.text("SELECT now()"))).scalar_one()
    raw = await driver(connection)
    fresh = list(arrivals) if journaled else await journal.record(raw, arrivals)
    landed = Landed()
    if not fresh:
        return landed
    news = [
        journal.quarantined_event(arrival, reason)
        for arrival in fresh
        if (reason := journal.undigested_reason(arrival)) is not None
    ]
    people, made = await land_people(raw, fresh, now)
    news += made
    news += await land_messages(connection, fresh, people, now, around)
    news += await land_changes(connection, fresh)
    receipts = [arrival for arrival in fresh if isinstance(arrival.event, ReceiptReported)]
    if receipts:
        news += await ledger.apply(connection, receipts)
        landed.sent = True
    landed.typing = await typists(raw, fresh)
    await append(raw, news)
    landed.shops = {event.shop_id for event in news}
    return landed


async def land_people(raw: Any, fresh: Sequence[Arrival], now: datetime) -> tuple[dict[Key, Person], list[NewEvent]]:
    senders: dict[Key, tuple[Address, Sender]] = {}
    for arrival in fresh:
        event = arrival.event
        if isinstance(event, MessageReceived | PeerConnected):
            senders.setdefault(key_of(arrival), (event.address, event.sender))
        elif isinstance(event, Echo):
            senders.setdefault(key_of(arrival), (event.address, Sender()))
    if not senders:
        return {}, []
    people, made = await find_or_make(raw, senders, now)
    for arrival in fresh:
        if isinstance(arrival.event, PeerConnected | PeerBlocked):
            blocked_at = now if isinstance(arrival.event, PeerBlocked) else None
            await raw.execute(BLOCK, *key_of(arrival), blocked_at)
    return people, made


async def land_messages(
    connection: AsyncConnection,
    fresh: Sequence[Arrival],
    people: Mapping[Key, Person],
    now: datetime,
    around: Surroundings,
) -> list[NewEvent]:
    messages = [(a, people[key_of(a)]) for a in fresh if isinstance(a.event, MessageReceived | Echo)]
    if not messages:
        return []
    raw = await driver(connection)
    lines = await place(raw, messages, now=now, reopen_days=around.reopen_days)
    return await conversation_news(connection, lines, now, around) + [line_event(line, now) for line in lines]


async def conversation_news(
    connection: AsyncConnection, lines: Sequence[Line], now: datetime, around: Surroundings
) -> list[NewEvent]:
    """`conversation.opened` and `.reopened`, told before the messages that caused them."""
    new = {line.conversation.id: line.conversation for line in lines if line.conversation.news}
    news = []
    for shop_id in {conversation.shop_id for conversation in new.values()}:
        ids = [conversation.id for conversation in new.values() if conversation.shop_id == shop_id]
        views = await conversations_by_id(connection, shop_id, ids, around.types, now)
        for conversation_id, view in views.items():
            conversation = new[conversation_id]
            assert conversation.news is not None
            news.append(
                NewEvent(shop_id, conversation.news, view.model_dump_json(), conversation_id, conversation.contact_id)
            )
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
