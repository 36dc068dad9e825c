r"""What Outlook packs into winmail.dat (application/ms-tnef): the words of the message and its files. Pure.

By Microsoft's open specifications: MS-OXTNEF (the stream), MS-OXPROPS (the properties), MS-OXRTFCP (compressed RTF)
and MS-OXRTFEX (HTML inside RTF). Of RTF it reads the words and nothing of how they look. Checksums are not compared:
what is damaged shows by its lengths, and half a message is better than none.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Final

FILES_MAX: Final = 200
DEPTH_MAX: Final = 5  # messages inside messages; what lies deeper stays packed
RTF_MAX_BYTES: Final = 5 * 1024 * 1024  # unpacked, of all messages together; as UTF-8 its words are 15 MB at most
STEPS_MAX: Final = 1_000_000  # pieces of the stream and of RTF: seconds at the most, thousands in an honest message
GROUPS_MAX: Final = 200  # RTF groups inside each other

SIGNATURE: Final = b"\x78\x9f\x3e\x22"
INT32, OBJECT, STRING8, UNICODE, BINARY = 0x03, 0x0D, 0x1E, 0x1F, 0x102
VARIABLE: Final = frozenset({OBJECT, STRING8, UNICODE, BINARY})
MANY: Final = 0x1000  # added to the type of a property with several values
NAMED: Final = 0x8000  # the first id that stands for a name, which follows it
# In bytes; in the stream each is filled up to 4.
SIZES: Final = {0x00: 0, 0x01: 0, 0x02: 2, INT32: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 2, 0x14: 8,
                0x40: 8, 0x48: 16}  # fmt: skip
INTERFACE_BYTES: Final = 16  # before the data of an object: what kind of object it is

SUBJECT, BODY, RTF, HTML = 0x0037, 0x1000, 0x1009, 0x1013
DISPLAY_NAME, DATA, FILENAME, LONG_FILENAME, MIME, CONTENT_ID = 0x3001, 0x3701, 0x3704, 0x3707, 0x370E, 0x3712
INTERNET_CODEPAGE: Final = 0x3FDE
OEM_CODEPAGE: Final = 0x9007  # no property: an id above those that are kept
RENDERING: Final = 0x9002  # attAttachRendData: here the next attachment begins
PROPERTY_LISTS: Final = frozenset({0x9003, 0x9005})  # attMsgProps, attAttachment
# Attributes of the stream as the properties that they stand for.
ATTRIBUTES: Final = {
    0x8004: (SUBJECT, STRING8),
    0x800C: (BODY, STRING8),
    0x800F: (DATA, BINARY),
    0x8010: (FILENAME, STRING8),
    0x9007: (OEM_CODEPAGE, INT32),
}

# Windows code pages with the codecs that know them, and the charsets of RTF fonts (\fcharset) as code pages.
USUAL: Final = "cp1252"
CODECS: Final = {
    **{page: f"cp{page}" for page in (437, 737, 775, 850, 852, 855, 857, 858, 862, 866, 874, 932, 949, 950)},
    **{page: f"cp{page}" for page in range(1250, 1259)},
    **{28590 + part: f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 13, 15)},
    936: "gb18030", 28591: USUAL, 10000: "mac_roman", 10007: "mac_cyrillic", 20866: "koi8-r", 21866: "koi8-u",
    50220: "iso2022_jp", 50221: "iso2022_jp", 51932: "euc_jp", 51949: "euc_kr", 54936: "gb18030", 65001: "utf-8",
}  # fmt: skip
FONT_PAGES: Final = {77: 10000, 128: 932, 129: 949, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255,
                     178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250}  # fmt: skip

# MS-OXRTFCP 2.1.2.1: what the dictionary of every compressed RTF holds at the start.
DICTIONARY: Final = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
WINDOW: Final = 4096
# A control word, letters by their bytes, a control symbol, a brace, plain words. Line ends mean nothing.
TOKEN: Final = re.compile(
    rb"\\([A-Za-z]{1,32})(-?[0-9]{1,10})? ?|((?:\\'[0-9A-Fa-f]{2})+)|\\([^A-Za-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
SIGNS: Final = {
    b"par": "\n", b"line": "\n", b"row": "\n", b"\n": "\n", b"\r": "\n", b"cell": "\t", b"tab": "\t", b"~": "\xa0",
    b"_": "\u2011", b"{": "{", b"}": "}", b"\\": "\\", b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘",
    b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”",
}  # fmt: skip
NO_WORDS: Final = frozenset(
    {b"fonttbl", b"colortbl", b"stylesheet", b"info", b"pict", b"fldinst", b"header", b"footer"}
)
NO_NAME: Final = re.compile(r'[\x00-\x20\\/:*?"<>|]+')

Said = dict[int, tuple[int, memoryview]]  # the type and the data of each property


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file as its sender named it: `name` may hold anything. `content_id` is without angle brackets."""

    name: str | None
    mime: str | None
    content: bytes = field(repr=False)
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The words of the message, as text or HTML or both, and its files. Lines end by a line feed."""

    text: str | None
    html: str | None
    files: tuple[PackedFile, ...]


@dataclass(slots=True)
class Left:
    """What may still come of one winmail.dat, with all that is packed inside it."""

    files: int = FILES_MAX
    rtf_bytes: int = RTF_MAX_BYTES
    steps: int = STEPS_MAX


def unpack(data: bytes) -> Unpacked:
    """What is in a winmail.dat. Of a stream that breaks off, or that has more than 200 files, what came before.

    A message inside becomes a file of its words, named by its subject, with its own files behind it. Raises ValueError
    for what is no TNEF.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("This is no TNEF: it does not begin with 78 9F 3E 22.")
    return unpack_message(memoryview(data), Left(), depth=0)[0]


def unpack_message(data: memoryview, left: Left, *, depth: int) -> tuple[Unpacked, str | None]:
    """With the subject."""
    message, attachments = read_stream(data, left)
    codec = CODECS.get(number(message, OEM_CODEPAGE), USUAL)
    text, html = clean(words(message, BODY, codec=codec)), clean(html_of(message, codec))
    if html is None and RTF in message:
        rtf = decompress(bytes(message[RTF][1]), left.rtf_bytes)
        left.rtf_bytes -= len(rtf)
        found, is_html = RtfReader(rtf, left).read()
        text, html = (text, clean(found)) if is_html else (text or clean(found), None)
    files = [file for said in attachments for file in unpack_files(said, codec, left, depth)]
    return Unpacked(text, html, tuple(files)), words(message, SUBJECT, codec=codec)


def unpack_files(said: Said, codec: str, left: Left, depth: int) -> list[PackedFile]:
    """The file of an attachment; those of a message inside; none if it holds no data."""
    kind, content = said.get(DATA, (0, memoryview(b"")))
    name = words(said, LONG_FILENAME, FILENAME, DISPLAY_NAME, codec=codec)
    content = content[INTERFACE_BYTES:] if kind == OBJECT else content
    is_there = content or (kind == BINARY and name)  # a file with a name may well be empty
    if kind not in (OBJECT, BINARY) or not is_there or left.files <= 0:
        return []
    left.files -= 1
    mime = words(said, MIME, codec=codec)
    if kind == OBJECT and bytes(content[: len(SIGNATURE)]) == SIGNATURE:
        if depth < DEPTH_MAX:
            return unpack_inner(content, name, left, depth + 1)
        mime = "application/ms-tnef"
    content_id = words(said, CONTENT_ID, codec=codec)
    return [PackedFile(name, mime, bytes(content), content_id.strip("<> ") if content_id else None)]


def unpack_inner(data: memoryview, name: str | None, left: Left, depth: int) -> list[PackedFile]:
    inner, subject = unpack_message(data, left, depth=depth)
    title = NO_NAME.sub(" ", subject or name or "").strip()[:100] or "message"
    if inner.html:  # the mark at the start outweighs whatever charset the HTML itself declares
        return [PackedFile(f"{title}.html", "text/html", inner.html.encode("utf-8-sig", "replace")), *inner.files]
    if inner.text:
        return [PackedFile(f"{title}.txt", "text/plain", inner.text.encode("utf-8", "replace")), *inner.files]
    return list(inner.files)


class Cursor:
    """Goes through a piece of the stream; raises EOFError where it has less than it says, or `left` no steps."""

    def __init__(self, data: memoryview, left: Left) -> None:
        self._data = data
        self._left = left
        self._at = 0

    def take(self, size: int) -> memoryview:
        self._left.steps -= 1
        if size > len(self._data) - self._at or self._left.steps < 0:
            raise EOFError
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def align(self) -> None:
        self._at += -self._at % 4


def read_stream(data: memoryview, left: Left) -> tuple[Said, list[Said]]:
    """What is said of the message, and of each attachment. A property says it better than an attribute."""
    message: Said = {}
    attachments: list[Said] = []
    for level, attribute, value in attributes(data, left):
        if attribute == RENDERING:
            if len(attachments) == FILES_MAX:
                break
            attachments.append({})
        about = attachments[-1] if level == 2 and attachments else message
        if attribute in PROPERTY_LISTS:
            about.update((id, (kind, value)) for id, kind, value in properties(value, left))
        elif attribute in ATTRIBUTES:
            id, kind = ATTRIBUTES[attribute]
            about.setdefault(id, (kind, value))
    return message, attachments


def attributes(data: memoryview, left: Left) -> Iterator[tuple[int, int, memoryview]]:
    """Level (1 the message, 2 an attachment), id and data of each, as far as they are whole."""
    cursor = Cursor(data, left)
    with suppress(EOFError):
        cursor.take(len(SIGNATURE) + 2)  # and a key that nothing needs
        while True:
            level = cursor.take(1)[0]
            id = cursor.number() & 0xFFFF  # above it stands the type, which the id implies
            yield level, id, cursor.take(cursor.number())
            cursor.take(2)


def properties(data: memoryview, left: Left) -> Iterator[tuple[int, int, memoryview]]:
    """Id, type and data of each that has no name, as far as they are whole; of several values the first."""
    cursor = Cursor(data, left)
    with suppress(EOFError):
        for _ in range(cursor.number()):
            tag = cursor.number()
            id, kind = tag >> 16, tag & 0xFFFF
            if id >= NAMED:
                skip_name(cursor)
            for value in read_values(cursor, kind):
                if id < NAMED:
                    yield id, kind & ~MANY, value


def skip_name(cursor: Cursor) -> None:
    cursor.take(16)
    is_text = cursor.number()
    size = cursor.number()  # or the number that is the name
    if is_text:
        cursor.take(size)
        cursor.align()


def read_values(cursor: Cursor, kind: int) -> list[memoryview]:
    """The first value, with the cursor behind the last. A type that is not known ends the list: it has no length."""
    plain = kind & ~MANY
    if plain not in VARIABLE and plain not in SIZES:
        raise EOFError
    first: list[memoryview] = []
    for _ in range(cursor.number() if plain in VARIABLE or kind & MANY else 1):
        value = cursor.take(cursor.number() if plain in VARIABLE else SIZES[plain])
        cursor.align()
        first = first or [value]
    return first


def number(said: Said, id: int) -> int:
    kind, value = said.get(id, (0, memoryview(b"")))
    return int.from_bytes(value[:4], "little") if kind == INT32 else 0


def words(said: Said, *ids: int, codec: str) -> str | None:
    """The first text under these ids that says something, up to its zero."""
    for id in ids:
        kind, value = said.get(id, (0, memoryview(b"")))
        if kind in (STRING8, UNICODE):
            text = str(value, "utf-16-le" if kind == UNICODE else codec, "replace").partition("\0")[0]
            if text.strip():
                return text
    return None


def html_of(said: Said, codec: str) -> str | None:
    """Bytes are in the internet code page of the message; where none is said they may be UTF-8."""
    kind, value = said.get(HTML, (0, memoryview(b"")))
    if kind != BINARY:
        return words(said, HTML, codec=codec)
    page = CODECS.get(number(said, INTERNET_CODEPAGE))
    if page is None:
        with suppress(UnicodeDecodeError):
            return str(value, "utf-8")
    return str(value, page or codec, "replace")


def clean(text: str | None) -> str | None:
    """None for what says nothing. No zeros: a database refuses them."""
    text = (text or "").replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    return text if text.strip() else None


def decompress(packed: bytes, max_bytes: int) -> bytes:
    """The RTF (MS-OXRTFCP 2.2): a header of sizes, kind and checksum, then runs of eight letters or references."""
    if packed[8:12] == b"MELA":
        return packed[16 : 16 + min(int.from_bytes(packed[4:8], "little"), max_bytes)]
    out, at = bytearray(DICTIONARY), 16
    end = len(packed) if packed[8:12] == b"LZFu" else 0
    while at < end and len(out) < max_bytes + len(DICTIONARY):
        flags, at = packed[at], at + 1
        if flags == 0:
            out += packed[at : at + 8]
            at += 8
            continue
        for bit in range(8):
            if not flags >> bit & 1:
                out += packed[at : at + 1]
                at += 1
                continue
            pair, at = int.from_bytes(packed[at : at + 2], "big"), at + 2
            back, size = (len(out) - (pair >> 4)) % WINDOW, (pair & 15) + 2
            if at > end or back == 0 or back > len(out):  # a reference to the place of writing is the end
                return bytes(out[len(DICTIONARY) :][:max_bytes])
            piece = out[len(out) - back : len(out) - back + size]
            out += (piece * size)[:size]  # it may reach into what it writes
    return bytes(out[len(DICTIONARY) :][:max_bytes])


@dataclass(frozen=True, slots=True)
class Group:
    """What holds up to the closing brace."""

    codec: str
    shown: bool = True
    for_rtf: bool = False  # between \htmlrtf and \htmlrtf0: what only a reader of RTF shows
    is_fonts: bool = False
    after_unicode: int = 1  # letters behind \u for readers that know no Unicode


class RtfReader:
    """The words of RTF, or the HTML that was packed into it. Stops where `left` has no steps."""

    def __init__(self, rtf: bytes, left: Left) -> None:
        self._rtf = rtf
        self._left = left
        self._at = 0
        self._ansi = USUAL
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._groups = [Group(USUAL)]
        self._skip = 0
        self._is_html = False
        self._text = StringIO()
        self._codec = USUAL
        self._bytes = bytearray()  # letters of several bytes may come in several tokens

    def read(self) -> tuple[str, bool]:
        """The words, and if they are HTML."""
        while self._left.steps > 0 and (token := TOKEN.match(self._rtf, self._at)):
            self._left.steps -= 1
            self._at = token.end()
            word, argument, codes, symbol, brace, plain = token.groups()
            if brace and not self._turn(brace):
                break
            if word:
                self._obey(word, int(argument) if argument else None)
            elif symbol == b"*":  # a destination that older readers do not know: of those we know one
                if not self._rtf.startswith(b"\\htmltag", self._at):
                    self._groups[-1] = replace(self._groups[-1], shown=False)
            elif symbol and self._skip:
                self._skip -= 1
            elif symbol in SIGNS:
                self._write_sign(SIGNS[symbol])
            elif codes or plain:
                self._write_letters(bytes.fromhex(codes.replace(b"\\'", b"").decode()) if codes else plain)
        self._flush()
        return self._text.getvalue(), self._is_html

    def _turn(self, brace: bytes) -> bool:
        """Into a group or out of it; False behind the last, and where there are too many."""
        self._skip = 0
        if brace == b"{":
            self._groups.append(self._groups[-1])
            return len(self._groups) <= GROUPS_MAX
        self._groups.pop()
        return len(self._groups) > 1

    def _obey(self, word: bytes, argument: int | None) -> None:
        group = self._groups[-1]
        match word:
            case b"u":
                self._put(((argument or 0) % 0x10000).to_bytes(2, "little"), "utf-16-le")  # a surrogate counts as one
                self._skip = group.after_unicode
            case b"uc":
                group = replace(group, after_unicode=min(max(argument or 0, 0), 100))
            case b"f" if group.is_fonts:
                self._font = argument or 0
            case b"fcharset" if group.is_fonts:
                self._fonts[self._font] = CODECS.get(FONT_PAGES.get(argument or 0, 0), self._ansi)
            case b"f":
                group = replace(group, codec=self._fonts.get(argument or 0, self._ansi))
            case b"ansicpg":
                self._ansi = CODECS.get(argument or 0, USUAL)
                group = replace(group, codec=self._ansi)
            case b"bin":
                self._at += max(argument or 0, 0)
            case b"fromhtml":
                self._is_html = True
            case b"htmlrtf":
                group = replace(group, for_rtf=argument != 0)
            case b"htmltag":
                group = replace(group, codec=self._ansi)
            case _ if word in NO_WORDS:
                group = replace(group, shown=False, is_fonts=word == b"fonttbl")
            case _ if word in SIGNS:
                self._write_sign(SIGNS[word])
        self._groups[-1] = group

    def _write_sign(self, sign: str) -> None:
        self._put(sign.encode("utf-16-le"), "utf-16-le")

    def _write_letters(self, letters: bytes) -> None:
        skipped, self._skip = self._skip, max(self._skip - len(letters), 0)
        self._put(letters[skipped:], self._groups[-1].codec)

    def _put(self, data: bytes, codec: str) -> None:
        group = self._groups[-1]
        if not data or not group.shown or group.for_rtf:
            return
        if codec != self._codec:
            self._flush()
            self._codec = codec
        self._bytes += data

    def _flush(self) -> None:
        self._text.write(self._bytes.decode(self._codec, "replace"))
        self._bytes.clear()
