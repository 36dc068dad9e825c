"""What is done to messages that are there already: changed, deleted, marked as read; and typing. Pure.

Where a message is follows from its id, not from the conversation's notes: those are of the latest message, which may
have come another way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from aiogram.methods import (
    DeleteBusinessMessages,
    EditMessageCaption,
    EditMessageMedia,
    EditMessageText,
    ReadBusinessMessage,
    SendChatAction,
    TelegramMethod,
)
from aiogram.methods import (
    DeleteMessage as DeleteOne,
)

from connectors.telegram.files import as_item, captioned, parcel, way_for
from connectors.telegram.formatting import Marked, mark_up, split, units
from connectors.telegram.message_ids import Spot, find_spot, reaction_target
from connectors.telegram.outbound import (
    CAPTION_UNITS,
    NO_MESSAGE,
    TEXT_UNITS,
    destination,
    keyboard,
    react,
    with_descriptions,
)
from shared.commands import DeleteMessage, EditMessage, MarkRead, SetTyping
from shared.connector import Files
from shared.content import Buttons, Media, Text
from shared.errors import Rejected, Unsupported


def render_edit(command: EditMessage, files: Files) -> list[TelegramMethod[Any]]:
    """Raises `Unsupported` for what cannot be made of the old message."""
    spots = spots_of(command)
    match command.content:
        case Text() as text:
            return edit_text(mark_up(text.text, text.html), None, spots)
        case Buttons() as buttons:
            return edit_text(Marked(with_descriptions(buttons)), buttons, spots)
        case Media() as media if len(spots) == 1:
            return [edit_file(media, place(spots[0]), files)]
        case Media():
            raise Unsupported("A message that became several at Telegram cannot get another file; send a new one.")
        case _:
            raise Unsupported(f"Telegram cannot change a message of kind {command.content.kind}; send a new one.")


def spots_of(command: EditMessage | DeleteMessage) -> list[Spot]:
    found = [find_spot(external_id, command.address.peer) for external_id in command.external_ids]
    spots = [spot for spot in found if spot is not None]
    if not spots:
        raise Rejected(NO_MESSAGE)
    return spots


def place(spot: Spot) -> dict[str, Any]:
    """Chat and message, in the members of the editing methods."""
    known = {"chat_id": spot.chat, "message_id": spot.number}
    return known | {"business_connection_id": spot.connection} if spot.connection else known


def edit_text(marked: Marked, buttons: Buttons | None, spots: Sequence[Spot]) -> list[TelegramMethod[Any]]:
    """Each part in the place of an old one; what is left of the old is deleted."""
    parts = split(marked, TEXT_UNITS)
    if len(parts) > len(spots):
        raise Unsupported(
            f"The new text needs {len(parts)} messages at Telegram and the old one had {len(spots)}; send a new one."
        )
    edits: list[TelegramMethod[Any]] = [
        EditMessageText(
            text=part.text,
            entities=list(part.entities) or None,
            reply_markup=keyboard(buttons) if buttons and number == len(parts) else None,
            **place(spot),
        )
        for number, (part, spot) in enumerate(zip(parts, spots, strict=False), 1)
    ]
    return [*edits, *deletions(spots[len(parts) :])]


def edit_file(media: Media, where: Mapping[str, Any], files: Files) -> TelegramMethod[Any]:
    way, _ = way_for(media)
    caption = mark_up(media.caption or "", media.caption_html)
    if units(caption.text) > CAPTION_UNITS:
        raise Unsupported(f"The caption is longer than the {CAPTION_UNITS} characters that an edit can have.")
    if not way.captioned:
        raise Unsupported("Telegram cannot change a sticker; send a new one.")
    if way.item is None:  # a voice message keeps its recording
        return EditMessageCaption(**captioned(caption), **where)
    return EditMessageMedia(media=as_item(way, parcel(media, files), caption), **where)


def render_deletion(command: DeleteMessage) -> list[TelegramMethod[Any]]:
    """A reaction of ours is taken back. Raises `Rejected` for what is no message at Telegram."""
    target = reaction_target(command.external_ids[0]) if command.external_ids else None
    spot = find_spot(target, command.address.peer) if target is not None else None
    return [react(spot, "")] if spot is not None else deletions(spots_of(command))


def deletions(spots: Sequence[Spot]) -> list[TelegramMethod[Any]]:
    connection = spots[0].connection if spots else None
    if connection is not None:
        numbers = [spot.number for spot in spots]
        return [DeleteBusinessMessages(business_connection_id=connection, message_ids=numbers)]
    return [DeleteOne(chat_id=spot.chat, message_id=spot.number) for spot in spots]


def render_read(command: MarkRead) -> TelegramMethod[Any]:
    """Raises `Unsupported` where Telegram has no way to tell."""
    spot = find_spot(command.external_id, command.address.peer)
    if spot is None or spot.connection is None or isinstance(spot.chat, str):
        raise Unsupported("A bot cannot tell a customer that we read; only a business account can.")
    return ReadBusinessMessage(business_connection_id=spot.connection, chat_id=spot.chat, message_id=spot.number)


def render_typing(command: SetTyping) -> TelegramMethod[Any]:
    to = destination(command)
    to.pop("direct_messages_topic_id", None)  # sendChatAction has no such member
    return SendChatAction(action="typing", **to)
