"""`/v1/conversations` and `/v1/messages`."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.calls import PROBLEMS, Call, CanRead, CanWrite, the_id
from gateway.conversations import changes, reading, replies
from gateway.conversations.given import GivenContent
from gateway.conversations.store import (
    CONVERSATIONS,
    MESSAGES,
    conversations_by_id,
    conversations_by_rows,
    message_view,
    messages_by_id,
)
from gateway.paging import Order, Page, Reading, Wanted, read_cursor, show_cursor
from gateway.problems import not_found
from gateway.requests import StrictRoute
from gateway.versions import CACHED, CHANGEABLE, IfMatch, IfNoneMatch, Versioned, check_version
from gateway.views import ConversationView, MessageView, View
from shared.events import Evidence, Reason, Status
from shared.ids import AGENT, CHANNEL, CONTACT, CONVERSATION, MESSAGE, SHOP, show_id
from shared.model import StrictModel, Time
from shared.subjects import TypingSeen

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS)

NEWEST_FIRST: Final = Order({"updated_at": datetime, "id": uuid.UUID}, newest_first=True, table="c.")
VERSION: Final = sa.text("SELECT version FROM conversations WHERE shop_id = :shop_id AND id = :id")
RECEIPTS: Final = sa.text(
    "SELECT status, evidence, part, reason, occurred_at, recorded_at FROM receipts "
    "WHERE shop_id = :shop_id AND message_id = :id ORDER BY id"
)


class ReceiptView(View):
    """One line of a message's ledger. `occurred_at` is what the provider says, `recorded_at` our clock."""

    status: Status
    evidence: Evidence
    part: int | None
    reason: Reason | None
    occurred_at: Time | None
    recorded_at: Time


Statuses = Literal["open", "pending", "snoozed", "closed"]


@router.get("/v1/conversations", tags=["conversations"], operation_id="conversations.list")
async def list_conversations(
    call: CanRead,
    span: Wanted,
    status: Annotated[Statuses | None, Query()] = None,
    channel: Annotated[str | None, Query()] = None,
    assignee: Annotated[str | None, Query(description="An agent's id, or `none`.")] = None,
    contact: Annotated[str | None, Query()] = None,
    waiting: Annotated[bool | None, Query(description="Only those in which a customer waits for an answer.")] = None,
) -> Page[ConversationView]:
    """Newest activity first. A conversation in which something happens while you page moves to the front."""
    where = ["c.shop_id = :shop_id"]
    named: dict[str, Any] = {"shop_id": call.shop_id}
    for what, prefix, value in (("channel", CHANNEL, channel), ("contact", CONTACT, contact)):
        if value is not None:
            where.append(f"c.{what}_id = :{what}_id")
            named[f"{what}_id"] = the_id(prefix, value, what)
    if assignee == "none":
        where.append("c.assignee_id IS NULL")
    elif assignee is not None:
        where.append("c.assignee_id = :assignee_id")
        named["assignee_id"] = the_id(AGENT, assignee, "agent")
    if status is not None:
        where.append("c.status = :status")
        named["status"] = status
    if waiting is not None:
        where.append(f"c.waiting_since IS {'NOT ' if waiting else ''}NULL")
    listed = Reading(f"conversations {status} {channel} {assignee} {contact} {waiting}", NEWEST_FIRST, span)
    sql = CONVERSATIONS + "WHERE " + " AND ".join(where) + listed.sql
    async with call.read() as connection:
        rows = (await connection.execute(sa.text(sql), named | listed.named)).all()
        shown = listed.items(rows)
        views = await conversations_by_rows(connection, call.shop_id, shown, call.core.types, call.core.clock())
    return listed.page(rows, [call.core.links.conversation(call.shop_id, view) for view in views])


@router.get("/v1/conversations/{id}", tags=["conversations"], operation_id="conversations.get",
            response_model=ConversationView, responses=CACHED)  # fmt: skip
async def get_conversation(call: CanRead, id: str, if_none_match: IfNoneMatch = None) -> Response:
    key = the_id(CONVERSATION, id, "conversation")
    async with call.read() as connection:
        # The version first: a change between the two makes the tag too old, which is told, and not too new.
        version = await connection.scalar(VERSION, {"shop_id": call.shop_id, "id": key})
        view = call.core.links.conversation(call.shop_id, await the_conversation(call, connection, key))
    return Versioned(view, version).response(if_none_match=if_none_match)


async def the_conversation(call: Call, connection: AsyncConnection, key: uuid.UUID) -> ConversationView:
    views = await conversations_by_id(connection, call.shop_id, [key], call.core.types, call.core.clock())
    if key not in views:
        raise not_found("conversation")
    return views[key]


@router.patch("/v1/conversations/{id}", tags=["conversations"], operation_id="conversations.update",
              response_model=ConversationView, responses=CHANGEABLE)  # fmt: skip
async def update_conversation(
    call: CanWrite, id: str, change: changes.ConversationChange, if_match: IfMatch = None
) -> Response:
    key = the_id(CONVERSATION, id, "conversation")
    async with call.write() as connection:
        check_version(if_match, (await reading.locked(connection, call.shop_id, key)).version)
        view = await changes.update(connection, call.core, call.shop_id, key, change)
        version = await connection.scalar(VERSION, {"shop_id": call.shop_id, "id": key})
    return Versioned(call.core.links.conversation(call.shop_id, view), version).response()


@router.post("/v1/conversations/{id}/assign", tags=["conversations"], operation_id="conversations.assign",
             response_model=ConversationView)  # fmt: skip
async def assign(call: CanWrite, id: str, to: changes.Assignment) -> Response:
    """Give the conversation to an agent, or to nobody with `null`."""
    key = the_id(CONVERSATION, id, "conversation")

    async def give(connection: AsyncConnection) -> ConversationView:
        view = await changes.assign(connection, call.core, call.shop_id, key, to)
        return call.core.links.conversation(call.shop_id, view)

    return await call.once(give)


@router.get("/v1/conversations/{id}/messages", tags=["messages"], operation_id="messages.list")
async def list_messages(call: CanRead, id: str, span: Wanted) -> Page[MessageView]:
    """Oldest first. Without a cursor the newest come; `prev` leads to older ones, `next` to what comes later."""
    key = the_id(CONVERSATION, id, "conversation")
    name = f"messages {id}"
    named: dict[str, Any] = {"shop_id": call.shop_id, "id": key, "limit": span.limit}
    where = "WHERE m.shop_id = :shop_id AND m.conversation_id = :id "
    if span.after is not None:
        (named["seq"],) = read_cursor(name, span.after, int)
        sql = where + "AND m.seq > CAST(:seq AS bigint) ORDER BY m.seq LIMIT :limit"
    elif span.before is not None:
        (named["seq"],) = read_cursor(name, span.before, int)
        sql = where + "AND m.seq < CAST(:seq AS bigint) ORDER BY m.seq DESC LIMIT :limit"
    else:
        sql = where + "ORDER BY m.seq DESC LIMIT :limit"
    async with call.read() as connection:
        await the_conversation(call, connection, key)
        rows = (await connection.execute(sa.text(MESSAGES + sql), named)).all()
    shown = (call.core.links.message(call.shop_id, message_view(row)) for row in rows)
    items = sorted(shown, key=lambda message: message.seq)
    position = items[-1].seq if items else named.get("seq", 0)
    earlier = show_cursor(name, items[0].seq) if items and items[0].seq > 1 else None
    return Page(items=items, next=show_cursor(name, position), prev=earlier)


class GivenMessage(replies.NewMessage):
    """`client_ref` is the caller's own id of the message, unique in the conversation for ever."""

    content: GivenContent


@router.post("/v1/conversations/{id}/messages", tags=["messages"], operation_id="messages.send", status_code=201,
             response_model=MessageView)  # fmt: skip
async def send_message(call: CanWrite, id: str, new: GivenMessage) -> Response:
    """Queue an answer on the channel of the customer's last message, or keep a note with `visibility: internal`.

    What the channel cannot carry is refused now; what becomes of the rest is told by `message.status`.
    """
    key = the_id(CONVERSATION, id, "conversation")

    async def send(connection: AsyncConnection) -> MessageView:
        view = await replies.send(connection, call.core, call.principal, key, new)
        return call.core.links.message(call.shop_id, view)

    return await call.once(send, status=201)


@router.post("/v1/conversations/{id}/read", tags=["conversations"], operation_id="conversations.read",
             response_model=reading.ReadAnswer)  # fmt: skip
async def mark_read(call: CanWrite, id: str, mark: reading.ReadMark) -> Response:
    """Say that a person has read; the customer is told where the channel can."""
    key = the_id(CONVERSATION, id, "conversation")
    return await call.once(lambda connection: reading.mark_read(connection, call.core, call.principal, key, mark))


@router.post("/v1/conversations/{id}/typing", tags=["conversations"], operation_id="conversations.typing",
             status_code=202)  # fmt: skip
async def set_typing(call: CanWrite, id: str, mark: reading.TypingMark) -> reading.TypingAnswer:
    key = the_id(CONVERSATION, id, "conversation")
    async with call.read() as connection:
        channel_type, delivery = await reading.typing_delivery(connection, call.core, call.principal, key, mark)
    seen = TypingSeen(shop_id=show_id(SHOP, call.shop_id), conversation_id=id, on=mark.on, by="agent")
    await reading.show_typing(call.core, channel_type, delivery, seen)
    return reading.TypingAnswer(on=mark.on)


@router.get("/v1/messages/{id}", tags=["messages"], operation_id="messages.get")
async def get_message(call: CanRead, id: str) -> MessageView:
    async with call.read() as connection:
        return call.core.links.message(call.shop_id, await the_message(call, connection, id))


async def the_message(call: Call, connection: AsyncConnection, text: str) -> MessageView:
    key = the_id(MESSAGE, text, "message")
    views = await messages_by_id(connection, call.shop_id, [key])
    if key not in views:
        raise not_found("message")
    return views[key]


@router.get("/v1/messages/{id}/receipts", tags=["messages"], operation_id="messages.receipts")
async def list_receipts(call: CanRead, id: str) -> Page[ReceiptView]:
    """The ledger: everything that was ever reported of this message, in the order in which we heard of it."""
    async with call.read() as connection:
        await the_message(call, connection, id)
        named = {"shop_id": call.shop_id, "id": the_id(MESSAGE, id, "message")}
        rows = (await connection.execute(RECEIPTS, named)).mappings()
        return Page(items=[ReceiptView(**row) for row in rows])


class Resolution(StrictModel):
    """What a person found out about an uncertain message."""

    status: Annotated[Literal["sent", "failed"], Field(description="Did it arrive?")]


@router.post("/v1/messages/{id}/retry", tags=["messages"], operation_id="messages.retry", response_model=MessageView)
async def retry_message(call: CanWrite, id: str) -> Response:
    """Send a failed or uncertain message once more."""
    key = the_id(MESSAGE, id, "message")

    async def retry(connection: AsyncConnection) -> MessageView:
        view = await changes.retry(connection, call.core, call.principal, key)
        return call.core.links.message(call.shop_id, view)

    return await call.once(retry)


@router.post("/v1/messages/{id}/resolve", tags=["messages"], operation_id="messages.resolve",
             response_model=MessageView)  # fmt: skip
async def resolve_message(call: CanWrite, id: str, found: Resolution) -> Response:
    """Say what became of an uncertain message."""
    key = the_id(MESSAGE, id, "message")

    async def resolve(connection: AsyncConnection) -> MessageView:
        view = await changes.resolve(connection, call.principal, key, Status(found.status))
        return call.core.links.message(call.shop_id, view)

    return await call.once(resolve)
