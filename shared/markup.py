"""Formatted text: the few tags that all channels can agree on, made safe, and taken apart for those that have others.

`Text.html` and `Media.caption_html` hold `b i u s code pre a blockquote` and `br`, nothing else: safe to show as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Final

import nh3

MARKS: Final = frozenset({"b", "i", "u", "s", "code", "pre", "a", "blockquote"})
SAME: Final = {"strong": "b", "em": "i", "ins": "u", "del": "s", "strike": "s"}
BLOCKS: Final = frozenset({"p", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "table"})
SCHEMES: Final = frozenset({"http", "https", "mailto", "tel"})
ALLOWED: Final = {*MARKS, *SAME, *BLOCKS, "br"}


@dataclass(frozen=True, slots=True)
class Run:
    """Text under one set of marks; `href` is where it leads if `a` is among them."""

    text: str
    marks: frozenset[str] = frozenset()
    href: str | None = None


def clean(html: str) -> str:
    """The same text with nothing but our tags, whatever was given. Idempotent."""
    return "".join(render(run) for run in runs(html))


def plain(html: str) -> str:
    """The text alone."""
    return "".join(run.text for run in runs(html))


def runs(html: str) -> list[Run]:
    """What is to be shown, piece by piece; neighbours differ in their marks."""
    reader = Reader()
    reader.feed(
        nh3.clean(
            html, tags=ALLOWED, attributes={"a": {"href"}}, url_schemes=set(SCHEMES), link_rel=None, strip_comments=True
        )
    )
    reader.close()
    return list(joined(reader.found))


class Reader(HTMLParser):
    """Collects runs; what nh3 lets through is well-formed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Run] = []
        self._open: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = SAME.get(tag, tag)
        if name == "br":
            self._add("\n")
        elif name in BLOCKS:
            self._new_line()
        elif name in MARKS:
            self._open.append((name, dict(attrs).get("href")))

    def handle_endtag(self, tag: str) -> None:
        name = SAME.get(tag, tag)
        if name in BLOCKS:
            self._new_line()
        for place in range(len(self._open) - 1, -1, -1):
            if self._open[place][0] == name:
                del self._open[place]
                break

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _new_line(self) -> None:
        if self.found and not self.found[-1].text.endswith("\n"):
            self._add("\n")

    def _add(self, text: str) -> None:
        href = next((link for name, link in reversed(self._open) if name == "a"), None)
        marks = frozenset(name for name, link in self._open if name != "a" or link)
        self.found.append(Run(text, marks, href if "a" in marks else None))


def joined(found: list[Run]) -> Iterator[Run]:
    last: Run | None = None
    for run in found:
        if last is not None and (last.marks, last.href) == (run.marks, run.href):
            last = Run(last.text + run.text, run.marks, run.href)
            continue
        if last is not None and last.text:
            yield last
        last = run
    if last is not None and last.text:
        yield last


def escape(text: str) -> str:
    """For text and for values of attributes in double quotes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def render(run: Run) -> str:
    """One run in our tags, the marks always in the same order."""
    html = escape(run.text).replace("\n", "<br>")
    for mark in sorted(run.marks, reverse=True):
        start = f'a href="{escape(run.href or "")}"' if mark == "a" else mark
        html = f"<{start}>{html}</{mark}>"
    return html
