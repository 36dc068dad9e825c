"""Who wrote, who blocked us and came back, and which business accounts let our bot in. Pure."""

import re
from collections.abc import Iterator

from aiogram.types import Chat, Contact, Message, User

from connectors.telegram.telling import GROUPS, Telling, Unreadable, names_chat
from shared.events import ChannelReported, InboundEvent, PeerBlocked, PeerConnected, Reason, Sender


def sender_of(message: Message) -> Sender:
    found = sender(message.from_user or message.sender_chat or message.chat, shared=message.contact)
    return found if message.direct_messages_topic else in_chat(found, message.chat)


def in_chat(found: Sender, chat: Chat) -> Sender:
    """The same; in a group it is a member of the partner's. A channel's direct messages are no group."""
    grouped = chat.type in GROUPS and not chat.is_direct_messages
    return found.model_copy(update={"group": chat.title or ""}) if grouped else found


def sender(found: User | Chat, *, shared: Contact | None = None) -> Sender:
    """What Telegram says of a person. A phone is theirs only if the contact they share is their own."""
    name = " ".join(filter(None, (found.first_name, found.last_name))) or (
        found.title if isinstance(found, Chat) else None
    )
    own = shared is not None and shared.user_id == found.id
    digits = re.sub(r"\D", "", shared.phone_number) if own and shared is not None else ""
    return Sender(
        name=name or found.username,
        username=found.username,
        locale=found.language_code if isinstance(found, User) else None,
        phone=f"+{digits}" if digits else None,
    )


def parse_membership(telling: Telling) -> Iterator[InboundEvent]:
    """The customer has blocked our bot, or let it in again."""
    change = telling.update.my_chat_member
    if change is None or not names_chat(telling.said):
        raise Unreadable("my_chat_member")
    if change.chat.type in (*GROUPS, "channel"):
        return
    common = telling.common(str(change.chat.id), change.date)
    status = getattr(change.new_chat_member, "status", None)
    if status in ("kicked", "left"):
        yield PeerBlocked(**common, external_id=telling.number)
    elif status in ("member", "administrator", "creator"):
        yield PeerConnected(**common, external_id=telling.number, sender=sender(change.from_user))


def parse_connection(telling: Telling) -> Iterator[InboundEvent]:
    """The owner of a business account has let our bot in or out. Only what stops the shop's work is told."""
    connection = telling.update.business_connection
    if connection is None or not connection.id:
        raise Unreadable("business_connection")
    problem = None
    if not connection.is_enabled:
        problem = Reason(
            code="business_disconnected",
            detail="A business account has disconnected the bot; its customers can no longer be answered from here.",
        )
    elif connection.rights is not None and not connection.rights.can_reply:
        problem = Reason(
            code="business_read_only",
            detail="A business account lets the bot read and not reply; its owner can give it that right.",
        )
    if problem is not None:
        common = telling.common(telling.account or "unknown", connection.date)
        yield ChannelReported(**common, external_id=telling.number, topic="account", problem=problem)
