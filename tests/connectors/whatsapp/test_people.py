"""Who somebody is, however Meta names them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.whatsapp.people import ids_of, phone_in
from shared.events import MessageReceived, PeerMoved, Undigested, dedupe_key
from tests.connectors.whatsapp.given import ANA, CONTACT, PARENT, PHONE, message, parsed, webhook


def received(named: dict[str, Any], *contacts: dict[str, Any]) -> MessageReceived:
    (event,) = parsed(webhook(messages=[message("w1", text={"body": "Hi"}, named=named)], contacts=list(contacts)))
    assert isinstance(event, MessageReceived)
    return event


@pytest.mark.parametrize(
    "named",
    [
        {"from_user_id": ANA},
        {"from": "", "from_user_id": ANA},
        {"from": ANA},
        {"from": ANA, "from_user_id": ANA},
        {"from": None, "from_user_id": ANA},
    ],
)
def test_a_withheld_number_in_all_its_forms(named: dict[str, Any]) -> None:
    event = received(named, {"profile": {"name": "Ana"}, "user_id": ANA})
    assert (event.address.peer, event.sender.phone, event.sender.aliases) == (ANA, None, ())
    assert event.sender.name == "Ana"


def test_every_further_id_is_an_alias() -> None:
    event = received({"from": PHONE, "from_user_id": ANA, "from_parent_user_id": PARENT}, CONTACT)
    assert (event.address.peer, event.sender.phone) == (ANA, f"+{PHONE}")
    assert event.sender.aliases == (PARENT, PHONE)
    assert event.sender.lent == (PHONE,)


def test_what_stands_beside_the_message_tells_further_ids() -> None:
    event = received({"from": PHONE}, CONTACT)
    assert (event.address.peer, event.sender.aliases) == (PHONE, (ANA,))


def test_a_message_that_names_nobody_is_shown_and_belongs_to_nobody_else() -> None:
    nameless = {"profile": {"name": "Ana"}}
    one, other = (
        parsed(webhook(messages=[message(id, text={"body": "Hi"}, named={})], contacts=[nameless]))[0]
        for id in ("w1", "w2")
    )
    assert isinstance(one, MessageReceived)
    assert one.sender.name == "Ana"
    assert one.address.peer != other.address.peer


def test_who_is_named_beside_the_messages_alone_is_the_same_however_the_batch_is_cut() -> None:
    nameless = [message(id, text={"body": "Hi"}, named={"from": ""}) for id in ("w1", "w2")]
    together = parsed(webhook(messages=nameless))
    apart = [event for one in nameless for event in parsed(webhook(messages=[one]))]
    assert [dedupe_key(event) for event in together] == [dedupe_key(event) for event in apart]
    assert {event.address.peer for event in together} == {ANA}


def test_contacts_of_others_are_not_taken_for_ones_own() -> None:
    eva = {"profile": {"name": "Eva"}, "wa_id": "385922222222", "user_id": "HR.2"}
    body = webhook(
        messages=[
            message("w1", text={"body": "I am Ana"}),
            message("w2", text={"body": "I am Eva"}, named={"from": "385922222222"}),
            message("w3", text={"body": "I am not there"}, named={"from": "385933333333"}),
        ],
        contacts=[eva, CONTACT],
    )
    events = [event for event in parsed(body) if isinstance(event, MessageReceived)]
    assert [event.sender.name for event in events] == ["Ana", "Eva", None]
    assert [event.sender.aliases for event in events] == [(PHONE,), ("HR.2",), ()]


def test_a_contact_that_contradicts_the_message_is_somebody_else() -> None:
    event = received({"from": "385933333333"}, CONTACT)
    assert (event.sender.name, event.sender.aliases) == (None, ())


def test_a_number_in_another_national_spelling_is_the_same_person() -> None:
    event = received({"from": "5491122223333"}, {"profile": {"name": "Juana"}, "wa_id": "541122223333"})
    assert (event.address.peer, event.sender.name) == ("5491122223333", "Juana")


def test_a_number_that_was_asked_for_is_the_customers_own() -> None:
    card = {"name": {"formatted_name": "Ana"}, "phones": [{"phone": "+385 91", "wa_id": PHONE}]}
    said = message("w1", "contacts", contacts=[card | {"origin": "contact_request"}], named={"from_user_id": ANA})
    (event,) = parsed(webhook(messages=[said], contacts=[]))
    assert isinstance(event, MessageReceived)
    assert event.sender.phone == f"+{PHONE}"
    (other,) = parsed(webhook(messages=[said | {"contacts": [card | {"origin": "other"}]}], contacts=[]))
    assert isinstance(other, MessageReceived)
    assert other.sender.phone is None


# Who changes


def moves(named: dict[str, Any], **system: Any) -> list[tuple[str, str]]:
    events = parsed(webhook(messages=[message("w1", "system", named=named, system=system)], contacts=[]))
    assert all(isinstance(event, PeerMoved) for event in events)
    assert len({dedupe_key(event) for event in events}) == len(events)
    return [(event.address.peer, event.to) for event in events if isinstance(event, PeerMoved)]


def test_a_new_number_brings_a_new_id_and_both_lead_to_the_same_person() -> None:
    named = {"from": PHONE}
    told = {"type": "user_changed_number", "wa_id": "385922", "user_id": "HR.2", "previous_user_id": ANA}
    assert moves(named, **told) == [(ANA, "HR.2"), (PHONE, "385922")]
    assert moves(named, type="user_changed_number", wa_id="385922") == [(PHONE, "385922")]
    assert moves({}, type="customer_changed_number", customer=PHONE, new_wa_id="385922") == [(PHONE, "385922")]


def test_a_new_id_alone() -> None:
    told = {"type": "user_changed_user_id", "previous_user_id": ANA, "user_id": "HR.2"}
    assert moves({}, **told) == [(ANA, "HR.2")]
    parents = {"previous_parent_user_id": PARENT, "parent_user_id": "HR.ENT.2"}
    assert moves({}, **told, **parents) == [(ANA, "HR.2"), (PARENT, "HR.ENT.2")]


def test_system_news_that_is_not_known_is_kept() -> None:
    (event,) = parsed(webhook(messages=[message("w1", "system", system={"type": "user_grew_wings"})]))
    assert isinstance(event, Undigested)


# Properties


@given(st.text(max_size=30))
def test_whatever_stands_for_a_number_names_somebody_or_nobody(text: str) -> None:
    ids = ids_of(None, None, text or None)
    assert (ids.phone is None) != (ids.user is None) or not text
    assert ids.phone == phone_in(text)


@given(st.integers(10**6, 10**15 - 1), st.sampled_from(["{}", "+{}", " {} "]))
def test_a_number_is_a_number_in_any_spelling(number: int, form: str) -> None:
    assert phone_in(form.format(number)) == str(number)
