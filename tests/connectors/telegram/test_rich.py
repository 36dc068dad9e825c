"""Rich messages have neither text nor caption: what they say is found in their blocks."""

from typing import Any

from connectors.telegram.rich import rich_text
from shared.content import Text
from shared.events import MessageReceived
from shared.markup import clean
from tests.connectors.telegram.given import message, parse_one, update


def rich(*blocks: Any) -> tuple[str, str | None]:
    return rich_text({"blocks": list(blocks)})


def paragraph(text: Any) -> dict[str, Any]:
    return {"type": "paragraph", "text": text}


def test_a_rich_message_is_a_text_message() -> None:
    event = parse_one(update(1, "message", **message(1, rich_message={"blocks": [paragraph("Hello")]})))
    assert isinstance(event, MessageReceived)
    assert event.content == Text(text="Hello")


def test_paragraphs_and_headings_are_lines() -> None:
    assert rich({"type": "heading", "text": "Order", "size": 1}, paragraph("a"), paragraph("b")) == (
        "Order\na\nb",
        "<b>Order</b><br>a<br>b",
    )


def test_words_in_a_line_stay_in_it_with_their_formatting() -> None:
    words = ["see ", {"type": "bold", "text": ["this ", {"type": "italic", "text": "now"}]}, "!"]
    assert rich(paragraph(words)) == ("see this now!", "see <b>this </b><b><i>now</i></b>!")


def test_lists_have_their_labels_and_check_marks() -> None:
    items = [
        {"label": "1.", "blocks": [paragraph("one")]},
        {"label": "2.", "blocks": [paragraph("two")], "has_checkbox": True, "is_checked": True},
        {"label": "", "blocks": [paragraph("three")], "has_checkbox": True},
    ]
    assert rich({"type": "list", "items": items}) == ("1. one\n☑ two\n☐ three", None)


def test_tables_details_quotes_and_captions_are_read() -> None:
    text, _ = rich(
        {"type": "table", "cells": [[{"text": "size"}, {"text": "M"}]]},
        {"type": "details", "summary": "More", "blocks": [paragraph("inside")]},
        {"type": "pullquote", "text": "so it is", "credit": "Ann"},
        {"type": "photo", "photo": [], "caption": {"text": "the shop"}},
        {"type": "buttons", "buttons": [{"text": "Yes", "callback_data": "y"}]},
    )
    assert text == "size | M\nMore\ninside\nso it is\nAnn\n[photo]\nthe shop\n[Yes]"


def test_a_block_of_a_kind_that_is_newer_than_this_is_read_by_its_members() -> None:
    assert (
        rich({"type": "hologram", "text": "new"}, {"type": "cube", "blocks": [paragraph("inner")]})[0] == "new\ninner"
    )


def test_a_link_that_is_not_safe_does_not_lead_anywhere() -> None:
    words = [{"type": "url", "url": "javascript:alert(1)", "text": "here"}, "<script>x</script>"]
    text, html = rich(paragraph(words))
    assert text == "here<script>x</script>"
    assert html is None
    assert clean("here&lt;script&gt;") == "here&lt;script&gt;"


def test_blocks_that_are_none_give_an_empty_text() -> None:
    assert rich(None, 3, {"type": 5}, {"type": "list", "items": [None]}, {"type": "table", "cells": [None]})[0] in (
        "•",
        "• ",
    )


def test_a_rich_message_that_says_nothing_still_comes_out() -> None:
    event = parse_one(update(1, "message", **message(1, rich_message={"blocks": []})))
    assert isinstance(event, MessageReceived)
    assert event.content.kind == "opaque"
