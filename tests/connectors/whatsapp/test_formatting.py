"""Our formatting as WhatsApp's signs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.whatsapp.formatting import mark_up
from shared.markup import plain


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("It <b>is</b> here", "It *is* here"),
        ("<i>Yes</i>, <s>no</s> <code>x = 1</code>", "_Yes_, ~no~ `x = 1`"),
        ("<b><i>both</i></b>", "_*both*_"),
        ("<b> spaced </b>out", " *spaced* out"),
        ("<b>two<br>lines</b>", "*two*\n*lines*"),
        ("mid<b>word</b>", "midword"),
        ("<b>mid</b>word", "midword"),
        ("<u>under</u>", "under"),
        ('<a href="https://shop.example/a">here</a>', "here (https://shop.example/a)"),
        ('<a href="https://shop.example/a">https://shop.example/a</a>', "https://shop.example/a"),
        ('<a href="tel:+385911">+385911</a>', "+385911"),
        ("<blockquote>said<br>before</blockquote>now", "> said\n> before\nnow"),
        ("a &lt; b &amp; c", "a < b & c"),
        ("<p>one</p><p>two</p>", "one\ntwo"),
    ],
)
def test_each_mark(html: str, shown: str) -> None:
    assert mark_up(plain(html), html) == shown


def test_a_text_without_formatting_is_left_as_it_was_typed() -> None:
    assert mark_up("2*3*4 _x_", None) == "2*3*4 _x_"


@given(st.text(st.sampled_from("ab <>&\n*_é"), max_size=30))
def test_without_marks_no_sign_is_added(text: str) -> None:
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>")
    assert mark_up(text, html).strip("\n") == text.strip("\n")
