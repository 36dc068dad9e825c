"""Answer a customer: refused now if it cannot be said, and otherwise queued in one transaction."""

import uuid
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.principals import Principal
from gateway.calls import the_id
from gateway.channels.templates import offered
from gateway.conversations.store import capabilities_of, conversations_by_id, messages_by_id, reply_window
from gateway.core import Core
from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.files import store as files
from gateway.outbox import queue
from gateway.problems import Problem, not_found, unsupported
from gateway.views import MessageView
from shared import markup
from shared.capabilities import Capabilities, check_content
from shared.commands import SendMessage
from shared.content import Content, Reaction, Template, Text
from shared.errors import SendError
from shared.events import Address
from shared.ids import MESSAGE, new_uuid, show_id
from shared.model import StrictModel

WITH_ADDRESS: Final = """
    SELECT c.*, i.account, i.peer, i.blocked_at, h.type AS channel_type, h.state AS channel_state
    FROM conversations c
    JOIN identities i ON (i.shop_id, i.id) = (c.shop_id, c.identity_id)
    JOIN channels h ON (h.shop_id, h.id) = (c.shop_id, c.channel_id)
    WHERE c.shop_id = :shop_id AND c.id = :id
"""
LOCK: Final = sa.text(WITH_ADDRESS + "FOR UPDATE OF c")
BY_CLIENT_REF: Final = sa.text(
    "SELECT id FROM messages WHERE shop_id = :shop_id AND conversation_id = :id AND client_ref = :client_ref"
)
QUOTED: Final = """
    SELECT m.direction, m.external_id, (SELECT p.external_id FROM message_parts p
        WHERE (p.shop_id, p.message_id) = (m.shop_id, m.id) ORDER BY p.part LIMIT 1) AS part_external_id
    FROM messages m WHERE m.shop_id = $1 AND m.id = $2 AND m.conversation_id = $3
"""
WRITE: Final = """
    INSERT INTO messages (shop_id, id, conversation_id, seq, direction, visibility, author_type, author_id, author_name,
                          channel_id, identity_id, content, status, client_ref, reply_to, occurred_at)
    VALUES ($1, $2, $3, $4, 'out', $5, $6, $7, $8, $9, $10, $11::jsonb, $12, $13, $14, now())
"""
ADVANCE: Final = """
    UPDATE conversations
    SET last_seq = $3, last_message_id = $4, updated_at = now(), version = version + 1,
        waiting_since = CASE WHEN $5 THEN NULL ELSE waiting_since END,
        assignee_id = coalesce(assignee_id, $6),
        status = CASE WHEN $7 THEN 'open' ELSE status END, closed_at = CASE WHEN $7 THEN NULL ELSE closed_at END
    WHERE shop_id = $1 AND id = $2
"""
ANOTHER_OPEN: Final = sa.text(
    "SELECT 1 FROM conversations WHERE shop_id = :shop_id AND contact_id = :contact_id AND thread = :thread "
    "AND status <> 'closed'"
)


LAST_IS_AUTOMATIC: Final = sa.text(
    """
    SELECT mail ->> 'class' <> 'normal' FROM messages
    WHERE shop_id = :shop_id AND conversation_id = :id AND direction = 'in' ORDER BY seq DESC LIMIT 1
    """
)


class NewMessage(StrictModel):
    """`client_ref` is the caller's own id of the message, unique in the conversation for ever."""

    content: Content
    reply_to: str | None = None
    client_ref: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    visibility: Literal["public", "internal"] = "public"


async def send(
    connection: AsyncConnection, core: Core, principal: Principal, conversation_id: uuid.UUID, new: NewMessage
) -> MessageView:
    """Queue a message, or keep a note; the message as it stands. Raises `Problem`."""
    shop_id = principal.shop_id
    found = await connection.execute(LOCK, {"shop_id": shop_id, "id": conversation_id})
    row = found.one_or_none()
    if row is None:
        raise not_found("conversation")
    new = new.model_copy(update={"content": await readied(connection, row, new.content)})
    if new.client_ref is not None:
        first = await first_with_ref(connection, row, new)
        if first is not None:
            return first
    capabilities = capabilities_of(core.types, row.channel_type)
    if new.visibility == "public":
        await check_sendable(connection, row, capabilities, new.content, core)
        await check_reopening(connection, row)
        await check_not_between_machines(connection, principal, row)
    quoted = await find_quoted(connection, row, new.reply_to, capabilities)
    message_id = new_uuid()
    await files.give(connection, shop_id, new.content, message_id)
    await store(connection, principal, row, new, message_id)
    if new.visibility == "public":
        await enqueue(connection, principal, row, new, message_id, quoted, capabilities)
    view = (await messages_by_id(connection, shop_id, [message_id]))[message_id]
    contact = row.contact_id if new.visibility == "public" else None  # notes do not belong to what the contact sees
    event = NewEvent(shop_id, "message.queued", view.model_dump_json(), row.id, contact, message_id)
    news = await conversation_news(connection, core, principal, row, new)
    await append(await driver(connection), [*news, event])
    return view


async def conversation_news(
    connection: AsyncConnection, core: Core, principal: Principal, row: Any, new: NewMessage
) -> list[NewEvent]:
    """What the answer changed beside the thread: it may open the conversation again, and give it to who answered."""
    if new.visibility != "public":
        return []
    kinds = {
        "conversation.reopened": row.status != "open",
        "conversation.assigned": row.assignee_id is None and taker_of(principal) is not None,
    }
    if not any(kinds.values()):
        return []
    view = (await conversations_by_id(connection, row.shop_id, [row.id], core.types, core.clock()))[row.id]
    data = view.model_dump_json()
    return [NewEvent(row.shop_id, kind, data, row.id, row.contact_id) for kind, happened in kinds.items() if happened]


def taker_of(principal: Principal) -> uuid.UUID | None:
    """Who takes an unassigned conversation by answering: a person, not a bot and not the shop's own key."""
    return principal.id if principal.kind == "agent" and not principal.bot else None


async def first_with_ref(connection: AsyncConnection, row: Any, new: NewMessage) -> MessageView | None:
    """The message that has this client_ref already, if the same was meant; a repeat is harmless."""
    named = {"shop_id": row.shop_id, "id": row.id, "client_ref": new.client_ref}
    message_id = await connection.scalar(BY_CLIENT_REF, named)
    if message_id is None:
        return None
    first = (await messages_by_id(connection, row.shop_id, [message_id]))[message_id]
    if first.content != new.content or first.visibility != new.visibility:
        raise Problem("client_ref_conflict", "Another message of this conversation has this client_ref; use a new one.")
    return first


async def readied(connection: AsyncConnection, row: Any, content: Content) -> Content:
    """Content as it can be sent: its files known, its formatting safe, a reaction's target ours. Raises `Problem`."""
    match content:
        case Text(html=str(html)):
            cleaned = content.model_copy(update={"html": markup.clean(html)})
            return await files.fill_in(connection, row.shop_id, cleaned)
        case Reaction():
            quoted = await find_message(connection, row, content.target)
            if external_id_of(quoted) is None:
                raise Problem("unsupported", "The message to react to is not known to the channel yet.", final=False)
            return content
        case _:
            return await files.fill_in(connection, row.shop_id, content)


async def check_sendable(
    connection: AsyncConnection, row: Any, capabilities: Capabilities, content: Content, core: Core
) -> None:
    if row.channel_state != "active":
        raise Problem("channel_paused", "The channel is paused; see its state_reason, mend it and activate it again.")
    if row.blocked_at is not None:
        raise Problem("unsupported", "The customer has blocked this channel; write to them elsewhere.", final=False)
    try:
        check_content(capabilities, content)
    except SendError as error:
        raise unsupported(error) from error
    window = reply_window(capabilities, row.last_inbound_at, core.clock())
    if window.state == "closed" or (window.state == "template" and not isinstance(content, Template)):
        raise Problem(
            "reply_window_closed",
            "The customer wrote too long ago for a free answer; "
            + ("send a template." if window.state == "template" else "wait until they write again."),
            templates=await offered(connection, row.shop_id, row.channel_id) if window.state == "template" else (),
        )


async def check_reopening(connection: AsyncConnection, row: Any) -> None:
    """A closed conversation opens again by an answer, unless the customer has a newer one."""
    if row.status != "closed":
        return
    named = {"shop_id": row.shop_id, "contact_id": row.contact_id, "thread": row.thread}
    if await connection.scalar(ANOTHER_OPEN, named):
        raise Problem("conflict", "This conversation is closed and the customer has a newer open one; answer there.")


async def check_not_between_machines(connection: AsyncConnection, principal: Principal, row: Any) -> None:
    """A machine's mail is never answered by another: two of them would go on for ever."""
    if principal.bot and await connection.scalar(LAST_IS_AUTOMATIC, {"shop_id": row.shop_id, "id": row.id}):
        raise Problem(
            "unsupported", "The last mail was written by a machine; only a person may answer it.", final=False
        )


async def find_quoted(
    connection: AsyncConnection, row: Any, reply_to: str | None, capabilities: Capabilities
) -> Any | None:
    if reply_to is None:
        return None
    if not capabilities.quote:
        raise Problem("unsupported", "This channel cannot quote a message; send without reply_to.")
    return await find_message(connection, row, reply_to)


async def find_message(connection: AsyncConnection, row: Any, message_id: str) -> Any:
    """A message of this conversation, as a row of `QUOTED`."""
    key = the_id(MESSAGE, message_id, "message")
    found = await (await driver(connection)).fetchrow(QUOTED, row.shop_id, key, row.id)
    if found is None:
        raise not_found("message to reply or react to")
    return found


async def store(
    connection: AsyncConnection, principal: Principal, row: Any, new: NewMessage, message_id: uuid.UUID
) -> None:
    raw = await driver(connection)
    public = new.visibility == "public"
    kind = ("bot" if principal.bot else "agent") if principal.kind == "agent" else "shop"
    await raw.execute(
        WRITE,
        row.shop_id,
        message_id,
        row.id,
        row.last_seq + 1,
        new.visibility,
        kind,
        principal.id,
        principal.name if principal.kind == "agent" else principal.shop_name,
        row.channel_id,
        row.identity_id,
        new.content.model_dump_json(exclude_none=True),
        "queued" if public else "sent",
        new.client_ref,
        the_id(MESSAGE, new.reply_to, "message") if new.reply_to else None,
    )
    answered = public and kind != "bot"
    taker = taker_of(principal) if public else None
    await raw.execute(ADVANCE, row.shop_id, row.id, row.last_seq + 1, message_id, answered, taker, public)


async def enqueue(
    connection: AsyncConnection,
    principal: Principal,
    row: Any,
    new: NewMessage,
    message_id: uuid.UUID,
    quoted: Any | None,
    capabilities: Capabilities,
) -> None:
    content = new.content
    if isinstance(content, Reaction):
        target = external_id_of(await find_message(connection, row, content.target))
        content = content.model_copy(update={"target": target})
    command = SendMessage(
        address=address_of(row),
        context=row.context,
        message_id=show_id(MESSAGE, message_id),
        content=content,
        reply_to=external_id_of(quoted),
        author_name=principal.name if principal.kind == "agent" else principal.shop_name,
        subject=row.subject,
        automatic=principal.bot,
    )
    await queue.put(
        await driver(connection),
        command,
        shop_id=row.shop_id,
        lane=str(row.id),
        channel_id=row.channel_id,
        channel_type=row.channel_type,
        message_id=message_id,
        pace=capabilities.pace,
    )


def external_id_of(quoted: Any | None) -> str | None:
    """How the provider knows the quoted message, a row of `QUOTED`."""
    return (quoted["part_external_id"] or quoted["external_id"]) if quoted else None


def address_of(row: Any) -> Address:
    return Address(channel=row.channel_type, account=row.account, peer=row.peer, thread=row.thread or None)
