"""Entities to our HTML and back, and long texts into parts: UTF-16 all the way."""

from typing import Final

import pytest
from aiogram.types import MessageEntity
from hypothesis import given
from hypothesis import strategies as st

from connectors.telegram.formatting import MARKS, OUTER_FIRST, Marked, mark_up, show, split, units
from shared.markup import clean, plain, runs

LETTERS: Final = st.text(st.sampled_from("ab \n<&>\"'é👍🏽👩‍💻🇩🇪日") | st.characters(codec="utf-8"), max_size=60)
KINDS: Final = st.sampled_from([*MARKS, "url", "email", "phone_number", "text_link", "mention", "spoiler", "hologram"])
LINKS: Final = st.sampled_from(
    ["https://shop.example/a?b=1&c=2", "javascript:alert(1)", "tg://user?id=1", "", "http://"]
)


def length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@st.composite
def entities(draw: st.DrawFn, text: str) -> MessageEntity:
    begin = draw(st.integers(-2, length(text) + 3))
    return MessageEntity(type=draw(KINDS), offset=begin, length=draw(st.integers(-1, 30)), url=draw(LINKS))


@st.composite
def marked_texts(draw: st.DrawFn) -> tuple[str, list[MessageEntity]]:
    text = draw(LETTERS)
    return text, draw(st.lists(entities(text), max_size=6))


def entity(kind: str, offset: int, length: int, url: str | None = None) -> MessageEntity:
    return MessageEntity(type=kind, offset=offset, length=length, url=url)


def facts(found: tuple[MessageEntity, ...]) -> list[tuple[str, int, int, str | None]]:
    return [(one.type, one.offset, one.length, one.url) for one in found]


# Theirs to ours


def test_an_emoji_counts_as_two() -> None:
    assert show("👍🏽 good", [entity("bold", 5, 4)]) == ("👍🏽 good", "👍🏽 <b>good</b>")


def test_marks_that_overlap_are_nested() -> None:
    text, html = show("abcd", [entity("bold", 0, 3), entity("italic", 1, 3)])
    assert (text, html) == ("abcd", "<b>a<i>bc</i></b><i>d</i>")


def test_a_quote_of_several_runs_stays_one_quote() -> None:
    _, html = show("a b c", [entity("expandable_blockquote", 0, 5), entity("bold", 2, 1)])
    assert html == "<blockquote>a <b>b</b> c</blockquote>"


def test_markup_in_a_text_is_only_text() -> None:
    assert show("<b>&", [entity("code", 0, 3)]) == ("<b>&", "<code>&lt;b&gt;</code>&amp;")


def test_a_text_without_formatting_has_no_html() -> None:
    assert show("a @b #c", [entity("mention", 2, 2), entity("hashtag", 5, 2)]) == ("a @b #c", None)


@pytest.mark.parametrize(
    ("kind", "text", "href"),
    [
        ("url", "shop.example/a", "http://shop.example/a"),
        ("url", "https://shop.example", "https://shop.example"),
        ("email", "a@shop.example", "mailto:a@shop.example"),
        ("phone_number", "+1 (555) 12", "tel:+155512"),
    ],
)
def test_what_telegram_found_in_a_text_leads_somewhere(kind: str, text: str, href: str) -> None:
    assert show(text, [entity(kind, 0, length(text))])[1] == f'<a href="{href}">{text}</a>'


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "tg://user?id=1", "https://a b", "JAVASCRIPT:x"]
)
def test_a_link_that_is_not_safe_is_only_text(url: str) -> None:
    assert show("here", [entity("text_link", 0, 4, url)]) == ("here", None)


def test_half_a_surrogate_pair_shifts_nothing() -> None:
    assert show("\ud800 bold", [entity("bold", 2, 4)]) == ("\ufffd bold", "\ufffd <b>bold</b>")


@given(marked_texts())
def test_html_has_the_same_text_and_is_safe(sample: tuple[str, list[MessageEntity]]) -> None:
    text, html = show(*sample)
    if html is not None and "\r" not in text:  # HTML knows no carriage return
        assert plain(html) == plain(clean(html)) == text
        assert runs(clean(html)) == runs(html)
        assert {mark for run in runs(html) for mark in run.marks} <= set(OUTER_FIRST)


@given(marked_texts())
def test_there_and_back_keeps_text_and_marks(sample: tuple[str, list[MessageEntity]]) -> None:
    text, html = show(*sample)
    if "\r" in text or not text.strip():
        return
    first = mark_up(text, html)
    assert first.text == text or "mailto:" in (html or "") or "tel:" in (html or "")
    again = mark_up(*show(first.text, first.entities))
    assert (again.text, facts(again.entities)) == (first.text, facts(first.entities))


@given(marked_texts())
def test_what_is_sent_is_nested_and_inside_the_text(sample: tuple[str, list[MessageEntity]]) -> None:
    marked = mark_up(*show(*sample))
    spans = [(one.offset, one.offset + one.length) for one in marked.entities]
    for begin, end in spans:
        assert 0 <= begin < end <= length(marked.text)
        assert all(end <= a or b <= begin or (begin <= a and b <= end) or (a <= begin and end <= b) for a, b in spans)


# Ours to theirs


def test_our_tags_leave_as_entities() -> None:
    marked = mark_up("x", 'Hi 👍 <b>bold</b>, <i>so</i>, <code>a&lt;b</code>, <a href="https://s.example">shop</a>')
    assert marked.text == "Hi 👍 bold, so, a<b, shop"
    assert facts(marked.entities) == [
        ("bold", 6, 4, None),
        ("italic", 12, 2, None),
        ("code", 16, 3, None),
        ("text_link", 21, 4, "https://s.example"),
    ]


def test_code_holds_no_other_formatting() -> None:
    assert facts(mark_up("x", "<pre><b>let</b> x</pre>").entities) == [("pre", 0, 5, None)]


def test_an_address_that_cannot_be_a_link_is_written_out() -> None:
    marked = mark_up("x", '<a href="mailto:a@s.example">write</a> or <a href="tel:+1555">+1555</a>')
    assert marked == Marked("write (a@s.example) or +1555")


def test_html_that_says_nothing_leaves_the_text_as_it_is() -> None:
    assert mark_up("words", "<b></b>") == Marked("words")
    assert mark_up("words", None) == Marked("words")


# Parts


def test_a_short_text_is_one_part() -> None:
    assert [part.text for part in split(Marked("short"), 4096)] == ["short"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("aaaa aaaa\n\nbbbb. bb", ["aaaa aaaa", "bbbb. bb"]),
        ("aaaa aa\nbbbb. bbb", ["aaaa aa", "bbbb. bbb"]),
        ("aaaa aa. bb bbbb", ["aaaa aa.", "bb bbbb"]),
        ("aaaa aaa bbbbb bbb", ["aaaa aaa", "bbbbb bbb"]),
        ("a" * 30, ["a" * 12, "a" * 12, "a" * 6]),
    ],
)
def test_a_text_is_cut_where_a_reader_would_pause(text: str, parts: list[str]) -> None:
    assert [part.text for part in split(Marked(text), 12)] == parts


def test_an_emoji_of_several_characters_stays_whole() -> None:
    family = "👩‍👩‍👧‍👧"
    assert [part.text for part in split(Marked(family * 3), 20)] == [family] * 3


def test_formatting_goes_on_in_the_next_part() -> None:
    parts = split(Marked("aaaa bbbb cccc", (entity("bold", 5, 9),)), 10)
    assert [(part.text, facts(part.entities)) for part in parts] == [
        ("aaaa bbbb", [("bold", 5, 4, None)]),
        ("cccc", [("bold", 0, 4, None)]),
    ]


@given(marked_texts(), st.integers(2, 20))
def test_parts_fit_and_lose_nothing_but_space(sample: tuple[str, list[MessageEntity]], limit: int) -> None:
    marked = mark_up(*show(*sample))
    parts = split(marked, limit)
    for part in parts:
        assert 0 < length(part.text) == units(part.text) <= limit
        part.text.encode("utf-8")  # raises for half a surrogate pair
        assert all(0 <= one.offset < one.offset + one.length <= length(part.text) for one in part.entities)
    assert "".join("".join(part.text for part in parts).split()) == "".join(marked.text.split())


@given(st.text("ab. \n👍", min_size=1, max_size=30).filter(str.strip), st.integers(200, 600))
def test_parts_of_a_long_text_are_messages_that_telegram_takes(text: str, times: int) -> None:
    parts = split(Marked(text * times), 4096)
    assert all(0 < length(part.text) <= 4096 for part in parts)
    assert len(parts) <= length(text * times) // 2048 + 1
