"""Text from people reaches the terminal as text."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shopbell_client import Message

from services.terminal.ticks import tick
from services.terminal.words import body, first_line, marks, plain, waited
from tests.services.terminal.fake_api import mail, message


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("a\x08\x08b\x07\x00", "ab"),
        ("a\rb\r\nc\u2028d", "a\nb\nc\nd"),
        ("abc\u202edcba\u2066x", "abcdcbax"),
        ("tab\there", "tab    here"),
        ("[bold]kept[/bold]", "[bold]kept[/bold]"),
        ("👩‍👩‍👧 שלום é", "👩‍👩‍👧 שלום é"),
    ],
)
def test_nothing_in_a_text_can_steer_the_terminal(hostile: str, harmless: str) -> None:
    assert plain(hostile) == harmless


@given(st.text(st.characters(), max_size=60))
def test_only_newlines_are_left_of_the_control_characters(text: str) -> None:
    left = [character for character in plain(text) if ord(character) < 32 or 127 <= ord(character) < 160]
    assert set(left) <= {"\n"}
    assert plain(plain(text)) == plain(text)
    assert len(first_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("minutes", "words"), [(-5, "now"), (0, "now"), (7, "7m"), (60, "1h"), (47 * 60, "47h"), (48 * 60, "2d")]
)
def test_a_wait_is_told_in_its_largest_unit(minutes: int, words: str) -> None:
    since = datetime(2026, 11, 22, tzinfo=UTC)
    assert waited(since, since + timedelta(minutes=minutes)) == words


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"kind": "media", "media": "image", "name": "cat.png", "caption": "My cat"}, "[image cat.png] My cat"),
        ({"kind": "location", "latitude": 56.9, "longitude": 24.1}, "[location 56.90000, 24.10000]"),
        ({"kind": "choice", "id": "yes", "label": "Yes!"}, "Yes!"),
        (
            {"kind": "buttons", "text": "Sure?", "options": [{"id": "y", "label": "Yes"}]},
            "Sure? [Yes]",
        ),
        ({"kind": "reaction", "emoji": "👍", "target": "msg_1"}, "[reacted 👍]"),
        ({"kind": "reaction", "emoji": ""}, "[took the reaction back]"),
        (
            {
                "kind": "order",
                "items": [
                    {"product": "shoe-42", "quantity": 2, "price": "49.9", "currency": "EUR"},
                    {"product": "sock"},
                ],
                "text": "by Friday?",
            },
            "[order 2 x shoe-42 at 49.9 EUR, ? x sock] by Friday?",
        ),
        ({"kind": "order", "items": []}, "[order]"),
        (
            {
                "kind": "text",
                "text": "Here they are.",
                "attachments": [
                    {"kind": "media", "media": "file", "name": "invoice.pdf", "size": 24_400},
                    {"kind": "media", "media": "image", "size": 1_500_000},
                    {"kind": "media", "media": "file", "name": "a\n[10:00] Bank", "size": 999},
                    {"kind": "media", "media": "file", "name": "lost.txt"},
                ],
            },
            "Here they are.\n+ invoice.pdf 24 kB\n+ image 1.5 MB\n+ a [10:00] Bank 999 B\n+ lost.txt",
        ),
        ({"kind": "text", "text": "", "attachments": [{"media": "file", "name": "a.txt", "size": 0}]}, "+ a.txt 0 B"),
        ({"kind": "hologram", "depth": 3}, "[hologram]"),
    ],
)
def test_what_is_no_text_is_named(content: dict[str, Any], said: str) -> None:
    assert body(Message.model_validate(message(1, "cnv_1", "", content=content))) == said


def test_a_deleted_message_says_nothing_any_more() -> None:
    gone = Message.model_validate(message(1, "cnv_1", "secret", deleted_at="2026-11-22T10:00:00Z"))
    assert body(gone) == "[deleted]"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, []),
        (mail(), []),
        (mail(authenticity="unknown"), []),
        (mail(authenticity="suspicious"), ["suspicious"]),
        (mail(**{"class": "auto_reply"}), ["auto"]),
        (mail(**{"class": "bounce"}, authenticity="suspicious"), ["suspicious", "auto"]),
    ],
)
def test_a_machine_and_a_doubtful_sender_have_a_word_each(told: dict[str, Any] | None, words: list[str]) -> None:
    assert marks(Message.model_validate(message(1, "cnv_1", "", mail=told))) == words


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("queued", "◷ queued"),
        ("accepted", "✓ accepted"),
        ("sent", "✓ sent"),
        ("delivered", "✓✓ delivered"),
        ("read", "✓✓ read"),
        ("uncertain", "? maybe sent"),
        ("failed", "✗ failed: Blocked by the customer."),
        ("teleported", "· teleported"),
    ],
)
def test_every_fate_has_a_mark_and_a_word(status: str, words: str) -> None:
    failure = {"code": "blocked", "detail": "Blocked by\x1b[2J the customer.", "retryable": False}
    assert str(tick(Message.model_validate(message(1, "c", "", status=status, failure=failure)))) == words
