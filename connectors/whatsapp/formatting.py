"""Our formatting as WhatsApp's: signs around words, there being no other. Pure.

WhatsApp reads `*bold*`, `_italic_`, `~struck~`, `` `code` `` and lines behind `> ` (its help page "How to format your
messages"). The signs count only where a word begins and ends and within one line; elsewhere the mark is left out.
"""

import re
from itertools import groupby
from typing import Final

from shared.markup import Run, runs

SIGNS: Final = {"b": "*", "i": "_", "s": "~"}  # from the inside out
WORD: Final = re.compile(r"\w")


def mark_up(text: str, html: str | None) -> str:
    """The text as WhatsApp shows it best; without `html` it is left as it was typed."""
    if html is None:
        return text
    pieces = runs(html)
    befores = ["", *(run.text[-1:] for run in pieces[:-1])]
    afters = [*(run.text[:1] for run in pieces[1:]), ""]
    marked = [in_lines(*one) for one in zip(pieces, befores, afters, strict=False)]
    whole = ""
    for quoted, group in groupby(zip(pieces, marked, strict=True), key=lambda pair: "blockquote" in pair[0].marks):
        words = "".join(shown for _, shown in group)
        whole = below(whole, quote(words)) + "\n" if quoted else whole + words
    return whole.strip("\n") or text


def quote(words: str) -> str:
    return "\n".join(f"> {line}" for line in words.strip("\n").split("\n"))


def below(text: str, more: str) -> str:
    return f"{text}\n{more}" if text and not text.endswith("\n") else text + more


def in_lines(run: Run, before: str, after: str) -> str:
    """The run with its signs, line by line. `before` and `after` are the letters beside it."""
    lines = run.text.split("\n")
    befores, afters = [before, *[""] * (len(lines) - 1)], [*[""] * (len(lines) - 1), after]
    return "\n".join(in_line(run, *line) for line in zip(lines, befores, afters, strict=True))


def in_line(run: Run, line: str, before: str, after: str) -> str:
    words = line.strip()
    if not words:
        return line
    lead, _, tail = line.partition(words)
    if run.href and run.href.removeprefix("mailto:").removeprefix("tel:") != words:
        words = f"{words} ({run.href})"
    if (not lead and WORD.match(before)) or (not tail and WORD.match(after)):
        return f"{lead}{words}{tail}"
    if not {"code", "pre"}.isdisjoint(run.marks):
        return f"{lead}`{words}`{tail}"
    for mark, sign in SIGNS.items():
        words = f"{sign}{words}{sign}" if mark in run.marks else words
    return f"{lead}{words}{tail}"
