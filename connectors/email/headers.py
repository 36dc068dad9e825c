"""The head of a mail or of a part: fields as they came, and what they say once decoded. Never fails.

Facts: RFC 5322 (fields), 2047 (encoded words), 2231 (parameters in pieces); what programs do instead is read as meant.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote_to_bytes

from connectors.email.charsets import decode

HEAD_MAX: Final = 256 * 1024
FIELDS_MAX: Final = 1000
VALUE_MAX: Final = 16 * 1024
ADDRESSES_MAX: Final = 100
FIELD: Final = re.compile(rb"([!-9;-~]{1,100})[ \t]*:(.*)", re.DOTALL)
STRANGE_MAX: Final = 20  # lines that are no fields
LOOK_AHEAD: Final = 8 * 1024
LINES_AHEAD: Final = 40
USUAL: Final = re.compile(
    rb"(from|to|cc|subject|date|message-id|received|return-path|delivered-to|reply-to|mime-version|content-type|"
    rb"content-transfer-encoding|content-disposition|in-reply-to|references|dkim-signature)[ \t]*:",
    re.IGNORECASE,
)
LINE: Final = re.compile(rb"[^\n]*\n?")
WORDS: Final = re.compile(
    r"=\?([^?\s*]{1,60})(?:\*[^?]{0,20})?\?([bBqQ])\?([^?]{0,16000}?)\?=(?:\s+(?==\?[^?\s]{1,80}\?[bBqQ]\?))?"
)
ID: Final = re.compile(r"<([^<>]{1,900})>")
PLAIN_ID: Final = re.compile(r"(?<![^\s<>])[^\s<>@]{1,300}@[^\s<>]{1,300}")
PARAMETER: Final = re.compile(r";\s*([^\s=;\"]{1,100})\s*=\s*(\"(?:[^\"\\]|\\.){0,8000}\"?|[^;]{0,8000})")
PIECE: Final = re.compile(r"([^*]{1,100})\*(\d{1,3})?(\*)?")
CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
TRICKS: Final = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\ufeff]")  # turn the direction of what follows
COMMENT: Final = re.compile(r"\(([^()]*)\)")
WORD: Final = re.compile(r"[\w.+-]{1,64}")
MAILBOX: Final = re.compile(r"(?<![^\s<>@,;:\"()\[\]\\])[^\s<>@,;:\"()\[\]\\]{1,100}@[^\s<>@,;:\"()\\]{1,255}")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address in lower case, and the name that stands with it."""

    address: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Headers:
    """Fields in their order, names in lower case, values unfolded and not yet decoded."""

    fields: tuple[tuple[str, bytes], ...] = ()

    def raw(self, name: str) -> bytes | None:
        return next((value for field, value in self.fields if field == name), None)

    def all(self, name: str) -> list[str]:
        """Every value of this name, decoded, the topmost first."""
        return [words(value) for field, value in self.fields if field == name]

    def get(self, name: str) -> str | None:
        """The first value, decoded; None if there is none."""
        value = self.raw(name)
        return None if value is None else words(value)

    def has(self, name: str) -> bool:
        return any(field == name for field, _ in self.fields)

    def mailboxes(self, name: str) -> list[Mailbox]:
        return [box for field, value in self.fields if field == name for box in mailboxes(value)][:ADDRESSES_MAX]

    def ids(self, name: str) -> list[str]:
        """The message ids, without their brackets."""
        text = " ".join(self.all(name))
        return [re.sub(r"\s+", "", one) for one in ID.findall(text)] or PLAIN_ID.findall(text)

    def date(self, name: str = "date") -> datetime | None:
        return next((moment for text in self.all(name) if (moment := a_time(text)) is not None), None)

    def parameters(self, name: str) -> tuple[str, dict[str, str]]:
        """The value before the first semicolon in lower case, and the parameters by their names."""
        value = self.raw(name)
        return parameters(value) if value is not None else ("", {})


def read_headers(raw: bytes, start: int = 0, end: int | None = None) -> tuple[Headers, int]:
    """The head that begins at `start`, and where the body begins."""
    end = len(raw) if end is None else end
    fields: list[tuple[str, bytes]] = []
    place, strange = start, 0
    stop = min(end, start + HEAD_MAX)
    while place < stop:
        found = LINE.match(raw, place, end)
        assert found is not None
        line, after = found.group().rstrip(b"\r\n"), found.end()
        if not line.strip() and not (line and raw[after : after + 1] in (b" ", b"\t")):
            return Headers(tuple(fields)), after
        field = FIELD.match(line)
        if (line[:1] in b" \t" or line.startswith(b"=?")) and fields:
            name, value = fields[-1]
            if len(value) < VALUE_MAX:
                fields[-1] = name, value + b"\n" + line
        elif field is not None and not (place == start and line.startswith(b"From ")):
            if len(fields) < FIELDS_MAX:
                fields.append((field[1].decode("ascii").lower(), field[2].strip()))
        elif not line.startswith((b"From ", b">From ")):
            strange += 1
            if strange > STRANGE_MAX or not goes_on(raw, after, end):
                return Headers(tuple(fields)), place  # the empty line was forgotten
        place = after
    return Headers(tuple(fields)), place


def goes_on(raw: bytes, place: int, end: int) -> bool:
    """Whether fields that every mail has follow a line that is none."""
    for line in raw[place : min(end, place + LOOK_AHEAD)].split(b"\n")[:LINES_AHEAD]:
        if not line.strip():
            return False
        if USUAL.match(line):
            return True
    return False


def words(raw: bytes) -> str:
    """What a field says: unfolded, encoded words and bytes beyond ASCII as text, in one line."""
    return tidy(unfold(decode_words(decode(raw[:VALUE_MAX]))))


def unfold(text: str) -> str:
    return re.sub(r"\r?\n[ \t]*", " ", text)


def tidy(text: str) -> str:
    """Without what no line of text should hold."""
    return TRICKS.sub("", CONTROL.sub("", text.replace("\t", " "))).strip()


def decode_words(text: str) -> str:
    """Encoded words as text. Neighbours in one charset are joined before, since some cut letters in two."""
    if "=?" not in text:
        return text
    text = re.sub(r"\r?\n[ \t]+", " ", text)
    pieces: list[str] = []
    held, charset, place = b"", "", 0
    for found in WORDS.finditer(text):
        if found.start() > place or found[1].lower() != charset:
            pieces.append(decode(held, charset))
            held = b""
        pieces.append(text[place : found.start()])
        charset, place = found[1].lower(), found.end()
        held += unpacked(found[2], found[3])
    return "".join([*pieces, decode(held, charset), text[place:]])


def unpacked(way: str, data: str) -> bytes:
    """The bytes of one encoded word."""
    if way in "bB":
        return from_base64(data.encode("utf-8", "replace"))
    return binascii.a2b_qp(data.replace("_", " ").encode("utf-8", "replace"), header=False)


def from_base64(data: bytes) -> bytes:
    """As much as can be read; strange characters and missing ends are passed over."""
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        clean = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        if len(clean) % 4 == 1:
            clean = clean[:-1]
        return base64.b64decode(clean + b"=" * (-len(clean) % 4))


def mailboxes(raw: bytes) -> list[Mailbox]:
    """The addresses of a field. Encoded words are decoded last: a comma in a name parts nothing."""
    found = (mailbox(piece) for piece in pieces_of(unfold(decode(raw[:VALUE_MAX]))))
    return [box for box in found if box is not None][:ADDRESSES_MAX]


def pieces_of(text: str) -> Iterator[str]:
    """Cut at commas and semicolons, but not within quotes, comments and angle brackets."""
    start, quoted, deep, angle, skip = 0, False, 0, False, False
    for place, letter in enumerate(text):
        if skip:
            skip = False
        elif letter == "\\":
            skip = True
        elif letter == '"' and not deep:
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "()":
            deep = max(0, deep + (1 if letter == "(" else -1))
        elif letter in "<>":
            angle = letter == "<"
        elif letter in ",;" and not deep and not angle:
            yield text[start:place]
            start = place + 1
        elif letter == ":" and not deep and not angle and "@" not in text[start:place]:
            start = place + 1  # the name of a group
    yield text[start:]


def mailbox(text: str) -> Mailbox | None:
    """One address, with or without a name. What is no address is kept if it is one word, as some machines sign."""
    name, angle, after = text.partition("<")
    if angle:
        inside = without_comments(after.partition(">")[0])
        found = MAILBOX.search(inside) or MAILBOX.search(after) or MAILBOX.search(name)
        address = found.group() if found and "@" not in inside else inside
    else:
        found = MAILBOX.search(without_comments(text))
        comment = COMMENT.search(text)
        address = found.group() if found else ""
        name = comment[1] if comment else text.replace(address, "") if address else text
    address = re.sub(r"[\s\x00-\x1f\x7f]", "", tidy(decode_words(address))).strip("\"'").lower()
    shown = plain_name(name, address)
    if not address and shown and WORD.fullmatch(shown):
        address = shown.lower()
    return Mailbox(address, shown) if address else None


def without_comments(text: str) -> str:
    return COMMENT.sub("", text)


def plain_name(text: str, address: str) -> str | None:
    name = text.strip()
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    name = tidy(decode_words(name)).strip("\"' ").strip()
    return name if name and name.lower() != address else None


def a_time(text: str) -> datetime | None:
    """A moment in UTC; None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parameters(raw: bytes) -> tuple[str, dict[str, str]]:
    """A value with parameters, such as a Content-Type. Of two with one name the first counts."""
    text = unfold(decode(raw[:VALUE_MAX]))
    value = text.partition(";")[0].strip().lower()
    simple: dict[str, str] = {}
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    for name, given in PARAMETER.findall(text):
        name, given = name.lower(), unquoted(given)
        piece = PIECE.fullmatch(name)
        if piece is None:
            simple.setdefault(name, tidy(decode_words(given)))
        else:
            pieces.setdefault(piece[1], []).append((int(piece[2] or 0), piece[3] is not None or not piece[2], given))
    return value, simple | {name: joined(found) for name, found in pieces.items()}


def unquoted(text: str) -> str:
    text = text.strip()
    if text.startswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:].removesuffix('"'))
    return text


def joined(pieces: list[tuple[int, bool, str]]) -> str:
    """A parameter that came in pieces, some of them percent-encoded with a charset before the first."""
    pieces.sort(key=lambda piece: piece[0])
    charset, data = "", b""
    for number, encoded, text in pieces:
        if encoded and number == pieces[0][0] and text.count("'") >= 2:
            charset, _, text = text.split("'", 2)
        data += unquote_to_bytes(text) if encoded else text.encode("utf-8", "replace")
    return tidy(decode_words(decode(data, charset or None)))
