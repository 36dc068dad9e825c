"""Customers who write to a person's account for which the bot answers."""

from typing import Any

import pytest

from shared.content import Text
from shared.errors import Ignored
from shared.events import ChannelReported, Echo, MessageDeleted, MessageEdited, MessageReceived, dedupe_key
from tests.connectors.telegram.given import ANN, AT, BOT, CONNECTION, message, parse_one, update

OLGA = {"id": 1, "is_bot": False, "first_name": "Olga"}


def said(**more: Any) -> dict[str, Any]:
    return message(11, text="Hello", business_connection_id=CONNECTION) | more


def test_a_customers_message_carries_the_connection_for_the_answer() -> None:
    event = parse_one(update(1, "business_message", **said()))
    assert isinstance(event, MessageReceived)
    assert (event.address.peer, event.context) == (str(ANN), {"business": CONNECTION})


def test_the_same_number_in_the_bots_chat_is_another_message() -> None:
    business = parse_one(update(1, "business_message", **said()))
    plain = parse_one(update(2, "message", **message(11, text="Hello")))
    other = parse_one(update(3, "business_message", **said(business_connection_id="bc-paul")))
    assert len({dedupe_key(event) for event in (business, plain, other)}) == 3
    assert {event.address.peer for event in (business, plain, other)} == {str(ANN)}


def test_a_command_to_a_person_is_only_a_text() -> None:
    assert isinstance(parse_one(update(1, "business_message", **said(text="/start"))), MessageReceived)


def test_the_owners_own_words_are_an_echo() -> None:
    event = parse_one(update(1, "business_message", **said(**{"from": OLGA}), reply_to_message=said(message_id=10)))
    assert isinstance(event, Echo)
    assert (event.origin, event.content, event.reply_to) == ("provider_app", Text(text="Hello"), f"{CONNECTION}:10")


def test_what_our_bot_sent_is_known_already() -> None:
    ours = said(**{"from": OLGA}, sender_business_bot={"id": int(BOT), "is_bot": True, "first_name": "Shop"})
    for kind in ("business_message", "edited_business_message"):
        with pytest.raises(Ignored):
            parse_one(update(1, kind, **ours))


def test_what_another_bot_sent_for_the_owner_is_an_echo_of_another_program() -> None:
    theirs = said(**{"from": OLGA}, sender_business_bot={"id": 99, "is_bot": True, "first_name": "Rival"})
    event = parse_one(update(1, "business_message", **theirs))
    assert isinstance(event, Echo)
    assert event.origin == "other_api"


def test_edits_and_deletions_name_the_message_as_it_was_named() -> None:
    received = parse_one(update(1, "business_message", **said()))
    edited = parse_one(update(2, "edited_business_message", **said(edit_date=AT + 9)))
    deleted = parse_one(
        update(
            3,
            "deleted_business_messages",
            business_connection_id=CONNECTION,
            chat={"id": ANN, "type": "private"},
            message_ids=[11],
        )
    )
    assert isinstance(received, MessageReceived)
    assert isinstance(edited, MessageEdited)
    assert isinstance(deleted, MessageDeleted)
    assert received.external_id == edited.external_id == deleted.external_id == f"{CONNECTION}:11"
    assert received.address == edited.address == deleted.address


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"is_enabled": False}, "business_disconnected"),
        ({"is_enabled": True, "rights": {}}, "business_read_only"),
    ],
)
def test_an_owner_who_takes_the_bots_rights_is_told_to_the_shop(change: dict[str, Any], code: str) -> None:
    known = {"id": CONNECTION, "user": OLGA, "user_chat_id": 1, "date": AT}
    event = parse_one(update(1, "business_connection", **known, **change))
    assert isinstance(event, ChannelReported)
    assert event.problem is not None
    assert (event.problem.code, event.address.peer) == (code, BOT)


def test_an_owner_who_connects_the_bot_tells_nothing_of_a_customer() -> None:
    known = {"id": CONNECTION, "user": OLGA, "user_chat_id": 1, "date": AT, "is_enabled": True}
    with pytest.raises(Ignored):
        parse_one(update(1, "business_connection", **known, rights={"can_reply": True}))
