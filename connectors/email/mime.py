"""A mail as a tree of parts. Nothing is copied or decoded before it is asked for, and nothing grows without a limit:
of a mail with fifty thousand parts the first ones are read, and the rest is said to be there.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from connectors.email.charsets import decode
from connectors.email.headers import Headers, from_base64, read_headers

PARTS_MAX: Final = 200
DEPTH_MAX: Final = 20
TEXT_MAX_BYTES: Final = 4_000_000
BOUNDARY_MAX: Final = 400
UU_LINE: Final = re.compile(rb"begin \d{3,4} [^\r\n]*\r?\n")


@dataclass(slots=True)
class Part:
    """A mail or a part of one. `path` counts from 1 at each level; the mail itself has none."""

    raw: bytes = field(repr=False)
    headers: Headers
    start: int
    end: int
    mime: str
    parameters: dict[str, str]
    disposition: str
    filename: str | None
    path: tuple[int, ...] = ()
    children: "list[Part]" = field(default_factory=list)

    @property
    def is_text(self) -> bool:
        return self.mime in ("text/plain", "text/html")

    def content(self, most: int | None = None) -> bytes:
        """The bytes, with the transfer encoding undone; of the first `most` encoded ones, if said."""
        data = self.raw[self.start : self.end if most is None else min(self.end, self.start + most)]
        match (self.headers.get("content-transfer-encoding") or "").lower().strip(" ;\"'").split(";")[0].strip():
            case "base64":
                return from_base64(data) if is_base64(data[:400]) else data
            case "quoted-printable":
                return from_quoted_printable(data)
            case "x-uuencode" | "uuencode" | "x-uue" | "uue":
                return from_uu(data)
            case _:
                return data

    def text(self) -> str:
        """The text, its lines ended by a line feed; the beginning of a very long one."""
        return (
            decode(self.content(TEXT_MAX_BYTES), self.charset)
            .replace("\r\n", "\n")
            .replace("\r", "\n")
            .replace("\0", "")
        )

    @property
    def charset(self) -> str | None:
        return self.parameters.get("charset")

    def walk(self) -> "Iterator[Part]":
        """Every part, this one first, in the order of the mail."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting += reversed(part.children)


@dataclass(slots=True)
class Budget:
    """How many parts may still be made. `cut`: there were more."""

    left: int = PARTS_MAX
    cut: bool = False


@dataclass(slots=True)
class Tree:
    """`cut`: not all parts are in it, since there were too many or they lay too deep."""

    root: Part
    cut: bool


def read_mail(raw: bytes) -> Tree:
    """The tree of a mail; any bytes give one."""
    if b"\n" not in raw[:4096] and b"\r" in raw[:4096]:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    budget = Budget()
    head, body = read_headers(raw)
    root = new_part(raw, head, body, len(raw), ())
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if part.mime.startswith("multipart/"):
            part.children = split(part, budget)
            waiting += part.children
    return Tree(root, budget.cut)


def new_part(raw: bytes, headers: Headers, start: int, end: int, path: tuple[int, ...], kind: str = "") -> Part:
    mime, given = headers.parameters("content-type")
    disposition, more = headers.parameters("content-disposition")
    if "/" not in mime or mime.startswith("/"):
        mime = {"text": "text/plain", "html": "text/html", "": kind or "text/plain"}.get(mime, kind or "text/plain")
    name = more.get("filename") or given.get("name") or more.get("name") or given.get("filename")
    return Part(raw, headers, start, end, mime.split()[0], given, disposition.split(" ")[0], name or None, path)


def split(part: Part, budget: Budget) -> list[Part]:
    """The parts of a multipart. What stands before the first and after the last is for programs that know none."""
    boundary = part.parameters.get("boundary", "")
    if not boundary or len(part.path) >= DEPTH_MAX:
        budget.cut = budget.cut or bool(boundary)
        return []
    default = "message/rfc822" if part.mime == "multipart/digest" else "text/plain"
    children = []
    for number, (start, end) in enumerate(spans(part, boundary.encode("utf-8", "replace")[:BOUNDARY_MAX]), 1):
        if budget.left <= 0:
            budget.cut = True
            break
        budget.left -= 1
        headers, body = read_headers(part.raw, start, end)
        children.append(new_part(part.raw, headers, body, end, (*part.path, number), default))
    return children


def spans(part: Part, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Where each part begins and ends, by the lines that part them."""
    start: int | None = None
    for begin, after, last in delimiters(part, b"--" + boundary.rstrip()):
        if start is not None:
            yield start, max(start, begin)
        start = after
        if last:
            return
    if start is not None and start < part.end:
        yield start, part.end  # the last line is missing


def delimiters(part: Part, line: bytes) -> Iterator[tuple[int, int, bool]]:
    """Each delimiting line: where what stands before it ends, where it ends itself, and whether it is the last."""
    raw, place = part.raw, part.start
    while (found := raw.find(line, place, part.end)) >= 0:
        place = found + len(line)
        if found > part.start and raw[found - 1] not in b"\r\n":
            continue
        feed = raw.find(b"\n", place, part.end)
        end = part.end if feed < 0 else feed + 1
        rest = raw[place : min(end, place + 200)].strip()
        if rest not in (b"", b"--"):
            continue  # another boundary that begins with this one
        before = found
        if before > part.start and raw[before - 1] == 10:
            before -= 1
        if before > part.start and raw[before - 1] == 13:
            before -= 1
        yield before, end, rest == b"--"
        place = end


def is_base64(start: bytes) -> bool:
    """Whether it can be what it is said to be: text has blanks and signs between its letters."""
    return len(re.findall(rb"[^A-Za-z0-9+/=\r\n\t]", start)) * 10 <= len(start)


def from_quoted_printable(data: bytes) -> bytes:
    try:
        return binascii.a2b_qp(data)
    except (binascii.Error, ValueError):
        return data


def from_uu(data: bytes) -> bytes:
    """The content of an uuencoded file, as far as its lines can be read."""
    begin = UU_LINE.search(data)
    found = []
    for line in data[begin.end() if begin else 0 :].splitlines():
        if line.strip() == b"end":
            break
        try:
            found.append(binascii.a2b_uu(line))
        except (binascii.Error, ValueError):
            continue
    return b"".join(found)
