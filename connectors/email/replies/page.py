"""A mail's HTML as lines of text, each with the nodes that it is made of. Not a sanitiser."""

import html as entities
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from connectors.email.replies.limits import VOID, beginning, is_harmless
from connectors.email.replies.text import LINES_MAX, Mark

BREAK: Final = re.compile(r"<(?:br|/?(?:p|div|tr|li|h\d|table|blockquote))\b[^<>]*>", re.IGNORECASE)
EMPTY_LINES: Final = re.compile(r"\n{3,}")
SPACE: Final = re.compile(r"\s+")
HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)
PREFORMATTED: Final = re.compile(r"white-space\s*:\s*(?:pre|break-spaces)(?!-line)", re.IGNORECASE)
NO_MARGIN: Final = re.compile(r"margin(?:-bottom)?\s*:\s*0", re.IGNORECASE)
LINK: Final = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)
SCHEME: Final = re.compile(r"^(?:https?://(?:www\.)?|mailto:|tel:)", re.IGNORECASE)
OUTLOOK_HEADER: Final = re.compile(r"border-top:\s*solid\s+#(?:e1e1e1|b5c4df)", re.IGNORECASE)
INDENT: Final = re.compile(r"border(?:-width)?\s*:\s*(?:none|0)", re.IGNORECASE)
# What webmails add to classes and ids.
NUMBERED: Final = re.compile(r"^(?:x_|yiv\d{1,20}|ydp[0-9a-f]{1,20})+|[_-]?\d+$")
DOTS: Final = frozenset({"0", "1", "2", "0px", "1px", "2px"})  # sizes of pictures that only tell that a mail was read

SKIPPED: Final = frozenset(
    {"head", "iframe", "noscript", "object", "script", "select", "style", "svg", "template", "textarea", "title"}
)
PARAGRAPHS: Final = frozenset(
    {"blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul"}
)  # fmt: skip
BLOCKS: Final = PARAGRAPHS | {
    *("address", "article", "aside", "caption", "center", "dd", "div", "dt", "fieldset", "figure", "footer", "form"),
    *("header", "hr", "li", "main", "nav", "section", "tr"),
}

# Classes, ids and names that mail programs give to what they add.
HINTS: Final[Mapping[str, Mark]] = {
    "yahoo_quoted": Mark.QUOTE,
    "protonmail_quote": Mark.QUOTE,
    "tutanota_quote": Mark.QUOTE,
    "olk_src_body_section": Mark.QUOTE,  # Outlook for Mac
    "mail-editor-reference-message-container": Mark.QUOTE,  # the new Outlook
    "messagereplysection": Mark.QUOTE,  # Spark, Airmail
    "moz-cite-prefix": Mark.ATTRIBUTION,
    "gmail_attr": Mark.ATTRIBUTION,
    "reply-intro": Mark.ATTRIBUTION,  # Roundcube
    "divrplyfwdmsg": Mark.HISTORY,
    "appendonsend": Mark.HISTORY,
    "stopspelling": Mark.HISTORY,  # Hotmail
    "outlookmessageheader": Mark.HISTORY,
    "gmail_signature": Mark.SIGNATURE,
    "gmail_signature_prefix": Mark.SIGNATURE,
    "moz-signature": Mark.SIGNATURE,
    "ms-outlook-mobile-signature": Mark.SIGNATURE,
    "protonmail_signature_block": Mark.SIGNATURE,
    "tutanota_signature": Mark.SIGNATURE,
    "applemailsignature": Mark.SIGNATURE,
    "signature": Mark.SIGNATURE,  # Outlook on the web
}
HISTORY_NAMES: Final = frozenset(name for name, hint in HINTS.items() if hint is Mark.HISTORY)
INTRODUCTION_MAX: Final = 3  # lines before the quote in Gmail's frame that only introduce it


Attributes = Mapping[str, str | None]


@dataclass
class Row:
    """One line of a page. `apart` = an empty line goes before it."""

    parts: list[str] = field(default_factory=list)
    hint: Mark | None = None
    nodes: list[LexborNode] = field(default_factory=list)
    apart: bool = False
    pictures: int = 0
    filled: bool = False

    @property
    def text(self) -> str:
        return "".join(self.parts).replace("\xa0", " ").strip()


def html_to_text(html: str) -> str:
    """What a page says, a line for each block. Of more than `HTML_MAX` characters the beginning."""
    html = beginning(html)
    try:
        return join(read(parse(html)).rows) if is_harmless(html) else stripped(html)
    except Exception:  # markup that cannot be walked is left out
        return stripped(html)


def parse(html: str) -> LexborHTMLParser:
    return LexborHTMLParser(html.encode("utf-8", "replace").replace(b"\0", b""))


def stripped(html: str) -> str:
    """The text without tags, found without a parser."""
    text = entities.unescape(re.sub(r"<[^<>]*>", "", BREAK.sub("\n", html)))
    return join(Row([SPACE.sub(" ", line)]) for line in text.split("\n"))


def join(rows: Iterable[Row]) -> str:
    lines: list[str] = []
    for row in rows:
        text = row.text
        if lines and lines[-1] and (row.apart or not text):
            lines.append("")
        if text:
            lines.append(text)
    return EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip("\n")


# From nodes to rows


def read(tree: LexborHTMLParser) -> "Reader":
    reader = Reader()
    if tree.body is not None:
        reader.read(tree.body)
    return reader


@dataclass
class Frame:
    """Gmail's element around a quote and what introduces it: its first row, until the quote has come."""

    start: int | None = None


@dataclass(frozen=True)
class Element:
    """One that is open."""

    tag: str = ""
    hint: Mark | None = None  # its own or that of one around it
    frame: Frame = field(default_factory=Frame)
    preformatted: bool = False
    apart: bool = False
    link: str = ""
    link_start: tuple[Row, int] | None = None


class Reader:
    """Makes rows of nodes in the order of the page. What nobody sees goes into `hidden`."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.hidden: list[LexborNode] = []
        self._row = Row()
        self._open: list[Element] = [Element()]
        self._due: Mark | None = None  # for the next row with text
        self._prefix = ""

    def read(self, root: LexborNode) -> None:
        todo: list[LexborNode | None] = [root]  # None = the end of an element
        while todo:
            node = todo.pop()
            if node is None:
                self._leave(self._open.pop())
            elif node.is_text_node:
                self._add_text(node)
            elif node.is_element_node and self._enter(node, node.tag or "", node.attributes):
                todo.append(None)
                todo.extend(reversed(list(node.iter(include_text=True))))
        self._end_row()

    def _enter(self, node: LexborNode, tag: str, attributes: Attributes) -> bool:
        """Whether there is something within."""
        style = attributes.get("style") or ""
        if tag in SKIPPED or "hidden" in attributes or HIDDEN.search(style):
            self.hidden.append(node)
            return False
        if tag in BLOCKS:
            self._break(apart=is_apart(tag, attributes, self._open[-1].tag))
        if tag in VOID:
            self._enter_void(node, tag, attributes)
            return False
        self._open.append(self._element(tag, attributes, style))
        if tag == "li":
            self._prefix = "- "
        elif tag in ("td", "th") and self._row.parts:
            self._prefix = "\t"
        return True

    def _element(self, tag: str, attributes: Attributes, style: str) -> Element:
        around = self._open[-1]
        names = names_in(attributes) if attributes else frozenset()
        hint, frame = hint_of(tag, style, attributes, names), around.frame
        if hint is Mark.HISTORY:
            self._due, hint = hint, None
        if tag == "blockquote":
            self._introduce(frame)
        elif around.hint is None and "gmail_quote" in names:
            frame = Frame(len(self.rows))
        return Element(
            tag,
            hint=around.hint or hint,
            frame=frame,
            preformatted=around.preformatted or tag == "pre" or PREFORMATTED.search(style) is not None,
            apart=is_apart(tag, attributes, around.tag),
            link=(attributes.get("href") or "").strip() if tag == "a" else "",
            link_start=(self._row, len(self._row.parts)) if tag == "a" else None,
        )

    def _enter_void(self, node: LexborNode, tag: str, attributes: Attributes) -> None:
        self._row.nodes.append(node)
        if tag == "br":
            self._end_row()
        elif tag == "img":
            self._row.pictures += not DOTS & {attributes.get("width"), attributes.get("height")}
            self._fill(SPACE.sub(" ", attributes.get("alt") or "").strip())
        elif names_in(attributes) & HISTORY_NAMES:
            self._due = Mark.HISTORY

    def _leave(self, element: Element) -> None:
        if element.link_start:
            self._end_link(element.link, *element.link_start)
        if element.tag in BLOCKS:
            self._break(apart=element.apart)

    def _introduce(self, frame: Frame) -> None:
        """What stands in Gmail's frame above the first quote says whose it is."""
        if frame.start is None:
            return
        above, frame.start = [row for row in self.rows[frame.start :] if row.text], None
        if len(above) <= INTRODUCTION_MAX:
            for row in above:
                row.hint = row.hint or Mark.ATTRIBUTION

    def _add_text(self, node: LexborNode) -> None:
        text = node.text_content or ""
        if not self._open[-1].preformatted or "\n" not in text:
            self._add(text, node)
            return
        *lines, last = text.split("\n", LINES_MAX)
        for line in lines:  # each its own node, so that some can be removed; those further down go or stay together
            self._add(line, before(node, f"{line}\n"))
            self._end_row()
        self._add(last, before(node, last))
        node.decompose()

    def _add(self, text: str, node: LexborNode) -> None:
        row = self._row
        row.nodes.append(node)
        if not self._open[-1].preformatted:
            text = SPACE.sub(" ", text)
            if not row.parts or row.parts[-1].endswith(" "):
                text = text.lstrip(" ")
        self._fill(text)

    def _fill(self, text: str) -> None:
        row = self._row
        if text and not text.isspace():
            row.filled = True
            if row.hint is None:
                row.hint, self._due = self._due or self._open[-1].hint, None
            text, self._prefix = self._prefix + text, ""
        if text:
            row.parts.append(text)

    def _end_link(self, url: str, row: Row, start: int) -> None:
        """Where a link leads is part of what is said, unless its text says it."""
        if row is not self._row or not LINK.match(url):
            return
        text = "".join(row.parts[start:]).strip()
        address = SCHEME.sub("", url).partition("?")[0].rstrip("/")
        if text and address.lower() not in text.lower():
            row.parts.append(f" <{url}>")

    def _break(self, *, apart: bool) -> None:
        """Begin a new row, unless this one is empty."""
        if self._row.filled or self._row.pictures:
            self._end_row()
        self._row.apart = self._row.apart or apart

    def _end_row(self) -> None:
        self.rows.append(self._row)
        self._row = Row()


def before(node: LexborNode, text: str) -> LexborNode:
    node.insert_before(text)
    assert node.prev is not None
    return node.prev


def is_apart(tag: str, attributes: Attributes, around: str) -> bool:
    """Whether empty space is above and below. Outlook's paragraphs and lists in lists have none."""
    if tag not in PARAGRAPHS or (tag in ("ul", "ol") and around == "li"):
        return False
    return "MsoNormal" not in (attributes.get("class") or "") and not NO_MARGIN.search(attributes.get("style") or "")


def names_in(attributes: Attributes) -> frozenset[str]:
    words = f"{attributes.get('class')} {attributes.get('id')} {attributes.get('name')}".lower().split()
    return frozenset(NUMBERED.sub("", word[:100]) for word in words[:20])


def hint_of(tag: str, style: str, attributes: Attributes, names: frozenset[str]) -> Mark | None:
    if tag == "blockquote":
        indents = INDENT.search(style) and "border-left" not in style and attributes.get("type") != "cite"
        return None if indents else Mark.QUOTE
    if OUTLOOK_HEADER.search(style):
        return Mark.HISTORY
    return next((HINTS[name] for name in sorted(names & HINTS.keys())), None)
