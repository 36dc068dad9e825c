"""In which form a file travels, and what WhatsApp takes. Pure.

Sizes and types are those of Meta's media page (16 June 2026). Whatever has no form of its own goes as a document.
"""

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.content import Media, MediaKind
from shared.errors import Rejected

MB: Final = 1024 * 1024
AUDIO: Final = frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"})
EXTENSIONS: Final = {"audio/ogg": ".ogg", "audio/mp4": ".m4a", "image/jpeg": ".jpg", "image/webp": ".webp"}
USUAL: Final[Mapping[MediaKind, str]] = {
    "image": "image/jpeg",
    "audio": "audio/mpeg",
    "voice": "audio/ogg",
    "video": "video/mp4",
    "sticker": "image/webp",
    "file": "application/pdf",
}


@dataclass(frozen=True)
class Way:
    """A type of WhatsApp's, with the files that it takes."""

    type: str
    mimes: frozenset[str] = frozenset()
    max_bytes: int = 100 * MB
    captioned: bool = True
    more: Mapping[str, Any] | None = None


DOCUMENT: Final = Way("document")
WAYS: Final[Mapping[MediaKind, Way]] = {
    "image": Way("image", frozenset({"image/jpeg", "image/png"}), 5 * MB),
    "audio": Way("audio", AUDIO, 16 * MB, captioned=False),
    "voice": Way("audio", frozenset({"audio/ogg"}), 16 * MB, captioned=False, more={"voice": True}),
    "video": Way("video", frozenset({"video/mp4", "video/3gpp"}), 16 * MB),
    "sticker": Way("sticker", frozenset({"image/webp"}), 500 * 1000, captioned=False),
    "file": DOCUMENT,
}


def mime_of(media: Media) -> str:
    """Without parameters; guessed from the name or the kind where nobody said it."""
    said = (media.mime or "").partition(";")[0].strip().lower()
    return said or mimetypes.guess_type(media.name or "")[0] or USUAL[media.media]


def way_for(media: Media) -> tuple[Way, str | None]:
    """How the file travels, and what is lost by that."""
    way, mime = WAYS[media.media], mime_of(media)
    if way is DOCUMENT:
        return way, None
    if mime not in way.mimes:
        if media.media == "voice" and mime in AUDIO:
            return WAYS["audio"], f"The recording goes as a sound file: WhatsApp's voice messages are OGG, not {mime}."
        return DOCUMENT, f"It goes as a document: WhatsApp has no {media.media} of the type {mime}."
    if media.size is not None and media.size > way.max_bytes:
        return DOCUMENT, f"It goes as a document: WhatsApp's {way.type} files end at {way.max_bytes // MB} MB."
    return way, None


@dataclass(frozen=True)
class Upload:
    """A file of ours that Meta has to be given first."""

    attachment: str
    name: str
    mime: str


def upload_of(media: Media) -> Upload | None:
    """None for a file that Meta fetches from its address. Raises `Rejected` if there is no file."""
    if media.attachment is not None:
        mime = mime_of(media)
        plain = mime.startswith("text/")  # of text Meta knows one kind; the name says which it is
        return Upload(media.attachment, name_for(media), "text/plain" if plain else mime)
    if media.url is None:
        raise Rejected("The message has no file: it names neither an attachment nor an address.")
    return None


def name_for(media: Media) -> str:
    mime = mime_of(media)
    return media.name or media.media + (EXTENSIONS.get(mime) or mimetypes.guess_extension(mime) or "")


def reference(media: Media, handle: str | None) -> dict[str, Any]:
    """The file as a message names it: `handle` is Meta's of what was uploaded."""
    return {"id": handle} if handle is not None else {"link": media.url}
