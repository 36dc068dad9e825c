"""What a mail says and what it brings along: the blocks of its text, and the files, in the order of the mail."""

import mimetypes
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Final

from connectors.email import tnef
from connectors.email.headers import TRICKS, read_headers, words
from connectors.email.mime import Part, read_mail
from connectors.email.replies import html_to_text

TEXT_MAX: Final = 1_000_000  # characters; of what is longer the rest is only in the raw mail
HTML_MAX: Final = 500_000
NAME_MAX: Final = 150
STUB_MAX: Final = 300  # characters that say no more than that the other form should be read
TNEF_MIMES: Final = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
HEADS: Final = frozenset({"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"})
REPORTS: Final = HEADS | {
    "message/delivery-status",
    "message/disposition-notification",
    "message/feedback-report",
    "message/global-delivery-status",
}
LETTERS: Final = frozenset({"message/rfc822", "message/global", "message/news"})
FIELDS: Final = re.compile(rb"^[A-Za-z-]{4,40}:", re.MULTILINE)
SHOWN: Final = re.compile(r"image/(?!svg)|audio/|video/|application/pdf$|text/(plain|csv)$")
MARKUP: Final = re.compile(r"<[a-z!/][^>]{0,500}>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A file of a mail. `place` finds it again: the path of its part, and after `!` its number in a winmail.dat."""

    place: str
    name: str | None
    mime: str
    size: int
    content_id: str | None = None


@dataclass(frozen=True)
class Block:
    """A stretch of text, in one form or both."""

    plain: str | None = None
    html: str | None = None

    @property
    def text(self) -> str:
        return self.plain if self.plain is not None and not self.is_stub else self.as_read

    @cached_property
    def as_read(self) -> str:
        """The HTML as text."""
        return html_to_text(self.html or "")

    @cached_property
    def is_stub(self) -> bool:
        """Whether the plain form is empty, or only says that the other one should be read."""
        if self.html is None or self.plain is None:
            return False
        plain = " ".join(self.plain.split())
        if len(plain) > STUB_MAX or (plain and "html" not in plain.lower()):
            return False
        return not plain or plain not in " ".join(self.as_read.split())


@dataclass(slots=True)
class Letter:
    blocks: list[Block] = field(default_factory=list)
    files: list[Enclosed] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n\n".join(filter(None, (block.text.strip("\n") for block in self.blocks)))[:TEXT_MAX]

    @property
    def html(self) -> str | None:
        """The whole as HTML, if any of it came so; not made safe."""
        if all(block.html is None for block in self.blocks):
            return None
        return "<br>".join(block.html if block.html is not None else as_html(block.text) for block in self.blocks)


def read_letter(root: Part) -> Letter:
    letter = gather(root)
    if not letter.text.strip():  # handed on without a word: what is handed on is what is said
        letter.blocks = next(
            (gather(read_mail(part.content()).root).blocks for part in letters_in(root)), letter.blocks
        )
    seen: list[Block] = []
    for block in letter.blocks:  # a text that stands there twice is shown once
        if ((block.plain or "").strip() or (block.html or "").strip()) and block not in seen:
            seen.append(block)
    letter.blocks = seen
    return letter


def gather(part: Part) -> Letter:
    if part.children:
        if part.mime == "multipart/report":
            return joined(part, [gather(child) for child in part.children if child.mime not in LETTERS])
        if part.mime == "multipart/alternative":
            return alternatives([gather(child) for child in part.children])
        return joined(part, [gather(child) for child in part.children])
    if part.mime.startswith("multipart/"):  # it has no parts that could be told apart
        return Letter([Block(plain=part.text()[:TEXT_MAX])])
    if part.mime in REPORTS:
        return Letter() if FIELDS.search(part.content()[:4096]) else Letter([Block(plain=part.text())])
    if is_winmail(part):
        return unpacked(part)
    if is_written(part):
        return Letter([written(part)])
    return Letter(files=[enclosed(part)])


def alternatives(ways: Sequence[Letter]) -> Letter:
    """One text in several forms: the first that is plain and the last that is HTML."""
    files = [file for way in ways for file in way.files]
    blocks = [way.blocks for way in ways if way.blocks]
    if all(len(found) == 1 for found in blocks):
        plains = [block.plain for (block,) in blocks if block.plain is not None]
        htmls = [block.html for (block,) in blocks if block.html is not None]
        plain = next((text for text in plains if text.strip()), plains[0] if plains else None)
        html = next((text for text in reversed(htmls) if text.strip()), None)
        return Letter([Block(plain, html)] if blocks else [], files)
    return Letter(max(blocks, key=len), files)


def joined(part: Part, ways: Sequence[Letter]) -> Letter:
    """Parts that follow each other. Of a report the mail that came back is no file of its own."""
    return Letter([block for way in ways for block in way.blocks], [file for way in ways for file in way.files])


def is_written(part: Part) -> bool:
    """Whether the part belongs to what is read rather than to what is opened."""
    if part.mime not in ("text/plain", "text/html", "text/enriched", "text/richtext", "text/x-amp-html"):
        return False
    if not part.path:
        return True
    return part.disposition != "attachment" and not part.filename


def written(part: Part) -> Block:
    text = part.text()[:TEXT_MAX]
    if part.mime == "text/html":
        return Block(html=text[:HTML_MAX])
    if part.mime in ("text/enriched", "text/richtext"):
        return Block(plain=MARKUP.sub("", text))
    if part.mime == "text/x-amp-html":
        return Block()
    if part.parameters.get("format", "").lower() == "flowed":
        text = unflowed(text, part.parameters.get("delsp", "").lower() == "yes")
    return Block(plain=text)


def unflowed(text: str, delsp: bool) -> str:
    """The paragraphs of a flowed text in one line each (RFC 3676)."""
    lines: list[str] = []
    open_depth: int | None = None
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        said = line[depth:].removeprefix(" ")
        flows = said.endswith(" ") and said != "-- "
        if open_depth == depth and said != "-- ":
            lines[-1] += said
        else:
            lines.append(">" * depth + (" " if depth and said else "") + said)
        if flows and delsp:
            lines[-1] = lines[-1][:-1]
        open_depth = depth if flows else None
    return "\n".join(lines)


def is_winmail(part: Part) -> bool:
    return part.mime in TNEF_MIMES or (part.filename or "").lower() == "winmail.dat"


def unpacked(part: Part) -> Letter:
    """What is in a winmail.dat; if it cannot be opened, the file itself."""
    try:
        found = tnef.unpack(part.content())
    except ValueError:
        return Letter(files=[enclosed(part)])
    block = Block(plain=found.text, html=found.html)
    files = [
        Enclosed(
            f"{place_of(part)}!{number}",
            safe_name(file.name),
            file.mime or kind_of(file.name),
            len(file.content),
            file.content_id,
        )
        for number, file in enumerate(found.files)
    ]
    return Letter([block] if found.text or found.html else [], files)


def enclosed(part: Part) -> Enclosed:
    content = part.content()
    name = safe_name(part.filename) or made_name(part, content)
    content_id = (part.headers.get("content-id") or "").strip("<> ") or None
    mime = part.mime
    if mime == "application/octet-stream" and SHOWN.match(kind_of(part.filename)):
        mime = kind_of(part.filename)
    return Enclosed(place_of(part), name, mime, len(content), content_id)


def made_name(part: Part, content: bytes) -> str | None:
    if part.mime in LETTERS:
        subject = read_headers(content)[0].get("subject")
        return safe_name(f"{subject or 'message'}.eml")
    return "invite.ics" if part.mime == "text/calendar" else None


def place_of(part: Part) -> str:
    return ".".join(map(str, part.path)) or "0"


def kind_of(name: str | None) -> str:
    return mimetypes.guess_type(name or "")[0] or "application/octet-stream"


def safe_name(name: str | None) -> str | None:
    """The name alone: no folders, nothing that turns the direction of writing or hides."""
    if name is None:
        return None
    last = re.split(r"[/\\]", TRICKS.sub("", name))[-1]
    clean = re.sub(r"\s+", " ", re.sub(r"[\x00-\x1f\x7f]", "", last)).strip(" .")
    if len(clean) > NAME_MAX:
        stem, dot, ending = clean.rpartition(".")
        clean = stem[: NAME_MAX - 20] + dot + ending[:18] if dot else clean[:NAME_MAX]
    return clean or None


def as_html(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def find_file(root: Part, place: str) -> bytes | None:
    """The bytes of an enclosed file; `0` is a mail that is nothing but one."""
    path, _, number = place.partition("!")
    part = next((part for part in root.walk() if place_of(part) == path), None)
    if part is None:
        return None
    if not number:
        return part.content()
    try:
        files = tnef.unpack(part.content()).files
        return files[int(number)].content
    except (ValueError, IndexError):
        return None


def letters_in(root: Part) -> Iterator[Part]:
    """The mails, whole or their heads alone, that are enclosed in this one."""
    for part in root.walk():
        if part.path and part.mime in LETTERS | HEADS:
            yield part


def subject_of(root: Part) -> str | None:
    """Of several subjects the first that says something."""
    return next((text for value in root.headers.fields if value[0] == "subject" and (text := words(value[1]))), None)
