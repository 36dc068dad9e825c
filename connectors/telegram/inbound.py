"""From Telegram's updates to our words. Pure.

Private chats, groups, business chats and channels' direct messages are conversations; what a channel posts is not.
An authentic update that cannot be read becomes `Undigested`, since Telegram repeats one that is refused for a day and
lets everything of its chat wait behind it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from aiogram.types import (
    CallbackQuery,
    Chat,
    Contact,
    InlineKeyboardMarkup,
    Message,
    MessageReactionUpdated,
    ReactionTypePaid,
    Update,
    User,
)
from pydantic import JsonValue, ValidationError

from connectors.telegram.capabilities import BUSINESS, CHANNEL
from connectors.telegram.contents import content_of
from connectors.telegram.message_ids import external_id, press_id, reaction_id
from connectors.telegram.reading import UNDATED, read_update
from shared.content import Choice, Content, Location, Opaque, Reaction
from shared.errors import Ignored, Malformed
from shared.events import (
    Address,
    ChannelReported,
    Echo,
    InboundEvent,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PeerBlocked,
    PeerConnected,
    PeerMoved,
    Reason,
    Sender,
    Undigested,
)
from shared.model import to_utc

CALLBACK: Final = "callback"  # the note that names a press which waits for an answer
CHAT: Final = "chat"  # the note that names the chat, where it is not the peer
TOPIC: Final = "topic"  # the note that names the customer's topic in a channel's direct messages
GROUPS: Final = frozenset({"group", "supergroup"})
# Bot API 7.0: payloads of up to 64 of these. Anything else behind /start was typed by the customer.
START: Final = re.compile(r"/start(?:@\w+)?(?:\s+([A-Za-z0-9_-]{1,64}))?\s*")
NO_GLYPH: Final = "❔"  # a custom emoji is a picture; Telegram tells its number only
PAID_GLYPH: Final = "⭐"
LIVE_S: Final = 60  # of a location that moves, one place is kept in this time: it moves every few seconds, for hours
YEAR_10000_S: Final = 253_402_300_800


class Unreadable(Exception):
    """The update does not name the chat or the message it is about."""


def parse_payload(body: bytes, *, account: str | None = None) -> list[InboundEvent]:
    """Every event of one update. `account` is our bot's id. Raises `Malformed` or `Ignored` and nothing else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON; only Telegram should call this address.") from None
    if not isinstance(data, dict):
        raise Malformed("The body is not an update of Telegram's; only Telegram should call this address.")
    return parse_update(data, body, account=account)


def parse_update(data: Mapping[str, Any], raw: bytes, *, account: str | None) -> list[InboundEvent]:
    """The same for an update that is JSON already. Raises `Malformed` or `Ignored`."""
    kinds = [kind for kind in PARSERS if data.get(kind) is not None]
    if not isinstance(data.get("update_id"), int) and not any(isinstance(data[kind], dict) for kind in kinds):
        raise Malformed("The body is not an update of Telegram's: it has no update_id.")
    telling = Telling(data, raw, account)
    events = [event for kind in kinds for event in parse_kind(kind, telling)]
    if not events:
        raise Ignored("The update tells nothing that belongs to a conversation.")
    return events


def parse_kind(kind: str, telling: "Telling") -> list[InboundEvent]:
    try:
        return list(PARSERS[kind](telling.of(kind)))
    except (Unreadable, RecursionError, ValidationError) as error:
        return [telling.undigested(f"The {kind} cannot be read ({type(error).__name__}).")]


@dataclass(frozen=True)
class Telling:
    """An update, or one kind of news in it: `said` is that as JSON."""

    data: Mapping[str, Any]
    raw: bytes
    account: str | None
    said: Mapping[str, Any] = field(default_factory=dict)
    update: Update = field(default_factory=lambda: Update.model_construct(update_id=0))

    def of(self, kind: str) -> "Telling":
        said = self.data[kind]
        if not isinstance(said, dict):
            raise Unreadable(kind)
        update = read_update({"update_id": self.data.get("update_id", 0), kind: said})
        return Telling(self.data, self.raw, self.account, said, update)

    @property
    def number(self) -> str:
        """What tells this update from every other, also when it comes again."""
        number = self.data.get("update_id")
        return f"u{number}" if isinstance(number, int) else hashlib.blake2b(self.raw, digest_size=8).hexdigest()

    def common(self, peer: str, at: datetime | None, thread: str | None = None) -> dict[str, Any]:
        """What every event has."""
        address = Address(channel=CHANNEL, account=self.account or "", peer=peer, thread=thread)
        return {"address": address, "occurred_at": moment(at), "raw": self.raw}

    def undigested(self, detail: str) -> Undigested:
        reason = Reason(code="unreadable", detail=detail)
        return Undigested(**self.common("unknown", None), external_id=self.number, reason=reason)


@dataclass(frozen=True)
class Place:
    """Where something was said. `scope` is where its number counts, `notes` what an answer needs to get there."""

    peer: str
    thread: str | None = None
    scope: str = ""
    notes: Mapping[str, JsonValue] = field(default_factory=dict)

    def id(self, number: int) -> str:
        return external_id(number, self.scope)


def place_of(message: Message) -> Place:
    topic = message.direct_messages_topic
    if topic is not None:  # a channel's direct messages: one chat, in which every customer has a topic
        chat = str(message.chat.id)
        peer = str(topic.user.id) if topic.user else f"{chat}/{topic.topic_id}"
        return Place(peer, scope=chat, notes={CHAT: chat, TOPIC: topic.topic_id})
    thread = str(message.message_thread_id) if message.is_topic_message and message.message_thread_id else None
    if message.business_connection_id:
        connection = message.business_connection_id
        return Place(str(message.chat.id), thread, connection, {BUSINESS: connection})
    return Place(str(message.chat.id), thread)


# Messages


def message_in(telling: Telling) -> Message:
    """The message of an update of any of the kinds that are one."""
    update, said = telling.update, telling.said
    message = update.message or update.edited_message or update.business_message or update.edited_business_message
    chat = said.get("chat")
    if message is None or said.get("message_id") is None or not isinstance(chat, dict) or chat.get("id") is None:
        raise Unreadable("message")
    return message


def parse_message(telling: Telling) -> Iterator[InboundEvent]:
    message = message_in(telling)
    if of_no_interest(message) or is_from_us(message, telling.account):
        return
    place = place_of(message)
    common = telling.common(place.peer, message.date, place.thread)
    number = place.id(message.message_id)
    if message.migrate_to_chat_id:
        yield PeerMoved(**common, external_id=number, to=str(message.migrate_to_chat_id), sender=sender_of(message))
        return
    content = content_of(message, telling.said)
    if content is None:
        return
    answered = place.id(message.reply_to_message.message_id) if message.reply_to_message else None
    if is_from_our_side(message):
        yield Echo(**common, external_id=number, content=content, origin=origin_of(message), reply_to=answered)
        return
    start = START.fullmatch(message.text or "") if message.chat.type not in GROUPS else None
    if start:  # opens the chat and says nothing: a conversation begins with the first word
        yield PeerConnected(**common, external_id=number, sender=sender_of(message), payload=start[1])
        return
    yield MessageReceived(
        **common,
        context=dict(place.notes),
        external_id=number,
        sender=sender_of(message),
        content=content,
        reply_to=answered,
    )


def parse_edit(telling: Telling) -> Iterator[InboundEvent]:
    message = message_in(telling)
    content = content_of(message, telling.said)
    if content is None or of_no_interest(message) or is_from_us(message, telling.account):
        return
    place = place_of(message)
    yield MessageEdited(
        **telling.common(place.peer, edited_at(message), place.thread),
        context=dict(place.notes),
        external_id=place.id(message.message_id),
        content=content,
        version=version_of(message, content, telling.number),
    )


def version_of(message: Message, content: Content, number: str) -> str:
    """Two edits may have the same second, but not the same update. Where a place moves, once in a while is enough."""
    if isinstance(content, Location) and message.location is not None and message.location.live_period:
        return f"live:{(message.edit_date or 0) // LIVE_S}"
    return f"{message.edit_date or 0}:{number}"


def of_no_interest(message: Message) -> bool:
    """A channel's own posts, also those that its group repeats; ephemeral messages have no number of their own."""
    return message.chat.type == "channel" or bool(message.is_automatic_forward or message.ephemeral_message_id)


def is_from_us(message: Message, account: str | None) -> bool:
    """Our own message in a business chat: its number was in the answer when we sent it."""
    bot = message.sender_business_bot
    return bot is not None and account is not None and str(bot.id) == account


def is_from_our_side(message: Message) -> bool:
    """A person of the shop wrote, from the business account or from the channel, and not the customer."""
    writer, topic = message.from_user, message.direct_messages_topic
    if topic is not None:
        return bool(topic.user and writer and writer.id != topic.user.id)
    if message.business_connection_id is None:
        return False
    return message.sender_business_bot is not None or (writer is not None and writer.id != message.chat.id)


def origin_of(message: Message) -> Literal["provider_app", "other_api"]:
    return "other_api" if message.sender_business_bot else "provider_app"


def sender_of(message: Message) -> Sender:
    return sender(message.from_user or message.sender_chat or message.chat, shared=message.contact)


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


def parse_deletion(telling: Telling) -> Iterator[InboundEvent]:
    """Only business chats tell of deletions, and not when they happened."""
    deleted = telling.update.deleted_business_messages
    if deleted is None or not deleted.message_ids or not isinstance(telling.said.get("chat"), dict):
        raise Unreadable("deleted_business_messages")
    for number in deleted.message_ids:
        yield MessageDeleted(
            **telling.common(str(deleted.chat.id), None),
            external_id=external_id(number, deleted.business_connection_id),
        )


# Presses and reactions


def parse_press(telling: Telling) -> Iterator[InboundEvent]:
    press, person = telling.update.callback_query, telling.said.get("from")
    if press is None or not press.id or not isinstance(person, dict) or person.get("id") is None:
        raise Unreadable("callback_query")
    message = press.message if isinstance(press.message, Message) else None
    place = place_of(message) if message else Place(str(press.message.chat.id if press.message else press.from_user.id))
    yield MessageReceived(
        # Telegram does not say when it was pressed: the message with the button is the nearest known time.
        **telling.common(place.peer, message.date if message else None, place.thread),
        context={**place.notes, CALLBACK: press.id},
        external_id=press_id(press.id),
        sender=sender(press.from_user),
        content=pressed(press, message),
        reply_to=place.id(press.message.message_id) if press.message else None,
    )


def pressed(press: CallbackQuery, message: Message | None) -> Content:
    if not press.data:
        return Opaque(what="game" if press.game_short_name else "callback_query")
    return Choice(id=press.data, label=label_of(press.data, message.reply_markup if message else None) or press.data)


def label_of(data: str, keyboard: InlineKeyboardMarkup | None) -> str | None:
    buttons = (button for row in (keyboard.inline_keyboard if keyboard else ()) for button in row)
    return next((button.text for button in buttons if button.callback_data == data), None)


def parse_reaction(telling: Telling) -> Iterator[InboundEvent]:
    reaction, chat = telling.update.message_reaction, telling.said.get("chat")
    if reaction is None or telling.said.get("message_id") is None or not isinstance(chat, dict):
        raise Unreadable("message_reaction")
    if reaction.chat.type in (*GROUPS, "channel"):  # one of many people, about a message of anyone
        return
    target = external_id(reaction.message_id)
    yield MessageReceived(
        **telling.common(str(reaction.chat.id), reaction.date),
        external_id=reaction_id(target, telling.number),
        sender=sender(reaction.user or reaction.chat),
        content=Reaction(emoji=newest_glyph(reaction), target=target),
    )


def newest_glyph(reaction: MessageReactionUpdated) -> str:
    """What was added last; of what remains, the last; empty when nothing does."""
    before = [glyph(one) for one in reaction.old_reaction]
    after = [glyph(one) for one in reaction.new_reaction]
    added = [one for one in after if one not in before]
    return next(reversed(added or after), "")


def glyph(reaction: object) -> str:
    """A salvaged reaction may lack what makes it one."""
    if isinstance(reaction, ReactionTypePaid):
        return PAID_GLYPH
    return getattr(reaction, "emoji", None) or NO_GLYPH


# People


def parse_membership(telling: Telling) -> Iterator[InboundEvent]:
    """The customer has blocked our bot, or let it in again."""
    change, chat = telling.update.my_chat_member, telling.said.get("chat")
    if change is None or not isinstance(chat, dict) or chat.get("id") is None:
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


# Times


def moment(at: datetime | None) -> datetime:
    """In UTC; for what is no time, the beginning of all times: the event must not be lost for it."""
    if at is None:
        return UNDATED
    try:
        return to_utc(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
    except ValueError:
        return UNDATED


def edited_at(message: Message) -> datetime:
    seconds = message.edit_date or 0
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < YEAR_10000_S else message.date


PARSERS: Final[Mapping[str, Callable[[Telling], Iterator[InboundEvent]]]] = {
    "message": parse_message,
    "edited_message": parse_edit,
    "business_message": parse_message,
    "edited_business_message": parse_edit,
    "deleted_business_messages": parse_deletion,
    "callback_query": parse_press,
    "message_reaction": parse_reaction,
    "my_chat_member": parse_membership,
    "business_connection": parse_connection,
}
ALLOWED_UPDATES: Final = tuple(PARSERS)  # always asked for by name: Telegram leaves reactions out of its own list
