"""From our commands to Telegram's methods. Pure: nothing is read and nothing is sent here.

What is one message to us may be several at Telegram: a long text, a caption that is too long, an album of mixed kinds.
The same command always gives the same messages in the same order, so that a broken-off one can go on where it stopped.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from aiogram.methods import (
    SendContact,
    SendLocation,
    SendMediaGroup,
    SendVenue,
    SetMessageReaction,
    TelegramMethod,
)
from aiogram.methods import (
    SendMessage as SendText,
)
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    ReactionTypeEmoji,
    ReactionTypeUnion,
    ReplyParameters,
)

from connectors.telegram.capabilities import BUSINESS
from connectors.telegram.files import DOCUMENT, PHOTO, VOICE, Way, as_item, parcel, send_file, way_for
from connectors.telegram.formatting import ENTITIES_MAX, Marked, mark_up, split, units
from connectors.telegram.message_ids import Spot, chat_number, find_spot, number_of, reaction_id, scope_of
from connectors.telegram.telling import CHAT, TOPIC
from shared.commands import Command, SendMessage
from shared.connector import Files
from shared.content import Album, Buttons, ContactCard, Location, Media, Reaction, Text
from shared.errors import Rejected, Unsupported

TEXT_UNITS: Final = 4096  # sendMessage, after the formatting is taken out
CAPTION_UNITS: Final = 1024
VCARD_MAX_BYTES: Final = 2048
NO_FORMATTING: Final = "The formatting was left out: Telegram could not read it."
NO_QUOTE: Final = "The quote was left out: what it quotes is no message at Telegram."
LONG_CAPTION: Final = "The caption follows as a message of its own: Telegram's captions hold 1024 characters."
BARE_STICKER: Final = "The caption follows as a message of its own: stickers have none."
UNREADABLE: Final = ("can't parse", "entit")  # in what Telegram says of formatting that it does not take
MANY_MARKS: Final = f"Some formatting was left out: Telegram's messages hold {ENTITIES_MAX} pieces of it."
NO_MESSAGE: Final = "This is no message at Telegram, so nothing can be done to it."


@dataclass(frozen=True)
class Other:
    """What to try if Telegram refuses in words with this part, and what is lost then."""

    part: str
    method: TelegramMethod[Any]
    loss: str


@dataclass(frozen=True)
class Step:
    """One call. `messages` is how many come of it; `known_as` the id of a call that makes none."""

    method: TelegramMethod[Any]
    messages: int = 1
    known_as: str | None = None
    others: tuple[Other, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The calls that make up a message, and what is lost on the way."""

    steps: tuple[Step, ...]
    degraded: tuple[str, ...] = ()

    def numbered(self) -> Iterator[tuple[Step, range]]:
        """The steps, with the numbers of the messages that each makes."""
        first = 0
        for step in self.steps:
            yield step, range(first, first + step.messages)
            first += step.messages


def scope_for(command: Command) -> str:
    """In what its message numbers count; empty where the peer is the chat."""
    return str(command.context.get(BUSINESS) or command.context.get(CHAT) or "")


def destination(command: Command) -> dict[str, Any]:
    """Where it goes, in the members that every sending method has."""
    to: dict[str, Any] = {"chat_id": chat_number(str(command.context.get(CHAT) or command.address.peer))}
    if command.context.get(BUSINESS):
        to["business_connection_id"] = str(command.context[BUSINESS])
    if command.context.get(TOPIC):
        to["direct_messages_topic_id"] = command.context[TOPIC]
    if (command.address.thread or "").isdigit():
        to["message_thread_id"] = int(command.address.thread or 0)
    return to


# Messages


def render_message(command: SendMessage, files: Files) -> Plan:
    """Raises `Unsupported`, and `Rejected` for a message that names no file."""
    plan = render_content(command, destination(command), files)
    if not plan.steps:
        raise Rejected("The message is empty; write something.")
    if command.reply_to is None:
        return plan
    quoted = number_of(command.reply_to)
    if quoted is None or scope_of(command.reply_to) != scope_for(command):
        return replace(plan, degraded=(*plan.degraded, NO_QUOTE))
    quote = ReplyParameters(message_id=quoted, allow_sending_without_reply=True)
    return replace(plan, steps=(quoting(plan.steps[0], quote), *plan.steps[1:]))


def quoting(step: Step, quote: ReplyParameters) -> Step:
    def with_quote(method: TelegramMethod[Any]) -> TelegramMethod[Any]:
        can = "reply_parameters" in type(method).model_fields
        return method.model_copy(update={"reply_parameters": quote}) if can else method

    others = tuple(replace(other, method=with_quote(other.method)) for other in step.others)
    return replace(step, method=with_quote(step.method), others=others)


def render_content(command: SendMessage, to: Mapping[str, Any], files: Files) -> Plan:
    match command.content:
        case Text() as text:
            return with_losses(text_steps(mark_up(text.text, text.html), to))
        case Buttons() as buttons:
            return with_losses(text_steps(Marked(with_descriptions(buttons)), to, keyboard(buttons)))
        case Media() as media:
            return render_file(media, to, files)
        case Album() as album:
            return render_album(album, to, files)
        case Location() as location:
            return Plan((Step(render_location(location, to)),))
        case ContactCard() as card:
            return render_card(card, to)
        case Reaction() as reaction:
            return Plan((render_reaction(command, reaction),))
        case _:
            raise Unsupported(f"Telegram cannot carry content of kind {command.content.kind}; send text instead.")


def text_steps(
    marked: Marked, to: Mapping[str, Any], markup: InlineKeyboardMarkup | None = None
) -> Iterator[tuple[Step, str | None]]:
    """A message for each part, the last with the buttons."""
    parts = split(marked, TEXT_UNITS)
    for number, part in enumerate(parts, 1):
        bare = SendText(text=part.text, reply_markup=markup if number == len(parts) else None, **to)
        formatted = bare.model_copy(update={"entities": list(part.entities) or None})
        others = tuple(Other(words, bare, NO_FORMATTING) for words in UNREADABLE) if part.entities else ()
        yield Step(formatted, others=others), MANY_MARKS if len(part.entities) > ENTITIES_MAX else None


def with_losses(steps: Iterator[tuple[Step, str | None]], *losses: str | None) -> Plan:
    pairs = list(steps)
    all_losses = [*losses, *(loss for _, loss in pairs)]
    return Plan(tuple(step for step, _ in pairs), tuple(dict.fromkeys(filter(None, all_losses))))


def with_descriptions(buttons: Buttons) -> str:
    """Buttons have one line; what more an option says goes into the text."""
    lines = [f"{option.label}: {option.description}" for option in buttons.options if option.description]
    return "\n".join([buttons.text, "", *lines]) if lines else buttons.text


def keyboard(buttons: Buttons) -> InlineKeyboardMarkup:
    """One below the other: labels of any length stay readable on a phone."""
    rows = [[InlineKeyboardButton(text=option.label, callback_data=option.id)] for option in buttons.options]
    return InlineKeyboardMarkup(inline_keyboard=rows)


def render_location(location: Location, to: Mapping[str, Any]) -> TelegramMethod[Any]:
    latitude, longitude = location.latitude, location.longitude
    if not location.label:
        return SendLocation(latitude=latitude, longitude=longitude, **to)
    title, _, address = location.label.partition(", ")
    address = address or f"{latitude:.5f}, {longitude:.5f}"  # a venue must have one
    return SendVenue(latitude=latitude, longitude=longitude, title=title, address=address, **to)


def render_card(card: ContactCard, to: Mapping[str, Any]) -> Plan:
    name = card.name or "Contact"
    if not card.phones:
        text = Marked("\n".join([name, *card.emails]))
        return with_losses(text_steps(text, to), "The card goes as text: Telegram's cards need a phone number.")
    more = card.emails or card.phones[1:]
    vcard = vcard_of(name, card) if more else None
    too_long = vcard is not None and len(vcard.encode()) > VCARD_MAX_BYTES
    method = SendContact(phone_number=card.phones[0], first_name=name, vcard=None if too_long else vcard, **to)
    return Plan((Step(method),), ("Only the first phone number is on the card.",) if too_long else ())


def vcard_of(name: str, card: ContactCard) -> str:
    """vCard 3.0 (RFC 2426), for what a card of Telegram's has no member for."""

    def escaped(text: str) -> str:
        return re.sub(r"([\\,;])", r"\\\1", text).replace("\n", "\\n").replace("\r", "")

    lines = [
        "BEGIN:VCARD",
        "VERSION:3.0",
        f"FN:{escaped(name)}",
        *(f"TEL:{escaped(phone)}" for phone in card.phones),
        *(f"EMAIL:{escaped(email)}" for email in card.emails),
        "END:VCARD",
    ]
    return "\r\n".join(lines)


def render_reaction(command: SendMessage, reaction: Reaction) -> Step:
    spot = find_spot(reaction.target, command.address.peer)
    if spot is None:
        raise Unsupported(NO_MESSAGE)
    if spot.connection is not None:
        raise Unsupported("A bot cannot react in the name of a business account.")  # setMessageReaction has no member
    return Step(react(spot, reaction.emoji), known_as=reaction_id(reaction.target, command.message_id))


def react(spot: Spot, emoji: str) -> TelegramMethod[Any]:
    """An empty emoji takes the reaction back."""
    chosen: list[ReactionTypeUnion] = [ReactionTypeEmoji(emoji=emoji)] if emoji else []
    return SetMessageReaction(chat_id=spot.chat, message_id=spot.number, reaction=chosen)


# Files


def render_file(media: Media, to: Mapping[str, Any], files: Files) -> Plan:
    way, loss = way_for(media)
    caption = mark_up(media.caption or "", media.caption_html)
    file = parcel(media, files)
    if not caption:
        return Plan((file_step(way, file, Marked(""), to),), (loss,) if loss else ())
    if way.captioned and units(caption.text) <= CAPTION_UNITS:
        return Plan((file_step(way, file, caption, to),), (loss,) if loss else ())
    first = file_step(way, file, Marked(""), to), None
    apart = LONG_CAPTION if way.captioned else BARE_STICKER
    return with_losses(iter([first, *text_steps(caption, to)]), loss, apart)


def file_step(way: Way, file: Any, caption: Marked, to: Mapping[str, Any]) -> Step:
    """With what to try where Telegram does not take it in this form: as a file it takes anything."""
    if way not in (PHOTO, VOICE):
        return Step(send_file(way, file, caption, to))
    as_document = send_file(DOCUMENT, file, caption, to)
    loss = "The picture goes as a file: Telegram did not take it as a picture."
    if way is VOICE:
        loss = "The recording goes as a file: the customer takes no voice messages."
    parts = ("voice_messages_forbidden",) if way is VOICE else ("photo_", "image_process_failed")
    others = tuple(Other(part, as_document, loss) for part in parts)
    return Step(send_file(way, file, caption, to), others=others)


def render_album(album: Album, to: Mapping[str, Any], files: Files) -> Plan:
    """As few albums as Telegram allows: pictures and videos together, files and music each among themselves."""
    order = {company_of(item): None for item in album.items}
    items = sorted(album.items, key=lambda item: list(order).index(company_of(item)))
    steps: list[tuple[Step, str | None]] = []
    for company, group in groupby(items, key=company_of):
        together = list(group)
        if company is None or len(together) == 1:
            plans = [render_file(item, to, files) for item in together]
            steps += [(step, loss) for plan in plans for step, loss in spread(plan)]
        else:
            steps += group_steps(together, to, files)
    apart = len({company_of(item) for item in album.items}) > 1 or None in order
    loss = "The album is shown in pieces: Telegram does not mix these kinds." if apart else None
    return with_losses(iter(steps), loss)


def company_of(item: Media) -> str | None:
    return way_for(item)[0].company


def spread(plan: Plan) -> Iterator[tuple[Step, str | None]]:
    """The steps of a plan with its losses, which go with the first."""
    for number, step in enumerate(plan.steps):
        yield step, (" ".join(plan.degraded) or None) if number == 0 else None


def group_steps(items: Sequence[Media], to: Mapping[str, Any], files: Files) -> Iterator[tuple[Step, str | None]]:
    """One call for all, and after it the captions that are too long for it."""
    ways = [way_for(item) for item in items]
    captions = [mark_up(item.caption or "", item.caption_html) for item in items]
    fitting = [caption if units(caption.text) <= CAPTION_UNITS else Marked("") for caption in captions]
    media: list[Any] = [
        as_item(way, parcel(item, files), caption) for item, (way, _), caption in zip(items, ways, fitting, strict=True)
    ]
    yield Step(SendMediaGroup(media=media, **to), len(media)), next((loss for _, loss in ways if loss), None)
    for caption in captions:
        if units(caption.text) > CAPTION_UNITS:
            for step, loss in text_steps(caption, to):
                yield step, loss or LONG_CAPTION
