"""Changes by people of the shop: state, tags, owner, and what becomes of messages that went wrong."""

import uuid
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.principals import Principal
from gateway.calls import the_id
from gateway.conversations.reading import locked
from gateway.conversations.replies import (
    QUOTED,
    address_of,
    check_reopening,
    check_sendable,
    external_id_of,
    find_message,
)
from gateway.conversations.store import CONTENT, capabilities_of, conversations_by_id, messages_by_id
from gateway.core import Core
from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.outbox import queue
from gateway.problems import Problem, not_found
from gateway.receipts import ledger
from gateway.receipts.line import Row
from gateway.receipts.resuming import begin_again, doubted_parts, last_attempt
from gateway.views import ConversationView, MessageView
from shared.commands import SendMessage
from shared.content import Content, Reaction
from shared.events import Evidence, Reason, Status
from shared.ids import AGENT, MESSAGE, show_id
from shared.model import StrictModel

CHANGE: Final = """
    UPDATE conversations SET status = $3, tags = $4, priority = $5, updated_at = now(), version = version + 1,
        closed_at = CASE WHEN $3 = 'closed' THEN coalesce(closed_at, now()) END,
        waiting_since = CASE WHEN $3 = 'closed' THEN NULL ELSE waiting_since END
    WHERE shop_id = $1 AND id = $2
"""
ASSIGN: Final = """
    UPDATE conversations SET assignee_id = $3, updated_at = now(), version = version + 1 WHERE shop_id = $1 AND id = $2
"""
AGENT_EXISTS: Final = sa.text("SELECT 1 FROM agents WHERE shop_id = :shop_id AND id = :id")
CONVERSATION_OF: Final = sa.text("SELECT conversation_id FROM messages WHERE shop_id = :shop_id AND id = :id")
COMMAND_OF: Final = """
    SELECT id, state, attempts FROM outbox
    WHERE shop_id = $1 AND message_id = $2 AND kind = 'send_message' FOR UPDATE
"""
MESSAGE_ROW: Final = """
    SELECT m.shop_id, m.id, m.conversation_id, m.channel_id, m.identity_id, m.status, m.content::text AS content,
           m.author_name, m.author_type, m.reply_to, m.generation, m.external_id
    FROM messages m WHERE m.shop_id = $1 AND m.id = $2 FOR UPDATE
"""
SENT_ELSEWHERE: Final = "UPDATE messages SET channel_id = $3, identity_id = $4 WHERE shop_id = $1 AND id = $2"
NEWS: Final = {"closed": "conversation.closed", "snoozed": "conversation.snoozed", "open": "conversation.reopened"}

Tag = Annotated[str, Field(min_length=1, max_length=50)]


class ConversationChange(StrictModel):
    """Only what is named is changed."""

    status: Literal["open", "pending", "snoozed", "closed"] | None = None
    tags: Annotated[tuple[Tag, ...] | None, Field(max_length=50)] = None
    priority: Annotated[int | None, Field(ge=-10, le=10)] = None


class Assignment(StrictModel):
    """`null` gives it to nobody."""

    agent: str | None


async def update(
    connection: AsyncConnection, core: Core, shop_id: uuid.UUID, key: uuid.UUID, change: ConversationChange
) -> ConversationView:
    row = await locked(connection, shop_id, key)
    status = change.status or row.status
    if row.status == "closed" and status != "closed":
        await check_reopening(connection, row)
    tags = list(dict.fromkeys(change.tags)) if change.tags is not None else row.tags
    priority = row.priority if change.priority is None else change.priority
    await (await driver(connection)).execute(CHANGE, shop_id, key, status, tags, priority)
    kind = NEWS.get(status, "conversation.updated") if status != row.status else "conversation.updated"
    return await tell(connection, core, row, kind)


async def assign(
    connection: AsyncConnection, core: Core, shop_id: uuid.UUID, key: uuid.UUID, to: Assignment
) -> ConversationView:
    row = await locked(connection, shop_id, key)
    agent_id = the_id(AGENT, to.agent, "agent") if to.agent is not None else None
    if agent_id and not await connection.scalar(AGENT_EXISTS, {"shop_id": shop_id, "id": agent_id}):
        raise not_found("agent")
    await (await driver(connection)).execute(ASSIGN, shop_id, key, agent_id)
    return await tell(connection, core, row, "conversation.assigned")


async def tell(connection: AsyncConnection, core: Core, row: Any, kind: str) -> ConversationView:
    """Append the event, with the conversation as it is now."""
    views = await conversations_by_id(connection, row.shop_id, [row.id], core.types, core.clock())
    event = NewEvent(row.shop_id, kind, views[row.id].model_dump_json(), row.id, row.contact_id)
    await append(await driver(connection), [event])
    return views[row.id]


async def locked_message(connection: AsyncConnection, shop_id: uuid.UUID, key: uuid.UUID) -> tuple[Any, Any, Any]:
    """The conversation, the message's command in the outbox if there is one, and the message.

    Locked in the order in which everyone locks them. Raises `Problem`.
    """
    conversation_id = await connection.scalar(CONVERSATION_OF, {"shop_id": shop_id, "id": key})
    if conversation_id is None:
        raise not_found("message")
    row = await locked(connection, shop_id, conversation_id)
    raw = await driver(connection)
    command = await raw.fetchrow(COMMAND_OF, shop_id, key)
    return row, command, await raw.fetchrow(MESSAGE_ROW, shop_id, key)


async def retry(connection: AsyncConnection, core: Core, principal: Principal, key: uuid.UUID) -> MessageView:
    """Queue a failed or uncertain message again, at the end of its conversation's lane. Raises `Problem`."""
    shop_id, raw = principal.shop_id, await driver(connection)
    row, waiting, message = await locked_message(connection, shop_id, key)
    if message["status"] not in ("failed", "uncertain"):
        raise Problem(
            "conflict", f"Only a failed or uncertain message can be sent again; this one is {message['status']}."
        )
    if waiting is not None and waiting["state"] == "sending":
        raise Problem("conflict", "An attempt to send it is on its way just now; see how that ends.")
    capabilities = capabilities_of(core.types, row.channel_type)
    content = CONTENT.validate_json(message["content"])
    await check_sendable(connection, row, capabilities, content, core)
    quoted = await raw.fetchrow(QUOTED, shop_id, message["reply_to"], row.id)
    attempts_before = await last_attempt(raw, shop_id, key)
    if waiting is not None:
        attempts_before = max(attempts_before, waiting["attempts"])
        await raw.execute(queue.DONE, shop_id, waiting["id"])
    moved = (message["channel_id"], message["identity_id"]) != (row.channel_id, row.identity_id)
    if moved:
        await raw.execute(SENT_ELSEWHERE, shop_id, key, row.channel_id, row.identity_id)
    from_part, skip = await begin_again(raw, message, moved=moved)
    command = SendMessage(
        address=address_of(row),
        context=row.context,
        message_id=show_id(MESSAGE, key),
        content=await as_the_channel_knows_it(connection, row, content),
        reply_to=external_id_of(quoted),
        author_name=message["author_name"],
        subject=row.subject,
        automatic=message["author_type"] == "bot",
        from_part=from_part,
        skip=skip,
    )
    await queue.put(
        raw,
        command,
        shop_id=shop_id,
        lane=str(row.id),
        channel_id=row.channel_id,
        channel_type=row.channel_type,
        message_id=key,
        pace=capabilities.pace,
        attempts_before=attempts_before,
    )
    return await tell_message(connection, row, key, "message.queued")


async def as_the_channel_knows_it(connection: AsyncConnection, row: Any, content: Content) -> Content:
    """A reaction names the provider's id of its target."""
    if not isinstance(content, Reaction):
        return content
    target = external_id_of(await find_message(connection, row, content.target))
    return content.model_copy(update={"target": target}) if target else content


async def resolve(connection: AsyncConnection, principal: Principal, key: uuid.UUID, status: Status) -> MessageView:
    """Write into the ledger what a person found out. Raises `Problem`."""
    shop_id, raw = principal.shop_id, await driver(connection)
    _, _, message = await locked_message(connection, shop_id, key)
    if message["status"] != "uncertain":
        raise Problem("conflict", f"Only an uncertain message can be resolved; this one is {message['status']}.")
    reason = (
        Reason(code="resolved", detail="A person found that it did not arrive.") if status is Status.FAILED else None
    )
    parts: list[int | None] = [None]
    if status is Status.FAILED:  # what had gone out before did arrive
        parts = await doubted_parts(raw, message)
    line = Row(shop_id, message["channel_id"], key, status, Evidence.PERSON, None, reason=reason)
    await ledger.record(raw, [replace(line, part=part) for part in parts])
    await append(raw, await ledger.settle(connection, [(shop_id, key)]))
    return (await messages_by_id(connection, shop_id, [key]))[key]


async def tell_message(connection: AsyncConnection, row: Any, key: uuid.UUID, kind: str) -> MessageView:
    view = (await messages_by_id(connection, row.shop_id, [key]))[key]
    event = NewEvent(row.shop_id, kind, view.model_dump_json(), row.id, row.contact_id, key)
    await append(await driver(connection), [event])
    return view
