"""Mails written for this purpose, each with what a careful agent would want to see of it beside it."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from connectors.email.inbound import Desk, parse_mail
from connectors.email.replies import html_to_text, visible_html, visible_text
from shared.content import Text
from shared.events import MessageReceived
from shared.model import show_time

HERE: Final = Path(__file__).parent
MAILS: Final = sorted((HERE / "mails").glob("*.eml"))
QUOTES: Final = sorted(path for path in (HERE / "quotes").iterdir() if not path.name.endswith(".expected.txt"))
DESK: Final = Desk("help@shop.example", "mx.shop.example")


def squashed(text: str) -> str:
    return " ".join(text.split())


def understood(path: Path) -> tuple[MessageReceived, dict[str, Any]]:
    (event,) = parse_mail(path.read_bytes(), DESK)
    assert isinstance(event, MessageReceived)
    expected: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return event, expected


NOT_YET: Final = {"004_flowed_space_stuffing": "a line of flowed text that begins with > is taken for a quote"}


def case(path: Path) -> Any:
    reason = NOT_YET.get(path.stem)
    return pytest.param(path, id=path.stem, marks=[pytest.mark.xfail(reason=reason)] if reason else [])


@pytest.mark.parametrize("path", [case(path) for path in MAILS])
def test_a_mail_is_understood_as_a_careful_agent_would(path: Path) -> None:
    event, expected = understood(path)
    assert isinstance(event.content, Text)
    assert event.mail is not None
    files = [(file.name, file.mime) for file in event.content.attachments]
    whole = squashed(event.content.full_text or event.content.text)
    found = {
        "sender": event.address.peer,
        "sender_name": event.sender.name,
        "subject": event.subject,
        "message_id": None if event.external_id.startswith("none-") else event.external_id,
        "date": expected["date"] and show_time(event.occurred_at)[:19] + "Z",  # without one, that of the servers counts
        "text": squashed(event.content.text),
        "class": event.mail.category.value,
        "authenticity": event.mail.authenticity.value,
        "references": list(event.mail.references),
        "attachments": [
            (wanted["name"] and name, mime)
            for (name, mime), wanted in zip(files, expected["attachments"], strict=False)
        ],
        "files": len(files),
    }
    wanted = {name: expected[name] for name in found if name in expected} | {
        "text": squashed(expected["text"]),
        "attachments": [(file["name"], file["mime"]) for file in expected["attachments"]],
        "files": len(expected["attachments"]),
    }
    assert found == wanted
    assert [piece for piece in expected["full_contains"] if squashed(piece) not in whole] == []
    if "bounce" in expected:
        assert event.mail.bounce is not None
        assert event.mail.bounce.model_dump() == expected["bounce"]


@pytest.mark.parametrize("path", QUOTES, ids=lambda path: path.stem)
def test_what_was_written_now_is_told_from_what_is_quoted(path: Path) -> None:
    body = path.read_text(encoding="utf-8")
    found = html_to_text(visible_html(body)) if path.suffix == ".html" else visible_text(body)
    wanted = path.with_name(f"{path.stem}.expected.txt").read_text(encoding="utf-8")
    assert squashed(found) == squashed(wanted)


def test_there_are_as_many_in_russian_and_croatian_as_in_english() -> None:
    languages = [json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["language"] for path in MAILS]
    counts = {language: languages.count(language) for language in set(languages)}
    assert len(MAILS) == 150
    assert counts["ru"] == counts["hr"] == counts["en"] >= 40
    assert len(QUOTES) == 60


def test_every_class_and_every_degree_of_trust_occurs() -> None:
    told = [json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) for path in MAILS]
    assert {one["class"] for one in told} == {"normal", "auto_reply", "bounce", "list", "bulk"}
    assert {one["authenticity"] for one in told} == {"verified", "suspicious", "unknown"}
    assert not any(re.search(r"[^\x00-\x7f]@", one["sender"]) for one in told)
