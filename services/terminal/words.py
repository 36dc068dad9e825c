"""What people wrote and sent, as plain text that can neither steer a terminal nor forge a line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from shopbell_client import (
    Buttons,
    Choice,
    ContactCard,
    Content,
    Conversation,
    Location,
    Media,
    Message,
    Opaque,
    Order,
    OrderItem,
    Reaction,
    Ref,
    Template,
    Text,
)

__all__ = ["about", "author", "body", "clock", "first_line", "marks", "name", "plain", "waited"]

# CSI, then OSC and the other string sequences up to their terminator, then any two-character escape.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# The rest of C0 and C1; marks that turn the direction of a line around; halves of a character.
_STEERING = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def plain(text: str) -> str:
    """Return the text with escape sequences and control characters taken out; only newlines stay."""
    text = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    return _STEERING.sub("", text.replace("\t", "    "))


def first_line(text: str) -> str:
    """Return all of the text on one line."""
    return " ".join(plain(text).split())


def name(ref: Ref | None) -> str:
    return first_line(ref.name or "") or f"Anonymous {ref.id[-4:]}" if ref else "Nobody"


def author(message: Message) -> str:
    """Return who wrote a message, also when they have no name."""
    nameless = {"contact": "Anonymous", "shop": "Shop", "bot": "Bot", "agent": "Agent"}
    return first_line(message.author.name or "") or nameless.get(message.author.type, "Shopbell")


def about(conversation: Conversation) -> str:
    """Return what a mail says it is about; nothing for what is no mail."""
    return first_line(conversation.subject or "")


def marks(message: Message) -> list[str]:
    """Return what there is to know of a mail before it is believed: a word each."""
    mail = message.mail
    if mail is None:
        return []
    told = {"suspicious": mail.authenticity == "suspicious", "auto": mail.category != "normal"}
    return [word for word, holds in told.items() if holds]


def clock(at: datetime) -> str:
    """Return the time of day where this terminal is."""
    return at.astimezone().strftime("%H:%M")


def waited(since: datetime, now: datetime) -> str:
    """Return a duration in its largest unit: `now`, `7m`, `3h`, `2d`."""
    minutes = max(now - since, timedelta()) // timedelta(minutes=1)
    if minutes < 1:
        return "now"
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h" if minutes < 48 * 60 else f"{minutes // (24 * 60)}d"


def body(message: Message) -> str:
    """Return what a message says; what is no text is named in brackets."""
    if message.deleted_at is not None:
        return "[deleted]"
    said = plain(_said(message.content)).strip()
    return f"{said} (edited)" if message.edited_at is not None else said


def _said(content: Content) -> str:
    match content:
        case Text(text=text, attachments=files):
            return "\n".join((text, *map(_carried, files)))
        case Media(media=media, name=file_name, caption=caption):
            return " ".join(filter(None, (_bracket(media, file_name), caption)))
        case Location(latitude=latitude, longitude=longitude, label=label):
            return _bracket("location", f"{latitude:.5f}, {longitude:.5f}", label)
        case ContactCard(name=of, phones=phones, emails=emails):
            return _bracket("contact", of, *phones, *emails)
        case Choice(id=choice, label=label):
            return label or choice
        case Buttons(text=text, options=options):
            return " ".join((text, *(f"[{option.label}]" for option in options)))
        case Template(name=template):
            return _bracket("template", template)
        case Order(items=items, text=text):
            return " ".join(filter(None, (_bracket("order", ", ".join(map(_ordered, items))), text)))
        case Reaction(emoji=emoji):
            return _bracket("reacted", emoji) if emoji else _bracket("took the reaction back")
        case Opaque(what=what):
            return _bracket(what or "something this channel cannot show")
        case _:
            return _bracket(content.kind)


def _carried(file: Media) -> str:
    size = f" {_weight(file.size)}" if file.size is not None else ""
    return f"+ {first_line(file.name or '') or file.media}{size}"


def _weight(size: int) -> str:
    """Return a number of bytes in its largest unit: `512 B`, `24 kB`, `1.5 MB`."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.0f} kB" if size < 999_500 else f"{size / 1_000_000:.1f} MB"


def _ordered(item: OrderItem) -> str:
    price = f"at {item.price} {item.currency or ''}" if item.price else ""
    return f"{item.quantity or '?'} x {item.product} {price}".strip()


def _bracket(*parts: str | None) -> str:
    return f"[{' '.join(filter(None, parts))}]"
