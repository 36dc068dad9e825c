"""An agent has read, or types: kept, told to the customer where the channel can, and said where it cannot."""

import uuid
from typing import Any, Final

import sqlalchemy as sa
from pydantic import model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.principals import Principal
from gateway.calls import the_id
from gateway.conversations.replies import LOCK, WITH_ADDRESS, address_of
from gateway.conversations.store import capabilities_of, conversations_by_id
from gateway.core import Core
from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.outbox import queue
from gateway.problems import Problem, not_found
from gateway.views import View
from shared.commands import MarkRead, SetTyping
from shared.errors import BusError
from shared.ids import CHANNEL, MESSAGE, show_id
from shared.model import StrictModel
from shared.subjects import TYPING_SEEN, Delivery, TypingSeen, outbound

NEWEST: Final = sa.text(
    """
    SELECT id, seq FROM messages WHERE shop_id = :shop_id AND conversation_id = :id AND id = ANY(:message_ids)
    ORDER BY seq DESC LIMIT 1
    """
)
BY_SEQ: Final = sa.text("SELECT id FROM messages WHERE shop_id = :shop_id AND conversation_id = :id AND seq = :seq")
LAST_INBOUND: Final = sa.text(
    """
    SELECT external_id FROM messages
    WHERE shop_id = :shop_id AND conversation_id = :id AND direction = 'in' AND seq <= :seq AND seq > :read_seq
    ORDER BY seq DESC LIMIT 1
    """
)
MARK: Final = """
    UPDATE conversations c SET agent_read_seq = $3, agent_read_at = now(), version = version + 1,
        unread = (SELECT count(*) FROM messages m WHERE (m.shop_id, m.conversation_id) = (c.shop_id, c.id)
                  AND m.direction = 'in' AND m.seq > $3)
    WHERE c.shop_id = $1 AND c.id = $2
"""


class ReadMark(StrictModel):
    """Everything up to one message, or up to the newest of several."""

    up_to: str | None = None
    message_ids: tuple[str, ...] = ()

    @model_validator(mode="after")
    def one_of_both(self) -> "ReadMark":
        if (self.up_to is None) == (not self.message_ids):
            raise ValueError("give either up_to or message_ids")
        return self


class ReadAnswer(View):
    """Whether the customer is told, and if not, why. `up_to` is how far the conversation is read now."""

    told_customer: bool
    reason: str | None
    up_to: str


class TypingMark(StrictModel):
    on: bool


class TypingAnswer(View):
    on: bool


async def mark_read(
    connection: AsyncConnection, core: Core, principal: Principal, conversation_id: uuid.UUID, mark: ReadMark
) -> ReadAnswer:
    """Move the read mark forward, never back. Raises `Problem`."""
    row = await locked(connection, principal.shop_id, conversation_id)
    ids = [the_id(MESSAGE, text, "message") for text in mark.message_ids or (mark.up_to or "",)]
    named = {"shop_id": row.shop_id, "id": row.id}
    newest = (await connection.execute(NEWEST, named | {"message_ids": ids})).one_or_none()
    if newest is None:
        raise not_found("message of this conversation")
    seq = newest.seq
    if seq <= row.agent_read_seq:
        last = (await connection.execute(BY_SEQ, named | {"seq": row.agent_read_seq})).scalar_one()
        return ReadAnswer(told_customer=False, reason="This was read before.", up_to=show_id(MESSAGE, last))
    raw = await driver(connection)
    await raw.execute(MARK, row.shop_id, row.id, seq)
    external_id = await connection.scalar(LAST_INBOUND, named | {"seq": seq, "read_seq": row.agent_read_seq})
    reason = await tell_customer(raw, core, row, external_id)
    await append_read(connection, core, row)
    return ReadAnswer(told_customer=reason is None, reason=reason, up_to=show_id(MESSAGE, newest.id))


async def locked(connection: AsyncConnection, shop_id: uuid.UUID, conversation_id: uuid.UUID) -> Any:
    """The conversation, its address and its channel, for a change. Raises `Problem`."""
    return await one(connection, LOCK, shop_id, conversation_id)


async def one(connection: AsyncConnection, sql: sa.TextClause, shop_id: uuid.UUID, conversation_id: uuid.UUID) -> Any:
    row = (await connection.execute(sql, {"shop_id": shop_id, "id": conversation_id})).one_or_none()
    if row is None:
        raise not_found("conversation")
    return row


async def tell_customer(raw: Any, core: Core, row: Any, external_id: str | None) -> str | None:
    """Queue our read for the channel; the reason why not, if it is not told."""
    if external_id is None:
        return "There is no message of the customer among what was read."
    if not capabilities_of(core.types, row.channel_type).receipts.can_tell_read(row.context):
        return "This channel cannot tell a customer that we read."
    if row.channel_state != "active":
        return "The channel is paused."
    command = MarkRead(address=address_of(row), context=row.context, external_id=external_id, read_at=core.clock())
    lane = f"read:{row.id}"
    await raw.execute(queue.SUPERSEDE, row.shop_id, lane)
    await queue.put(
        raw,
        command,
        shop_id=row.shop_id,
        lane=lane,
        channel_id=row.channel_id,
        channel_type=row.channel_type,
    )
    return None


async def append_read(connection: AsyncConnection, core: Core, row: Any) -> None:
    views = await conversations_by_id(connection, row.shop_id, [row.id], core.types, core.clock())
    event = NewEvent(row.shop_id, "conversation.read", views[row.id].model_dump_json(), row.id, row.contact_id)
    await append(await driver(connection), [event])


async def typing_delivery(
    connection: AsyncConnection, core: Core, principal: Principal, conversation_id: uuid.UUID, mark: TypingMark
) -> tuple[str, Delivery]:
    """The channel's type and what to hand to it, so that the customer sees us type. Raises `Problem`."""
    # Not locked: nothing is changed, and who is changing something must not be waited for.
    row = await one(connection, sa.text(WITH_ADDRESS), principal.shop_id, conversation_id)
    if not capabilities_of(core.types, row.channel_type).typing.level:
        raise Problem("unsupported", "This channel cannot show that we type.")
    name = principal.name if principal.kind == "agent" else principal.shop_name
    command = SetTyping(address=address_of(row), context=row.context, on=mark.on, author_name=name)
    return row.channel_type, Delivery(channel_id=show_id(CHANNEL, row.channel_id), command=command)


async def show_typing(core: Core, channel_type: str, delivery: Delivery, seen: TypingSeen) -> None:
    """Tell the customer and the other agents. Live only, and outside any transaction. Raises `Problem`."""
    try:
        await core.bus.publish(outbound(channel_type), delivery)
    except BusError as error:
        raise Problem("unavailable", "The channel cannot be reached just now.", headers={"Retry-After": "1"}) from error
    core.bus.signal(TYPING_SEEN, seen)
