"""What holds for any text, and how long it may take."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.email.replies import html_to_text, visible_html, visible_text

SNIPPETS = st.sampled_from(
    [
        "", "", " ", "Hello", "Is it blue?", "> quoted", ">", ">> deeper", "-- ", "--", "__", "=====", "P.S. one more",
        "On Mon, Nov 23, 2026 at 10:15 AM Shop <hello@lamps.example> wrote:",
        "23.11.2026, 10:15, <hello@lamps.example>:",
        "From: Shop <hello@lamps.example>", "Sent: Monday", "To: Ana", "Subject: lamp", "-----Original Message-----",
        "---------- Forwarded message ---------", "Begin forwarded message:", "Sent from my iPhone", "LP", "Ana",
        "Best regards,", "+385 91 555 01 23", "www.ana.example", "<hello@lamps.example>", "wrote:", "Srdačan pozdrav",
    ]
)  # fmt: skip
MAILS = st.lists(SNIPPETS | st.text(max_size=20), max_size=25).map("\n".join)
TAGS = st.sampled_from(
    [
        "<div>", "</div>", "<p>", "<br>", "<b>", "</b>", "<blockquote>", "</blockquote>",
        "<div class=gmail_quote>", "<hr>",
        '<div id="divRplyFwdMsg">', '<p style="display:none">', "<pre>", "</pre>", "<li>", "<td>",
        "<a href='http://a.b'>",
        "</a>", "<img src=x>", "<table>", "<!--", "-->", "<style>", "&nbsp;", "&#0;", "<", "\n",
    ]
)  # fmt: skip
PAGES = st.lists(TAGS | SNIPPETS | st.text(max_size=10), max_size=40).map("".join)


@given(MAILS)
def test_something_of_every_text_is_shown(text: str) -> None:
    assert bool(visible_text(text).strip()) == bool(text.strip())


@given(MAILS)
def test_every_line_shown_is_one_of_the_text(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    at = 0
    for line in visible_text(text).split("\n") if text.strip() else []:
        at = lines.index(line, at) + 1  # in the same order


@given(MAILS)
@settings(max_examples=500)
def test_what_was_cut_once_is_not_cut_again(text: str) -> None:
    assert visible_text(visible_text(text)) == visible_text(text)


@given(PAGES)
def test_no_page_makes_it_fail(html: str) -> None:
    shown = visible_html(html)
    assert isinstance(html_to_text(shown), str)
    if html_to_text(html):
        assert html_to_text(shown) or "<img" in shown  # a photo is a message


def took_s(function: Callable[[str], str], hostile: str) -> float:
    """The quickest of three, so that a busy machine does not count."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        function(hostile)
        times.append(time.perf_counter() - began)
    return min(times)


HOSTILE = (
    "a", " ", "\n", "a\n", ":\n", "From:\n", "From: a@b.example\nSent:\n", "> a\na\n", ">\n\na\n",
    "On 1 wrote\n", "On ", "@",
    "a@a.", "-", "a\n--\n", "Regards\n1 1 1 1 1 1\n", "Sent from my a, \n",
    "x\nLP\n+385 1 234 567\n\n", "on 1a@a:\n", "1 ",
    "On 1.1.2026 10:00 x <a@b.example> wrote:\n> x\n\nhey\n", "12.12.2026 10:00\n", "de : \n",
    "=====\nhello\n", "<", "&",
)  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_a_tenth_of_a_second(piece: str) -> None:
    assert took_s(visible_text, (piece * 100_000)[:100_000]) < 0.1


PAGES_OF_BOMBS = {
    "nested": "<div>" * 20_000 + "x",
    "nested, closed in comments": "<div><!--</div>-->" * 20_000,
    "bold": "".join(f"<b a={number}><table>" for number in range(5_000)),
    "attributes": "<a " + " ".join(f"a{number}" for number in range(15_000)) + ">x",
    "attributes behind a comment": '<!-- <a x=" --><a ' + " ".join(f"a{number}" for number in range(15_000)) + '">x',
    "tags within tags": ("<a " * 298 + ">") * 100,
    "items": "<li>" * 25_000,
    "quotes": "<blockquote>" * 8_000,
    "comments": "<!--" * 25_000,
    "lines": "<pre>" + "a\n" * 50_000,
}


@pytest.mark.parametrize("function", [visible_html, html_to_text])
@pytest.mark.parametrize("html", PAGES_OF_BOMBS.values(), ids=PAGES_OF_BOMBS)
def test_hostile_markup_takes_half_a_second(function: Callable[[str], str], html: str) -> None:
    assert took_s(function, html) < 0.5


@pytest.mark.parametrize("function", [visible_text, visible_html, html_to_text])
@pytest.mark.parametrize("piece", ["<p>Hello <b>you</b></p>\n", "a", "<div>", "> a\n"])
def test_mails_of_25_megabytes_are_done_in_two_seconds(function: Callable[[str], str], piece: str) -> None:
    began = time.perf_counter()
    function(piece * (25_000_000 // len(piece)))
    assert time.perf_counter() - began < 2


def test_a_long_history_is_cut_with_all_of_it() -> None:
    history = "> Your parcel leaves on Monday.\n" * 20_000
    assert visible_text(f"Yes.\n\nOn 23.11.2026 10:15 Shop <a@b.example> wrote:\n{history}") == "Yes."


def test_a_long_text_is_kept_to_its_end() -> None:
    text = "I have a long story to tell.\n" * 20_000
    assert visible_text(text + "The end.") == text + "The end."


def test_a_picture_within_the_page_does_not_hide_what_follows() -> None:
    html = f'<img src="data:image/png;base64,{"A" * 5_000_000}"><p>It is broken.</p>'
    assert html_to_text(html) == "It is broken."
