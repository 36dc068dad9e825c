"""From Telegram's updates to our words. Pure.

Private chats, groups, business chats and channels' direct messages are conversations; what a channel posts is not.
An authentic update that cannot be read becomes `Undigested`, since Telegram repeats one that is refused for a day and
lets everything of its chat wait behind it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from aiogram.types import Message
from pydantic import ValidationError

from connectors.telegram.contents import content_of
from connectors.telegram.message_ids import external_id
from connectors.telegram.people import parse_connection, parse_membership, sender_of
from connectors.telegram.presses import parse_press, parse_reaction
from connectors.telegram.telling import GROUPS, Telling, Unreadable, names, names_chat, place_of
from shared.content import Content, Location
from shared.errors import Ignored, Malformed
from shared.events import (
    Echo,
    InboundEvent,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PeerConnected,
    PeerMoved,
)

# Bot API 7.0: payloads of up to 64 of these. Anything else behind /start was typed by the customer.
START: Final = re.compile(r"/start(?:@\w+)?(?:\s+([A-Za-z0-9_-]{1,64}))?\s*")
LIVE_S: Final = 60  # of a location that moves, one place is kept in this time: it moves every few seconds, for hours
YEAR_10000_S: Final = 253_402_300_800


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


def message_in(telling: Telling) -> Message:
    """The message of an update of any of the kinds that are one."""
    update, said = telling.update, telling.said
    message = update.message or update.edited_message or update.business_message or update.edited_business_message
    if message is None or not names(said, "message_id") or not names_chat(said):
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
    to_the_bot = message.chat.type not in GROUPS and not place.scope
    start = START.fullmatch(message.text or "") if to_the_bot else None
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


def edited_at(message: Message) -> datetime:
    seconds = message.edit_date or 0
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < YEAR_10000_S else message.date


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


def parse_deletion(telling: Telling) -> Iterator[InboundEvent]:
    """Only business chats tell of deletions, and not when they happened."""
    deleted = telling.update.deleted_business_messages
    if deleted is None or not deleted.message_ids or not names_chat(telling.said):
        raise Unreadable("deleted_business_messages")
    for number in deleted.message_ids:
        yield MessageDeleted(
            **telling.common(str(deleted.chat.id), None),
            external_id=external_id(number, deleted.business_connection_id),
        )


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
