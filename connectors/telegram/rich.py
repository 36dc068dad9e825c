"""Rich messages (Bot API 10.1) to text. Pure.

Read from the raw JSON by the names of its members: blocks nest without end, and new kinds come with every version.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shared.markup import escape, render, runs
from shared.model import storable

TAGS: Final = {
    "bold": "b",
    "italic": "i",
    "underline": "u",
    "strikethrough": "s",
    "code": "code",
    "heading": "b",
    "pre": "pre",
    "blockquote": "blockquote",
    "expandable_blockquote": "blockquote",
    "pullquote": "blockquote",
}
STANDS_FOR: Final = {
    "divider": "———",
    "animation": "[animation]",
    "audio": "[audio]",
    "document": "[document]",
    "map": "[map]",
    "photo": "[photo]",
    "video": "[video]",
    "voice_note": "[voice note]",
}
# What a block says, in the order in which it says it.
PARTS: Final = ("summary", "text", "expression", "alternative_text", "blocks", "items", "cells", "buttons", "button")
AFTER: Final = ("caption", "credit")


def rich_text(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """The text, and the same in our HTML if it has any formatting."""
    found = runs(str(storable("".join(block(inner) for inner in listed(message.get("blocks"))))))
    html = "".join(map(render, found)).removesuffix("<br>") if any(run.marks for run in found) else None
    return "".join(run.text for run in found).strip(), html


def block(node: Any) -> str:
    """On lines of its own."""
    return f"<div>{inline(node)}</div>"


def inline(node: Any) -> str:
    match node:
        case str():
            return escape(node)
        case list():
            return "".join(map(inline, node))
        case dict():
            said = "".join(parts(node))
            kind = node.get("type")
            link = node.get("url") if kind == "url" else None
            if isinstance(link, str):
                return f'<a href="{escape(link)}">{said}</a>'
            tag = TAGS.get(kind) if isinstance(kind, str) else None
            return f"<{tag}>{said}</{tag}>" if tag else said
        case _:
            return ""


def parts(node: Mapping[str, Any]) -> Iterator[str]:
    kind = node.get("type")
    if isinstance(kind, str) and kind in STANDS_FOR:
        yield STANDS_FOR[kind]
    for name in PARTS:
        match name, node.get(name):
            case "blocks", list(blocks):
                yield from map(block, blocks)
            case "items", list(items):
                yield from (f"<div>{escape(label(item))} {entry(item)}</div>" for item in items)
            case "cells", list(rows):
                yield from (f"<div>{' | '.join(map(inline, listed(row)))}</div>" for row in rows)
            case "buttons", list(buttons):
                yield " ".join(f"[{inline(button)}]" for button in buttons)
            case "summary", value if value is not None:
                yield block(value)
            case _, value:
                yield inline(value)
    for name in AFTER:
        if node.get(name) is not None:
            yield block(node[name])


def entry(item: Any) -> str:
    """The blocks of an entry of a list, the first of them on the line of its label."""
    return "<br>".join(map(inline, listed(item.get("blocks")))) if isinstance(item, dict) else inline(item)


def label(item: Any) -> str:
    """What stands before an entry of a list: its number, its check mark or a dot."""
    if not isinstance(item, dict):
        return "•"
    if item.get("has_checkbox"):
        return "☑" if item.get("is_checked") else "☐"
    return item["label"] if isinstance(item.get("label"), str) and item["label"] else "•"


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
