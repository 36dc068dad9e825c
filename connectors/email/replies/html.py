"""Which part of a mail's HTML a person wrote now. Not a sanitiser."""

from collections.abc import Iterable, Sequence
from typing import Final

from selectolax.lexbor import LexborNode

from connectors.email.replies.limits import beginning, is_harmless
from connectors.email.replies.page import Row, parse, read
from connectors.email.replies.text import LINES_MAX, TEXT_MAX, Line, keep

PICTURE: Final = "\ufffc"


def visible_html(html: str) -> str:
    """The HTML of what the person wrote now, without what is hidden; unchanged where nothing is to be removed.

    Of more than `HTML_MAX` characters the beginning decides.
    """
    try:
        head = beginning(html)
        return cut(head, html) if is_harmless(head) else html
    except Exception:  # a mail that cannot be cut is shown whole
        return html


def cut(head: str, html: str) -> str:
    tree = parse(head)
    page = read(tree)
    kept = keep_rows(page.rows)
    goes_on = len(head) < len(html) and kept[-1:] == [True]  # with words that nobody has looked at
    if goes_on or (all(kept) and not page.hidden):
        return html
    for node in page.hidden:
        node.decompose()
    remove(gone(page.rows, kept))
    return tree.html or html


def keep_rows(rows: Sequence[Row]) -> list[bool]:
    """For each row whether it is shown; those too far down to be looked at are as the last that is."""
    lines: list[Line] = []
    length = 0
    for row in rows[:LINES_MAX]:
        lines.append(Line(row.text or PICTURE * row.pictures, row.hint))
        length += len(lines[-1].text)
        if length > TEXT_MAX:
            break
    kept = keep(lines)
    return kept + kept[-1:] * (len(rows) - len(kept))


def gone(rows: Sequence[Row], kept: Sequence[bool]) -> Iterable[LexborNode]:
    for row, stays in zip(rows, kept, strict=True):
        if not stays:
            yield from row.nodes


def remove(nodes: Iterable[LexborNode]) -> None:
    """Take the nodes out, and the elements that are empty without them."""
    for node in nodes:
        parent = node.parent
        node.decompose()
        while parent is not None and parent.child is None and parent.tag not in ("body", "html"):
            empty, parent = parent, parent.parent
            empty.decompose()
