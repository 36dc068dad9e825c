"""What customers write and do, in our words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.content import (
    Choice,
    ContactCard,
    Content,
    Location,
    Media,
    Opaque,
    Order,
    OrderItem,
    Reaction,
    Text,
)
from shared.errors import Ignored
from shared.events import (
    Echo,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PeerConnected,
    Undigested,
    dedupe_key,
)
from tests.connectors.whatsapp.given import ANA, AT, CONTACT, NUMBER, PHONE, message, parse_one, parsed, value, webhook


def content_of(kind: str, **content: Any) -> Content:
    event = parse_one(message("wamid.1", kind, **content))
    assert isinstance(event, MessageReceived)
    return event.content


def test_a_text_with_everything_around_it() -> None:
    event = parse_one(message("wamid.1", text={"body": "Is it *new*?"}, context={"from": "385", "id": "wamid.0"}))
    assert isinstance(event, MessageReceived)
    assert event.address.model_dump() == {"channel": "whatsapp", "account": NUMBER, "peer": ANA, "thread": None}
    assert (event.external_id, event.reply_to, event.content) == ("wamid.1", "wamid.0", Text(text="Is it *new*?"))
    assert event.occurred_at == datetime.fromtimestamp(AT, UTC)
    assert (event.sender.name, event.sender.username, event.sender.phone) == ("Ana", "ana.split", f"+{PHONE}")
    assert event.context == {"last": "wamid.1"}
    assert json.loads(event.raw)["entry"][0]["changes"][0]["value"]["messages"][0]["id"] == "wamid.1"


FILE = {"id": "77", "mime_type": "audio/ogg; codecs=opus", "sha256": "x"}
CARD = {
    "name": {"formatted_name": "Ivo Ban", "first_name": "Ivo"},
    "phones": [{"phone": "+385 91 1", "wa_id": "385911"}],
    "emails": [{"email": "ivo@shop.example"}],
}


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        (
            "image",
            {"id": "1", "mime_type": "image/jpeg", "caption": "This", "url": "https://lookaside.fbsbx.com/x"},
            Media(media="image", source="1", mime="image/jpeg", caption="This"),
        ),
        ("video", {"id": "2", "mime_type": "video/mp4"}, Media(media="video", source="2", mime="video/mp4")),
        (
            "document",
            {"id": "3", "mime_type": "application/pdf", "filename": "račun.pdf"},
            Media(media="file", source="3", mime="application/pdf", name="račun.pdf"),
        ),
        ("audio", FILE, Media(media="audio", source="77", mime=FILE["mime_type"])),
        ("audio", FILE | {"voice": True}, Media(media="voice", source="77", mime=FILE["mime_type"])),
        ("voice", FILE, Media(media="voice", source="77", mime=FILE["mime_type"])),
        (
            "sticker",
            {"id": "4", "mime_type": "image/webp", "animated": True},
            Media(media="sticker", source="4", mime="image/webp"),
        ),
        (
            "location",
            {"latitude": 45.8, "longitude": "15.9", "name": "Shop", "address": "Ilica 1", "url": "https://x"},
            Location(latitude=45.8, longitude=15.9, label="Shop, Ilica 1"),
        ),
        ("location", {"latitude": 45.8, "longitude": 15.9}, Location(latitude=45.8, longitude=15.9)),
        ("location", {"latitude": 145.8, "longitude": 15.9}, Opaque(what="location")),
        ("contacts", [CARD], ContactCard(name="Ivo Ban", phones=("+385 91 1",), emails=("ivo@shop.example",))),
        (
            "contacts",
            [CARD, {"name": {"first_name": "Eva", "last_name": "Kos"}, "phones": [{"wa_id": "385922"}]}],
            ContactCard(
                name="Ivo Ban: +385 91 1, ivo@shop.example; Eva Kos: 385922",
                phones=("+385 91 1", "385922"),
                emails=("ivo@shop.example",),
            ),
        ),
        ("reaction", {"message_id": "wamid.0", "emoji": "👍"}, Reaction(emoji="👍", target="wamid.0")),
        ("reaction", {"message_id": "wamid.0", "emoji": ""}, Reaction(emoji="", target="wamid.0")),
        ("reaction", {"message_id": "wamid.0"}, Reaction(emoji="", target="wamid.0")),
        ("button", {"payload": "yes", "text": "Yes, please"}, Choice(id="yes", label="Yes, please")),
        ("button", {"text": "Yes"}, Choice(id="Yes", label="Yes")),
        (
            "interactive",
            {"type": "button_reply", "button_reply": {"id": "r", "title": "Red"}},
            Choice(id="r", label="Red"),
        ),
        (
            "interactive",
            {"list_reply": {"id": "b", "title": "Blue", "description": "As the sky"}},
            Choice(id="b", label="Blue"),
        ),
        (
            "interactive",
            {"type": "nfm_reply", "nfm_reply": {"body": "Sent", "response_json": '{"flow_token": "t", "size": 42}'}},
            Text(text="Sent\nsize: 42"),
        ),
        ("interactive", {"type": "nfm_reply", "nfm_reply": {"response_json": "{"}}, Opaque(what="form: form")),
        (
            "interactive",
            {"type": "call_permission_reply", "call_permission_reply": {"response": "accept"}},
            Opaque(what="call_permission_reply: accept"),
        ),
        ("interactive", {"type": "brand_new"}, Opaque(what="brand_new")),
        ("interactive", None, Opaque(what="interactive")),
        (
            "order",
            {
                "catalog_id": "c",
                "text": "by Friday?",
                "product_items": [
                    {"product_retailer_id": "p", "quantity": "2", "item_price": 9.5, "currency": "EUR"},
                    {"product_retailer_id": "q", "quantity": "some", "item_price": "cheap"},
                ],
            },
            Order(
                items=(
                    OrderItem(product="p", quantity=2, price="9.5", currency="EUR"),
                    OrderItem(product="q"),
                ),
                catalog="c",
                text="by Friday?",
            ),
        ),
        ("order", None, Order(items=())),
        ("hologram", {"light": "blue"}, Opaque(what="hologram")),
        ("image", None, Opaque(what="image")),
        ("text", {"body": ""}, Opaque(what="text")),
    ],
)
def test_each_kind_of_message(kind: str, said: Any, expected: Content) -> None:
    assert content_of(kind, **({kind: said} if said is not None else {})) == expected


def test_a_message_that_whatsapp_does_not_hand_on_says_what_it_is() -> None:
    errors = [{"code": 131051, "title": "Message type unknown"}]
    assert content_of("unsupported", errors=errors) == Opaque(what="unsupported: Message type unknown")
    assert content_of("unsupported", unsupported={"type": "poll_creation"}) == Opaque(what="unsupported: poll_creation")


def test_an_interactive_answer_that_meta_could_not_tell_comes_with_its_message_alone() -> None:
    errors = [{"code": 131000, "title": "Something went wrong"}]
    (event,) = parsed(webhook(messages=[message("wamid.1", "interactive")], errors=errors))
    assert isinstance(event, MessageReceived)
    assert b"131000" in event.raw


def test_an_edit_is_of_the_first_message_and_has_a_version_of_its_own() -> None:
    def edit(id: str, text: str) -> MessageEdited:
        said = {"original_message_id": "wamid.1", "message": {"context": {"id": "M0"}, "text": {"body": text}}}
        event = parse_one(message(id, "edit", edit=said))
        assert isinstance(event, MessageEdited)
        return event

    first, second = edit("wamid.2", "New?"), edit("wamid.3", "Brand new?")
    assert (first.external_id, first.content) == ("wamid.1", Text(text="New?"))
    assert dedupe_key(first) != dedupe_key(second)


def test_what_was_deleted_for_everyone() -> None:
    event = parse_one(message("wamid.2", "revoke", revoke={"original_message_id": "wamid.1"}))
    assert isinstance(event, MessageDeleted)
    assert event.external_id == "wamid.1"


def test_an_edit_of_nothing_is_shown_all_the_same() -> None:
    event = parse_one(message("wamid.2", "edit", edit={}))
    assert isinstance(event, MessageReceived)
    assert event.content == Opaque(what="edit")


def test_a_forwarded_message_quotes_nothing() -> None:
    event = parse_one(message("wamid.2", text={"body": "See"}, context={"forwarded": True}))
    assert isinstance(event, MessageReceived)
    assert event.reply_to is None


def test_what_led_the_customer_here_is_noted() -> None:
    ad = {"source_type": "ad", "source_id": "17", "headline": "Shoes", "ctwa_clid": "clid", "media_type": "image"}
    product = {"catalog_id": "c", "product_retailer_id": "shoe-42"}
    said = message("wamid.1", text={"body": "Hi"}, referral=ad, context={"referred_product": product})
    event = parse_one(said)
    assert event.context == {
        "last": "wamid.1",
        "referral": {k: ad[k] for k in ("source_type", "source_id", "headline", "ctwa_clid")},
        "product": product,
    }


def test_opening_the_chat_is_no_message() -> None:
    event = parse_one(message("wamid.1", "request_welcome"))
    assert isinstance(event, PeerConnected)
    assert event.sender.name == "Ana"


def test_a_group_is_one_partner_and_each_message_has_its_writer() -> None:
    event = parse_one(message("wamid.1", text={"body": "Hi"}, group_id="120363"))
    assert isinstance(event, MessageReceived)
    assert (event.address.peer, event.sender.name, event.sender.aliases) == ("120363", "Ana", ())
    assert event.context == {"last": "wamid.1", "group": True}
    assert (event.sender.group, event.sender.partner.name) == ("", None)


# Our side, from elsewhere


def echo(field: str, **said: Any) -> Any:
    item = {"from": "385990000000", "to": PHONE, "to_user_id": ANA, "id": "wamid.9", "timestamp": str(AT), **said}
    return parse_one(item, kind="message_echoes", field=field)


@pytest.mark.parametrize(("field", "origin"), [("smb_message_echoes", "provider_app"), ("standby", "provider_ai")])
def test_what_is_said_elsewhere_is_ours(field: str, origin: str) -> None:
    event = echo(field, type="text", text={"body": "Hello"})
    assert isinstance(event, Echo)
    assert (event.address.peer, event.origin, event.content) == (ANA, origin, Text(text="Hello"))


def test_what_is_changed_in_the_phone_app_changes_what_was_said_there() -> None:
    edited = echo(
        "smb_message_echoes", type="edit", edit={"original_message_id": "w1", "message": {"text": {"body": "x"}}}
    )
    deleted = echo("smb_message_echoes", type="revoke", revoke={"original_message_id": "w1"})
    assert isinstance(edited, MessageEdited)
    assert isinstance(deleted, MessageDeleted)
    assert (edited.external_id, deleted.external_id) == ("w1", "w1")


def test_a_customers_words_come_also_while_the_assistant_answers() -> None:
    event = parse_one(message("wamid.1", text={"body": "Hi"}), field="standby")
    assert isinstance(event, MessageReceived)


def test_who_answers_is_a_line_of_our_side() -> None:
    told = {"sender": {"user_id": ANA}, "timestamp": str(AT), "take_thread_control": {"metadata": "x"}}
    (event,) = parsed(webhook({"field": "messaging_handovers", "value": value(contacts=[CONTACT], **told)}))
    assert isinstance(event, Echo)
    assert (event.address.peer, event.content) == (ANA, Opaque(what="handover: take_thread_control"))


# Calls


@pytest.mark.parametrize(("seconds", "what"), [({"duration": 62}, "call: 62 s"), ({}, "call: not answered")])
def test_a_call_is_told_when_it_is_over(seconds: dict[str, int], what: str) -> None:
    common = {"id": "wacid.1", "from": PHONE, "from_user_id": ANA, "timestamp": str(AT), "direction": "USER_INITIATED"}
    begun = webhook(field="calls", calls=[common | {"event": "connect"}])
    with pytest.raises(Ignored):
        parsed(begun)
    event = parse_one(common | {"event": "terminate"} | seconds, kind="calls", field="calls")
    assert isinstance(event, MessageReceived)
    assert event.content == Opaque(what=what)
    assert event.context is None, "what was written before can still be marked as read"


def test_a_call_of_ours_is_a_line_of_our_side() -> None:
    said = {"id": "wacid.1", "to": PHONE, "event": "terminate", "direction": "BUSINESS_INITIATED", "duration": 5}
    assert isinstance(parse_one(said, kind="calls", field="calls"), Echo)


# Whole requests


def test_one_broken_item_costs_only_itself() -> None:
    body = webhook(messages=[message("w1", text={"body": "a"}), "not an object", message("w2", text={"body": "b"})])
    first, broken, second = parsed(body)
    assert isinstance(broken, Undigested)
    assert [getattr(event, "external_id", None) for event in (first, second)] == ["w1", "w2"]


def test_what_is_kept_of_an_item_says_the_same_when_it_is_read_again() -> None:
    body = webhook(messages=[message("w1", text={"body": "a"}), message("w2", "hologram")])
    for event in parsed(body):
        (again,) = parsed(event.raw)
        assert again == event


def test_a_message_without_an_id_is_the_same_message_the_next_time() -> None:
    def key(*others: dict[str, Any]) -> str:
        nameless = message("", text={"body": "Hi"})
        (event,) = [e for e in parsed(webhook(messages=[*others, nameless])) if "unnamed" in dedupe_key(e)]
        return dedupe_key(event)

    assert key() == key(message("w1", text={"body": "x"}))


def test_another_number_of_the_account_is_named() -> None:
    other = value(messages=[message("w1", text={"body": "Hi"})])
    other["metadata"] = {"phone_number_id": "999"}
    (event,) = parsed(webhook({"field": "messages", "value": other}))
    assert event.address.account == "999"


def test_another_product_of_metas_is_kept_and_not_refused() -> None:
    (event,) = parsed(b'{"object": "page", "entry": [{"id": "1", "messaging": []}]}')
    assert isinstance(event, Undigested)
    assert "WhatsApp" in event.reason.detail


@pytest.mark.parametrize(
    ("stamp", "year"), [(AT, 2026), (f"{AT}000", 2026), (f"{AT}.5", 2026), ("soon", 1970), (None, 1970), (-5, 1970)]
)
def test_times_in_any_spelling(stamp: Any, year: int) -> None:
    event = parse_one(message("w1", text={"body": "Hi"}) | {"timestamp": stamp})
    assert event.occurred_at.year == year
