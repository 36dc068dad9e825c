"""What a channel can do, in levels instead of yes and no; checked once, centrally, before any I/O."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Literal

from pydantic import Field, JsonValue

from shared.content import (
    Album,
    Buttons,
    Choice,
    ContactCard,
    Content,
    Location,
    Media,
    MediaKind,
    Opaque,
    Order,
    Reaction,
    Template,
    Text,
)
from shared.errors import Unsupported
from shared.model import Model


class Level(IntEnum):
    """FALLBACK: the sense arrives in another form (buttons as a numbered list). NONE: refused beforehand."""

    NONE = 0
    FALLBACK = 1
    FULL = 2


ReceiptGrain = Literal["none", "message", "watermark"]


class MediaRule(Model):
    """Empty `mimes` means any."""

    level: Level
    mimes: frozenset[str] = frozenset()
    max_bytes: int | None = None
    caption_max: int | None = None


class Typing(Model):
    """`ttl_s`: how long one signal shows. `implies_read`: the provider marks the chat as read with it."""

    level: Level = Level.NONE
    ttl_s: float | None = None
    implies_read: bool = False


class Receipts(Model):
    """Which receipts can ever come for our messages, and whether we can tell the partner that theirs was read.

    `read_out_note`: in a conversation whose context has this note it can be told, although `read_out` says none.
    """

    delivered_in: ReceiptGrain = "none"
    read_in: ReceiptGrain = "none"
    read_out: ReceiptGrain = "none"
    read_out_note: str | None = None

    def can_tell_read(self, context: Mapping[str, JsonValue]) -> bool:
        """Whether we can tell the partner of a conversation with these notes that we read."""
        return self.read_out != "none" or (self.read_out_note is not None and self.read_out_note in context)


class ReplyWindow(Model):
    """Hours after the partner's last message in which a free answer is allowed; None: always. Then templates, maybe."""

    hours: float | None = None
    template: bool = False


class Rate(Model):
    """What the provider allows, for the account and for one partner, in messages per second.

    `burst`, `per_peer_burst`: so many may go at once, from the account or to one partner, if nothing went before.
    """

    per_second: float | None = None
    burst: int | None = None
    """What the account may send in a second, if not said."""
    per_peer_per_second: float | None = None
    per_peer_burst: int = 1


class Capabilities(Model):
    text: Level = Level.NONE
    text_max: int | None = None
    media: dict[MediaKind, MediaRule] = Field(default_factory=dict)
    album: Level = Level.NONE
    attachments_max: int = 0
    """So many files may come along with one text."""
    attachments_max_bytes: int | None = None
    """All files of one message together."""
    location: Level = Level.NONE
    contact_card: Level = Level.NONE
    buttons: Level = Level.NONE
    buttons_max: int | None = None
    buttons_text_max: int | None = None
    """Where fewer characters than in a plain text go above buttons."""
    button_label_max: int | None = None
    button_id_max_bytes: int | None = None
    template: Level = Level.NONE
    reaction: Level = Level.NONE
    quote: Level = Level.NONE
    edit: Level = Level.NONE
    delete: Level = Level.NONE
    typing: Typing = Typing()
    receipts: Receipts = Receipts()
    reply_window: ReplyWindow = ReplyWindow()
    idempotent_send: bool = False
    """The provider knows a repeat of the same message: an unknown outcome may be sent again."""
    pace: Literal["chat", "mail"] = "chat"
    rate: Rate = Rate()


def check_content(capabilities: Capabilities, content: Content) -> None:
    """Raise `Unsupported` with a sentence an agent can act on, if the channel cannot carry this content."""
    match content:
        case Text():
            need(capabilities.text, "text")
            check_length(capabilities, content.text)
            check_files(capabilities, content)
        case Media():
            check_media(capabilities, content)
            check_weight(capabilities, (content,))
        case Album():
            need(capabilities.album, "albums")
            for item in content.items:
                check_media(capabilities, item)
            check_weight(capabilities, content.items)
        case Location():
            need(capabilities.location, "locations")
        case ContactCard():
            need(capabilities.contact_card, "contact cards")
        case Buttons():
            need(capabilities.buttons, "buttons")
            check_length(capabilities, content.text, capabilities.buttons_text_max)
            if capabilities.buttons_max is not None and len(content.options) > capabilities.buttons_max:
                raise Unsupported(f"This channel shows at most {capabilities.buttons_max} buttons; send fewer.")
            check_labels(capabilities, content)
        case Template():
            need(capabilities.template, "templates")
        case Reaction():
            need(capabilities.reaction, "reactions")
        case Choice() | Order() | Opaque():
            raise Unsupported(f"Content of kind {content.kind} only ever comes from a customer; send text instead.")


def need(level: Level, what: str) -> None:
    if level is Level.NONE:
        raise Unsupported(f"This channel cannot carry {what}; send text instead.")


def check_length(capabilities: Capabilities, text: str, most: int | None = None) -> None:
    """`most`: the limit where it is another than that of a plain text."""
    if not text.strip():
        raise Unsupported("The text is empty; write something.")
    most = most or capabilities.text_max
    if most is not None and len(text) > most:
        raise Unsupported(f"The text has {len(text)} characters and this channel takes {most}; shorten or split it.")


def check_files(capabilities: Capabilities, content: Text) -> None:
    if len(content.attachments) > capabilities.attachments_max:
        if not capabilities.attachments_max:
            raise Unsupported("On this channel a text carries no files; send each file as a message of its own.")
        raise Unsupported(f"This channel takes at most {capabilities.attachments_max} files with a text; send fewer.")
    for file in content.attachments:
        check_media(capabilities, file)
    check_weight(capabilities, content.attachments)


def check_weight(capabilities: Capabilities, files: Sequence[Media]) -> None:
    """All files of one message together, where the channel counts them so."""
    total, most = sum(file.size or 0 for file in files), capabilities.attachments_max_bytes
    if most is not None and total > most:
        raise Unsupported(f"The files have {total} bytes together and this channel takes {most}; send fewer.")


def check_labels(capabilities: Capabilities, content: Buttons) -> None:
    longest, most = capabilities.button_label_max, capabilities.button_id_max_bytes
    if len({option.id for option in content.options}) < len(content.options):
        raise Unsupported("Two buttons have the same id, so nobody could tell which was pressed; make them differ.")
    for option in content.options:
        if not option.label.strip():
            raise Unsupported("A button has no label; give it one.")
        if longest is not None and len(option.label) > longest:
            raise Unsupported(f"A button's label is longer than the {longest} characters of this channel; shorten it.")
        if most is not None and len(option.id.encode()) > most:
            raise Unsupported(f"A button's id is longer than the {most} bytes of this channel; use a shorter one.")


def check_media(capabilities: Capabilities, content: Media) -> None:
    rule = capabilities.media.get(content.media, MediaRule(level=Level.NONE))
    need(rule.level, f"a message of kind {content.media}")
    if rule.mimes and content.mime not in rule.mimes:
        raise Unsupported(f"This channel takes {content.media} as {', '.join(sorted(rule.mimes))}, not {content.mime}.")
    if rule.max_bytes is not None and content.size is not None and content.size > rule.max_bytes:
        raise Unsupported(
            f"The file has {content.size} bytes and this channel takes {rule.max_bytes}; send a smaller one."
        )
    if rule.caption_max is not None and content.caption and len(content.caption) > rule.caption_max:
        raise Unsupported(f"The caption is longer than {rule.caption_max} characters; shorten it.")
