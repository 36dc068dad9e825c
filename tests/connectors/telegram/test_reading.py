"""One field that cannot be read never costs the rest of an update."""

import json
from typing import Any

import pytest

from connectors.telegram.inbound import parse_payload
from connectors.telegram.reading import read_update
from shared.content import ContactCard, Media, Text
from shared.errors import Malformed
from shared.events import UNDATED, MessageReceived
from tests.connectors.telegram.given import ANN, BOT, message, parse_one, update


def received(**said: Any) -> MessageReceived:
    event = parse_one(update(1, "message", **(message(11) | said)))
    assert isinstance(event, MessageReceived)
    return event


def test_a_person_without_the_members_that_must_be_there() -> None:
    event = received(text="Hi", **{"from": {"id": ANN, "first_name": "Ann"}})
    assert (event.content, event.sender.name) == (Text(text="Hi"), "Ann")


def test_a_message_without_a_sender_or_a_time() -> None:
    said = message(11, text="Hi")
    del said["from"], said["date"]
    event = parse_one(update(1, "message", **said))
    assert isinstance(event, MessageReceived)
    assert (event.sender.name, event.occurred_at) == ("Ann Lee", UNDATED)


@pytest.mark.parametrize("date", [-(10**18), 10**18, "soon", None, [], "2026-01-01", "2026-01-01T00:00:00"])
def test_a_time_that_is_none(date: Any) -> None:
    assert received(text="Hi", date=date).content == Text(text="Hi")


def test_a_file_without_the_members_that_must_be_there() -> None:
    assert received(photo=[{"file_id": "F", "width": 3, "height": 2}, 5, {"file_id": "G"}]).content == Media(
        media="image", source="F", mime="image/jpeg"
    )
    assert received(contact={"phone_number": "+1555"}).content == ContactCard(name="+1555", phones=("+1555",))


@pytest.mark.parametrize(
    "broken",
    [
        {"forward_origin": {"type": "hologram", "date": 1}},
        {"reply_markup": {"inline_keyboard": 5}},
        {"external_reply": 3},
        {"via_bot": "me"},
        {"entities": [{"type": "bold"}, 3, {"type": "italic", "offset": 0, "length": 2}]},
        {"link_preview_options": []},
        {"rich_message": 3},
    ],
)
def test_another_member_that_cannot_be_read(broken: dict[str, Any]) -> None:
    assert isinstance(received(text="Hi", **broken).content, Text)


def test_formatting_of_which_some_cannot_be_read() -> None:
    entities = [{"type": "bold"}, 3, {"type": "italic", "offset": 0, "length": 2}]
    assert received(text="Hi there", entities=entities).content == Text(text="Hi there", html="<i>Hi</i> there")


def test_quotes_within_quotes_that_break_at_the_bottom() -> None:
    quoted: dict[str, Any] = {"message_id": "x"}
    for number in range(60):
        quoted = message(number, text="deep", reply_to_message=quoted)
    assert received(text="Hi", reply_to_message=quoted).reply_to == "59"


def test_what_can_be_read_is_not_read_twice() -> None:
    assert read_update(update(3, "message", **message(11, text="Hi"))).update_id == 3


@pytest.mark.parametrize("levels", [200, 900, 5000])
def test_nesting_without_end_costs_no_more_than_the_update(levels: int) -> None:
    quotes = '{"message_id": 1, "date": "x", "reply_to_message": ' * levels + "{}" + "}" * levels
    blocks = '{"type": "blockquote", "blocks": [' * levels + "]}" * levels
    for name, inner in (("reply_to_message", quotes), ("rich_message", f'{{"blocks": [{blocks}]}}')):
        said = json.dumps(update(1, "message", **message(11, text="Hi")))
        body = said.replace('"text": "Hi"', f'"text": "Hi", "{name}": {inner}').encode()
        try:
            (event,) = parse_payload(body, account=BOT)
        except Malformed:
            continue
        assert event.kind in ("message_received", "undigested")
