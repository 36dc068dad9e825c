"""Which of Telegram's methods carries a file, and under which conditions. Pure."""

import mimetypes
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiogram import Bot
from aiogram.methods import (
    SendAnimation,
    SendAudio,
    SendDocument,
    SendPhoto,
    SendSticker,
    SendVideo,
    SendVoice,
    TelegramMethod,
)
from aiogram.types import (
    InputFile,
    InputMediaAnimation,
    InputMediaAudio,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
)

from connectors.telegram.formatting import Marked
from shared.connector import Files
from shared.content import Media, MediaKind
from shared.errors import Rejected

Item = InputMediaAnimation | InputMediaAudio | InputMediaDocument | InputMediaPhoto | InputMediaVideo

PHOTO_MAX_BYTES: Final = 10_000_000  # sendPhoto takes 10 MB
PHOTO_MIMES: Final = frozenset({"image/jpeg", "image/png", "image/webp", "image/bmp"})
VOICE_MIMES: Final = frozenset(
    {"audio/ogg", "audio/opus", "audio/mpeg", "audio/mp3", "audio/mp4", "audio/m4a", "audio/x-m4a"}
)
STICKER_MIMES: Final = frozenset({"image/webp", "application/x-tgsticker", "video/webm"})
EXTENSIONS: Final = {"audio/ogg": ".ogg", "audio/mp4": ".m4a", "image/jpeg": ".jpg", "image/webp": ".webp"}


@dataclass(frozen=True)
class Way:
    """A method that carries a file, and the member it goes under.

    `item` is what it is in an album or in the place of another file; `company`: in an album only with its like.
    """

    method: type[TelegramMethod[Any]]
    member: str
    item: type[Item] | None = None
    company: str | None = None
    captioned: bool = True


PHOTO: Final = Way(SendPhoto, "photo", InputMediaPhoto, "pictures")
ANIMATION: Final = Way(SendAnimation, "animation", InputMediaAnimation)
VIDEO: Final = Way(SendVideo, "video", InputMediaVideo, "pictures")
AUDIO: Final = Way(SendAudio, "audio", InputMediaAudio, "music")
VOICE: Final = Way(SendVoice, "voice")
STICKER: Final = Way(SendSticker, "sticker", captioned=False)
DOCUMENT: Final = Way(SendDocument, "document", InputMediaDocument, "files")
USUAL: Final[Mapping[MediaKind, Way]] = {
    "image": PHOTO,
    "audio": AUDIO,
    "voice": VOICE,
    "video": VIDEO,
    "sticker": STICKER,
    "file": DOCUMENT,
}


def way_for(media: Media) -> tuple[Way, str | None]:
    """How the file travels, and what is lost by that."""
    mime = (media.mime or "").partition(";")[0].strip().lower()
    match media.media:
        case "image" if mime == "image/gif":
            return ANIMATION, None
        case "image" if mime and mime not in PHOTO_MIMES:
            return DOCUMENT, f"The picture goes as a file: Telegram does not show {mime} as a picture."
        case "image" if media.size is not None and media.size > PHOTO_MAX_BYTES:
            return DOCUMENT, "The picture goes as a file: Telegram shows pictures of up to 10 MB."
        case "voice" if mime and mime not in VOICE_MIMES:
            return DOCUMENT, f"The recording goes as a file: Telegram plays OGG, MP3 and M4A as voice, not {mime}."
        case "sticker" if mime and mime not in STICKER_MIMES:
            return PHOTO, f"The sticker goes as a picture: Telegram has no stickers of {mime}."
    return USUAL[media.media], None


def parcel(media: Media, files: Files) -> InputFile | str:
    """The file itself, or the address where Telegram fetches it."""
    if media.attachment is not None:
        return StoredFile(files, media.attachment, name_for(media))
    if media.url is None:
        raise Rejected("The message has no file: it names neither an attachment nor an address.")
    return media.url


def name_for(media: Media) -> str:
    if media.name:
        return media.name
    mime = (media.mime or "").partition(";")[0].strip().lower()
    return media.media + (EXTENSIONS.get(mime) or mimetypes.guess_extension(mime) or "")


def send_file(way: Way, file: InputFile | str, caption: Marked, to: Mapping[str, Any]) -> TelegramMethod[Any]:
    return way.method(**{way.member: file}, **captioned(caption), **to)


def as_item(way: Way, file: InputFile | str, caption: Marked) -> Item:
    assert way.item is not None
    return way.item(media=file, **captioned(caption))


def captioned(caption: Marked) -> dict[str, Any]:
    if not caption:
        return {}
    return {"caption": caption.text, "caption_entities": list(caption.entities) or None}


class StoredFile(InputFile):
    """An attachment of ours, read when it is sent. Raises `Rejected` then if it is no longer there."""

    def __init__(self, files: Files, attachment: str, name: str) -> None:
        super().__init__(filename=name)
        self.attachment = attachment
        self._files = files

    async def read(self, bot: Bot) -> AsyncGenerator[bytes, None]:
        yield await self._files.read(self.attachment)
