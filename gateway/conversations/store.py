"""Conversations and messages, read from the tables as the API shows them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.views import Author, ChannelRef, ConversationView, Failure, MailView, MessageView, Part, Ref, Window
from shared.capabilities import Capabilities
from shared.connector import ChannelType
from shared.content import Content
from shared.ids import AGENT, CHANNEL, CONTACT, CONVERSATION, KEY, MESSAGE, show_id

CONTENT: Final[TypeAdapter[Content]] = TypeAdapter(Content)
AUTHOR_PREFIX: Final = {"contact": CONTACT, "agent": AGENT, "bot": AGENT, "shop": KEY, "system": KEY}

MESSAGES: Final = """
    SELECT m.*, c.agent_read_seq, c.contact_id,
           (SELECT json_agg(json_build_object('part', p.part, 'external_id', p.external_id, 'status', p.status)
                            ORDER BY p.part)
            FROM message_parts p WHERE (p.shop_id, p.message_id) = (m.shop_id, m.id)) AS parts
    FROM messages m JOIN conversations c ON (c.shop_id, c.id) = (m.shop_id, m.conversation_id)
"""
CONVERSATIONS: Final = """
    SELECT c.*, p.name AS contact_name, h.type AS channel_type, h.name AS channel_name, a.name AS assignee_name
    FROM conversations c
    JOIN contacts p ON (p.shop_id, p.id) = (c.shop_id, c.contact_id)
    JOIN channels h ON (h.shop_id, h.id) = (c.shop_id, c.channel_id)
    LEFT JOIN agents a ON (a.shop_id, a.id) = (c.shop_id, c.assignee_id)
"""


def message_view(row: Any) -> MessageView:
    """From a row of `MESSAGES`."""
    status = row.status
    if row.direction == "in" and row.seq <= row.agent_read_seq:
        status = "read"
    return MessageView(
        id=show_id(MESSAGE, row.id),
        conversation=show_id(CONVERSATION, row.conversation_id),
        seq=row.seq,
        direction=row.direction,
        visibility=row.visibility,
        author=author(row.author_type, row.author_id, row.author_name),
        content=CONTENT.validate_python(row.content),
        status=status,
        status_evidence=row.evidence,
        parts=tuple(Part(**part) for part in row.parts or ()),
        degraded=tuple(row.degraded or ()),
        reply_to=show_id(MESSAGE, row.reply_to) if row.reply_to else None,
        client_ref=row.client_ref,
        created_at=row.created_at,
        occurred_at=row.occurred_at,
        edited_at=row.edited_at,
        deleted_at=row.deleted_at,
        failure=Failure(**row.failure) if row.failure else None,
        mail=MailView.model_validate(row.mail) if row.mail else None,
    )


def author(kind: Any, author_id: uuid.UUID | None, name: str | None) -> Author:
    return Author(type=kind, id=show_id(AUTHOR_PREFIX[kind], author_id) if author_id else None, name=name)


def conversation_view(
    row: Any, last_message: MessageView | None, capabilities: Capabilities, now: datetime
) -> ConversationView:
    """From a row of `CONVERSATIONS`."""
    return ConversationView(
        id=show_id(CONVERSATION, row.id),
        contact=Ref(id=show_id(CONTACT, row.contact_id), name=row.contact_name),
        subject=row.subject,
        status=row.status,
        channel=ChannelRef(id=show_id(CHANNEL, row.channel_id), type=row.channel_type, name=row.channel_name),
        assignee=Ref(id=show_id(AGENT, row.assignee_id), name=row.assignee_name) if row.assignee_id else None,
        team=None,
        priority=row.priority,
        tags=tuple(row.tags),
        unread=row.unread,
        waiting_since=row.waiting_since,
        reply_window=reply_window(capabilities, row.last_inbound_at, now),
        last_message=last_message,
        last_seq=row.last_seq,
        agent_read_seq=row.agent_read_seq,
        contact_read_seq=row.contact_read_seq,
        created_at=row.created_at,
        updated_at=row.updated_at,
        closed_at=row.closed_at,
    )


def reply_window(capabilities: Capabilities, last_inbound_at: datetime | None, now: datetime) -> Window:
    """What kind of answer the channel allows now."""
    rule = capabilities.reply_window
    if rule.hours is None:
        return Window(state="free", closes_at=None)
    closes_at = last_inbound_at + timedelta(hours=rule.hours) if last_inbound_at else None
    if closes_at is not None and now < closes_at:
        return Window(state="free", closes_at=closes_at)
    return Window(state="template" if rule.template else "closed", closes_at=closes_at)


async def messages_by_id(
    connection: AsyncConnection, shop_id: uuid.UUID, ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, MessageView]:
    if not ids:
        return {}
    rows = await connection.execute(
        sa.text(MESSAGES + "WHERE m.shop_id = :shop_id AND m.id = ANY(:ids)"), {"shop_id": shop_id, "ids": list(ids)}
    )
    return {row.id: message_view(row) for row in rows}


async def conversations_by_rows(
    connection: AsyncConnection,
    shop_id: uuid.UUID,
    rows: Sequence[Any],
    types: Mapping[str, ChannelType],
    now: datetime,
) -> list[ConversationView]:
    """The views, each with its last message, in the order of the rows."""
    last = await messages_by_id(connection, shop_id, [row.last_message_id for row in rows if row.last_message_id])
    return [
        conversation_view(row, last.get(row.last_message_id), capabilities_of(types, row.channel_type), now)
        for row in rows
    ]


def capabilities_of(types: Mapping[str, ChannelType], name: str) -> Capabilities:
    """Nothing at all for a kind of channel that this version does not have."""
    kind = types.get(name)
    return kind.capabilities if kind is not None else Capabilities()


async def conversations_by_id(
    connection: AsyncConnection,
    shop_id: uuid.UUID,
    ids: Sequence[uuid.UUID],
    types: Mapping[str, ChannelType],
    now: datetime,
) -> dict[uuid.UUID, ConversationView]:
    if not ids:
        return {}
    found = await connection.execute(
        sa.text(CONVERSATIONS + "WHERE c.shop_id = :shop_id AND c.id = ANY(:ids)"),
        {"shop_id": shop_id, "ids": list(ids)},
    )
    rows = found.all()
    views = await conversations_by_rows(connection, shop_id, rows, types, now)
    return {row.id: view for row, view in zip(rows, views, strict=True)}
