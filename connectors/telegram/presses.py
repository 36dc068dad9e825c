"""Pressed buttons and reactions: what customers say without writing. Pure."""

from collections.abc import Iterator
from typing import Final

from aiogram.types import (
    CallbackQuery,
    InaccessibleMessage,
    InlineKeyboardMarkup,
    Message,
    MessageReactionUpdated,
    ReactionTypePaid,
)

from connectors.telegram.message_ids import external_id, press_id, reaction_id
from connectors.telegram.people import in_chat, sender
from connectors.telegram.telling import CALLBACK, GROUPS, Place, Telling, Unreadable, names, names_chat, place_of
from shared.content import Choice, Content, Opaque, Reaction
from shared.events import InboundEvent, MessageReceived

NO_GLYPH: Final = "❔"  # a custom emoji is a picture; Telegram tells its number only
PAID_GLYPH: Final = "⭐"


def parse_press(telling: Telling) -> Iterator[InboundEvent]:
    press, person = telling.update.callback_query, telling.said.get("from")
    if press is None or not press.id or not isinstance(person, dict) or not names(person, "id"):
        raise Unreadable("callback_query")
    offer = offer_of(press, telling.said.get("message"))
    message = offer if isinstance(offer, Message) else None  # what is too old, Telegram tells only the number of
    place = place_of(message) if message else Place(str(offer.chat.id if offer else press.from_user.id))
    yield MessageReceived(
        # Telegram does not say when it was pressed: the message with the button is the nearest known time.
        **telling.common(place.peer, message.date if message else None, place.thread),
        context={**place.notes, CALLBACK: press.id},
        external_id=press_id(press.id),
        sender=in_chat(sender(press.from_user), offer.chat) if offer else sender(press.from_user),
        content=pressed(press, message),
        reply_to=place.id(offer.message_id) if offer else None,
    )


def offer_of(press: CallbackQuery, said: object) -> Message | InaccessibleMessage | None:
    """The message with the button, if it can be told which."""
    known = isinstance(said, dict) and names(said, "message_id") and names_chat(said)
    return press.message if known else None


def pressed(press: CallbackQuery, message: Message | None) -> Content:
    if not press.data:
        return Opaque(what="game" if press.game_short_name else "callback_query")
    return Choice(id=press.data, label=label_of(press.data, message.reply_markup if message else None) or press.data)


def label_of(data: str, keyboard: InlineKeyboardMarkup | None) -> str | None:
    buttons = (button for row in (keyboard.inline_keyboard if keyboard else ()) for button in row)
    return next((button.text for button in buttons if button.callback_data == data), None)


def parse_reaction(telling: Telling) -> Iterator[InboundEvent]:
    reaction = telling.update.message_reaction
    if reaction is None or not names(telling.said, "message_id") or not names_chat(telling.said):
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
