"""Formatting is kept, everything else is text, and nothing that is shown can run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.markup import MARKS, Run, clean, plain, render, runs

PIECES = [
    "<b>",
    "</b>",
    "<i>",
    "</i>",
    '<a href="https://a.example/?a=1&b=2">',
    "</a>",
    "<script>",
    "</script>",
    "<br>",
]
PIECES += ["<p>", "</p>", "<img src=x onerror=alert(1)>", "&lt;", "&amp;", "<", ">", "&", '"', "x", "\n", "<!--", "-->"]
PIECES += ['<a href="javascript:alert(1)">', "<svg/onload=alert(1)>", "<pre><code>", "</code></pre>", "\u202e", "👍🏽"]

tangles = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)
marked = st.lists(
    st.builds(
        Run,
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=9),
        st.frozensets(st.sampled_from(sorted(MARKS - {"a"})), max_size=3),
    ),
    max_size=5,
)


@pytest.mark.parametrize(
    ("given_html", "cleaned", "text"),
    [
        ("<strong>Yes</strong>, <em>it is</em>", "<b>Yes</b>, <i>it is</i>", "Yes, it is"),
        ("a<br>b", "a<br>b", "a\nb"),
        ("<p>One</p><p>Two</p>", "One<br>Two<br>", "One\nTwo\n"),
        ('<a href="https://a.example" onclick="x()">there</a>', '<a href="https://a.example">there</a>', "there"),
        ('<a href="javascript:alert(1)">there</a>', "there", "there"),
        ("<script>alert(1)</script>1 < 2", "1 &lt; 2", "1 < 2"),
        ("<b>a<i>b</b>c</i>", "<b>a</b><b><i>b</i></b><i>c</i>", "abc"),
        ("", "", ""),
    ],
)
def test_what_is_kept(given_html: str, cleaned: str, text: str) -> None:
    assert (clean(given_html), plain(given_html)) == (cleaned, text)


@given(tangles)
def test_cleaning_twice_changes_nothing_and_the_text_stays(html: str) -> None:
    once = clean(html)
    assert clean(once) == once
    assert plain(once) == plain(html)


@given(tangles)
def test_only_our_tags_are_left(html: str) -> None:
    left = clean(html)
    for mark in MARKS - {"a"}:
        left = left.replace(f"<{mark}>", "").replace(f"</{mark}>", "")
    left = left.replace("<br>", "").replace("</a>", "").replace('<a href="https://a.example/?a=1&amp;b=2">', "")
    assert "<" not in left
    assert ">" not in left


@given(marked)
def test_what_is_rendered_is_read_again(pieces: list[Run]) -> None:
    text = "".join(piece.text for piece in pieces)
    found = runs("".join(render(piece) for piece in pieces))
    assert "".join(run.text for run in found) == text
    flat = [(char, piece.marks) for piece in pieces for char in piece.text]
    assert [(char, run.marks) for run in found for char in run.text] == flat
