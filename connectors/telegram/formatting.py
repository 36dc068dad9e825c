"""Telegram's entities to our HTML and back, and long texts into parts. Pure.

Telegram counts in UTF-16 code units: a letter is one, most emoji are two. Everything called `units` here counts so.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Final

from aiogram.types import MessageEntity

from shared.markup import Run, escape, joined, plain, runs
from shared.model import storable

MARKS: Final = {
    "bold": "b",
    "italic": "i",
    "underline": "u",
    "strikethrough": "s",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "expandable_blockquote": "blockquote",
}
# From the outermost to the innermost: a quote may hold code, and code nothing.
OUTER_FIRST: Final = ("blockquote", "pre", "code", "a", "b", "i", "u", "s")
TYPES: Final = {
    "blockquote": "blockquote",
    "pre": "pre",
    "code": "code",
    "a": "text_link",
    "b": "bold",
    "i": "italic",
    "u": "underline",
    "s": "strikethrough",
}
SAFE_LINK: Final = re.compile(r"(https?://|mailto:|tel:)[^\s<>\"\x00-\x20]+", re.IGNORECASE)
WEB_LINK: Final = re.compile(r"https?://", re.IGNORECASE)
BREAKS: Final = (re.compile(r"\n\s*\n"), re.compile(r"\n"), re.compile(r"[.!?…。！？]['\")\]»”]*\s"), re.compile(r"\s"))
CLINGING: Final = "\u200d\ufe0e\ufe0f\u20e3" + "".join(map(chr, range(0x1F3FB, 0x1F400)))  # to the character before
ENTITIES_MAX: Final = 100  # of one message; Telegram heeds no more
CLUSTER_MAX: Final = 32  # characters that cling together, at most, are kept together


@dataclass(frozen=True)
class Marked:
    """A text and what Telegram should make of it."""

    text: str
    entities: tuple[MessageEntity, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text.strip())


def units(text: str) -> int:
    """The length as Telegram counts it."""
    return len(text) + sum(character > "\uffff" for character in text)


def unit_starts(text: str) -> list[int]:
    """Where each character starts, in units, and where the last one ends."""
    return list(accumulate((2 if character > "\uffff" else 1 for character in text), initial=0))


# Theirs to ours


def show(text: str, entities: Sequence[MessageEntity] | None) -> tuple[str, str | None]:
    """The text, and the same in our HTML if it has any formatting that we know."""
    text = str(storable(text))  # one unit for one: the offsets stay right
    found = list(joined(pieces(text, entities or ())))
    formatted = any(run.marks for run in found)
    return text, nested_html(found, OUTER_FIRST) if formatted else None


def nested_html(found: Sequence[Run], marks: Sequence[str]) -> str:
    """The runs in our tags, each opened once for all neighbours that it holds: a quote stays one quote."""
    if not marks:
        return "".join(escape(run.text).replace("\n", "<br>") for run in found)
    mark, *inner = marks
    html = ""
    for carried, group in groupby(found, key=lambda run: carries(run, mark)):
        inside = nested_html(list(group), inner)
        tag = f'a href="{escape(carried)}"' if mark == "a" else mark
        html += f"<{tag}>{inside}</{mark}>" if carried else inside
    return html


def carries(run: Run, mark: str) -> str:
    """Empty without the mark; the same text for neighbours that are under it together."""
    if mark not in run.marks:
        return ""
    return run.href or "" if mark == "a" else mark


def pieces(text: str, entities: Sequence[MessageEntity]) -> list[Run]:
    """The text cut at every place where the formatting changes. Entities may overlap and lie anywhere."""
    starts = unit_starts(text)
    changes: dict[int, list[tuple[int, Run | None]]] = defaultdict(list)
    for number, entity in enumerate(entities[:ENTITIES_MAX]):
        begin = max(bisect_right(starts, entity.offset) - 1, 0)
        end = min(bisect_left(starts, entity.offset + entity.length), len(text))
        style = style_of(entity, text[begin:end]) if begin < end else None
        if style is not None:
            changes[begin].append((number, style))
            changes[end].append((number, None))
    found, styles, last = [], dict[int, Run](), 0
    for place in sorted({*changes, len(text)}):
        found.append(styled(text[last:place], styles.values()))
        for number, begins in changes[place]:
            if begins is None:
                del styles[number]
            else:
                styles[number] = begins
        last = place
    return found


def styled(text: str, styles: Iterable[Run]) -> Run:
    marks = frozenset[str]().union(*(style.marks for style in styles))
    return Run(text, marks, next((style.href for style in reversed(list(styles)) if style.href), None))


def style_of(entity: MessageEntity, text: str) -> Run | None:
    """What the entity means for the text under it; None for what we have no formatting for."""
    if entity.type in MARKS:
        return Run("", frozenset({MARKS[entity.type]}))
    link = link_of(entity, text)
    return Run("", frozenset({"a"}), link) if link else None


def link_of(entity: MessageEntity, text: str) -> str | None:
    """Where it leads, if that is safe to follow."""
    match entity.type:
        case "text_link":
            link = str(storable(entity.url or ""))
        case "url":
            link = text if WEB_LINK.match(text) else f"http://{text}"  # what Telegram itself makes of it
        case "email":
            link = f"mailto:{text}"
        case "phone_number":
            link = "tel:" + re.sub(r"[^\d+]", "", text)
        case _:
            return None
    return link if SAFE_LINK.fullmatch(link) else None


# Ours to theirs


def mark_up(text: str, html: str | None) -> Marked:
    """What to send for a text of ours and the same with formatting; the second is taken where it says anything."""
    if html is None or not plain(html).strip():
        return Marked(text)
    spans: list[Span] = []
    for run in runs(html):
        begin = spans[-1].end if spans else 0
        words = spelled_out(run)
        spans.append(Span(begin, begin + units(words), Run(words, kept_marks(run), run.href)))
    return Marked("".join(span.run.text for span in spans), tuple(nested(spans, OUTER_FIRST)))


@dataclass(frozen=True, slots=True)
class Span:
    """A run with its place in the whole, in units."""

    begin: int
    end: int
    run: Run


def kept_marks(run: Run) -> frozenset[str]:
    """Code holds no other formatting at Telegram, and a link leads to a page."""
    if run.marks & {"code", "pre"}:
        return run.marks & {"blockquote", "pre" if "pre" in run.marks else "code"}
    return run.marks if run.href and WEB_LINK.match(run.href) else run.marks - {"a"}


def spelled_out(run: Run) -> str:
    """An address that cannot be a link is written behind its text, unless it is the text."""
    scheme, _, address = (run.href or "").partition(":")
    if scheme.lower() in ("mailto", "tel") and address not in run.text:
        return f"{run.text} ({address})"
    return run.text


def nested(spans: Sequence[Span], marks: Sequence[str]) -> Iterator[MessageEntity]:
    """Entities of which each lies wholly inside or outside every other, as Telegram wants them."""
    if not marks:
        return
    mark, *inner = marks
    for carried, group in groupby(spans, key=lambda span: carries(span.run, mark)):
        together = list(group)
        if carried:
            begin, end = together[0].begin, together[-1].end
            url = carried if mark == "a" else None
            yield MessageEntity(type=TYPES[mark], offset=begin, length=end - begin, url=url)
        yield from nested(together, inner)


def split(marked: Marked, limit: int) -> list[Marked]:
    """Parts of at most `limit` units, cut where a reader would pause; formatting goes on in the next part."""
    text, starts = marked.text, unit_starts(marked.text)
    parts, begin = [], 0
    while starts[-1] - starts[begin] > limit:
        end = bisect_right(starts, starts[begin] + limit) - 1
        cut = pause_in(text, begin, end)
        parts.append(part_of(marked, starts, begin, cut))
        begin = cut
    parts.append(part_of(marked, starts, begin, len(text)))
    return [part for part in parts if part]


def pause_in(text: str, begin: int, end: int) -> int:
    """The best place for a cut: a paragraph's end, a line's, a sentence's, a word's, if it is in the second half."""
    middle = (begin + end) // 2
    for pause in BREAKS:
        places = [match.end() for match in pause.finditer(text, middle, end)]
        if places and places[-1] > begin:
            return places[-1]
    for cut in range(end, max(begin + 1, end - CLUSTER_MAX), -1):
        clings = text[cut] in CLINGING or unicodedata.combining(text[cut]) or text[cut - 1] == "\u200d"
        if not clings:
            return cut
    return end


def part_of(marked: Marked, starts: Sequence[int], begin: int, end: int) -> Marked:
    """A stretch of the text without the space around it, with its share of the entities."""
    text = marked.text[begin:end]
    begin += len(text) - len(text.lstrip())
    text = text.strip()
    first, last = starts[begin], starts[begin + len(text)]
    return Marked(text, tuple(shifted(marked.entities, first, last)))


def shifted(entities: Sequence[MessageEntity], first: int, last: int) -> Iterator[MessageEntity]:
    for entity in entities:
        begin, end = max(entity.offset, first), min(entity.offset + entity.length, last)
        if begin < end:
            yield entity.model_copy(update={"offset": begin - first, "length": end - begin})
