"""Our formatting as WhatsApp's: signs around words, there being no other. Pure.

WhatsApp reads `*bold*`, `_italic_`, `~struck~`, `` `code` `` and lines behind `> ` (its help page "How to format your
messages"). The signs count only where a word begins and ends and within one line; elsewhere the mark is left out.
"""

import re
from collections.abc import Iterable
from typing import Final

from shared.markup import Run, runs

SIGNS: Final = {"b": "*", "i": "_", "s": "~"}  # from the inside out
WORD: Final = re.compile(r"\w")


def mark_up(text: str, html: str | None) -> str:
    """The text as WhatsApp shows it best; without `html` it is left as it was typed."""
    if html is None:
        return text
    pieces = runs(html)
    marked = "".join(
        in_lines(run, before=ending(pieces[:place]), after=beginning(pieces[place + 1 :]))
        for place, run in enumerate(pieces)
    )
    return marked.strip("\n") or text


def ending(pieces: Iterable[Run]) -> str:
    return "".join(run.text for run in pieces)[-1:]


def beginning(pieces: Iterable[Run]) -> str:
    return "".join(run.text for run in pieces)[:1]


def in_lines(run: Run, *, before: str, after: str) -> str:
    lines = run.text.split("\n")
    marked = []
    for place, line in enumerate(lines):
        left = before if place == 0 else ""
        right = after if place == len(lines) - 1 else ""
        marked.append(in_line(run, line, before=left, after=right))
    return "\n".join(marked)


def in_line(run: Run, line: str, *, before: str, after: str) -> str:
    words = line.strip()
    lead, _, tail = line.partition(words) if words else (line, "", "")
    if not words:
        return line
    if run.href and run.href.removeprefix("mailto:").removeprefix("tel:") != words:
        words = f"{words} ({run.href})"
    free = not ((not lead and WORD.match(before)) or (not tail and WORD.match(after)))
    if free and not {"code", "pre"}.isdisjoint(run.marks):
        words = f"`{words}`"
    elif free:
        for mark, sign in SIGNS.items():
            words = f"{sign}{words}{sign}" if mark in run.marks else words
    quoted = "> " if "blockquote" in run.marks and before in ("", "\n") else ""
    return f"{lead}{quoted}{words}{tail}"
