"""What customers send, kind by kind."""

import json
from typing import Any

import pytest

from connectors.telegram.contents import SERVICE
from connectors.telegram.inbound import parse_payload
from shared.content import Choice, ContactCard, Content, Location, Media, Opaque, Reaction, Text
from shared.errors import Ignored, Malformed
from shared.events import (
    MessageEdited,
    MessageReceived,
    PeerBlocked,
    PeerConnected,
    PeerMoved,
    Undigested,
    dedupe_key,
)
from tests.connectors.telegram.given import ANN, AT, BOT, message, parse_one, update


def received(**content: Any) -> MessageReceived:
    event = parse_one(update(5, "message", **message(11, **content)))
    assert isinstance(event, MessageReceived)
    return event


def content(**said: Any) -> Content:
    return received(**said).content


def file(**more: Any) -> dict[str, Any]:
    return {"file_id": "F", "file_unique_id": "U", "width": 1, "height": 1, "duration": 1, "length": 1, **more}


# Texts


def test_a_text_comes_with_all_that_telegram_says_of_it() -> None:
    event = received(text="Hi 👍 there", entities=[{"type": "bold", "offset": 6, "length": 5}])
    assert (event.external_id, event.address.account, event.address.peer) == ("11", BOT, str(ANN))
    assert int(event.occurred_at.timestamp()) == AT + 11
    assert (event.sender.name, event.sender.username, event.sender.locale) == ("Ann Lee", "annlee", "en")
    assert event.content == Text(text="Hi 👍 there", html="Hi 👍 <b>there</b>")
    assert json.loads(event.raw)["update_id"] == 5
    assert event.context == {}


def test_a_quoted_message_is_named() -> None:
    assert received(text="Yes", reply_to_message=message(9, text="Red?")).reply_to == "9"


def test_a_quote_of_another_chat_is_no_quote_here() -> None:
    assert received(text="Yes", external_reply={"origin": {"type": "hidden_user"}}).reply_to is None


def test_a_topic_of_the_chat_is_a_thread_only_if_it_is_one() -> None:
    assert received(text="Hi", message_thread_id=3, is_topic_message=True).address.thread == "3"
    assert received(text="Hi", message_thread_id=3).address.thread is None


def test_a_caption_without_a_file_is_a_text() -> None:
    assert content(caption="words") == Text(text="words")


# Files


@pytest.mark.parametrize(
    ("kind", "said", "media", "mime"),
    [
        ("video", file(mime_type="video/quicktime"), "video", "video/quicktime"),
        ("video_note", file(), "video", "video/mp4"),
        ("voice", file(), "voice", "audio/ogg"),
        ("audio", file(mime_type="audio/mp4"), "audio", "audio/mp4"),
        ("document", file(file_name="bill.pdf", mime_type="application/pdf"), "file", "application/pdf"),
        ("live_photo", file(), "video", "video/mp4"),
    ],
)
def test_each_kind_of_file_is_one_of_ours(kind: str, said: dict[str, Any], media: str, mime: str) -> None:
    found = content(**{kind: said | {"file_size": 7}}, caption="See")
    assert isinstance(found, Media)
    assert (found.media, found.mime, found.source, found.size) == (media, mime, "F", 7)
    assert (found.caption, found.name) == ("See", said.get("file_name"))


def test_an_animation_is_a_video_and_not_the_file_beside_it() -> None:
    found = content(animation=file(file_id="A"), document=file(file_id="D"))
    assert isinstance(found, Media)
    assert (found.media, found.source) == ("video", "A")


def test_the_largest_photo_is_taken_wherever_it_stands() -> None:
    sizes = [file(file_id="m", width=320, height=200), file(file_id="l", width=900, height=600), file(file_id="s")]
    found = content(photo=sizes, caption="a b", caption_entities=[{"type": "italic", "offset": 2, "length": 1}])
    assert isinstance(found, Media)
    assert (found.source, found.mime, found.caption_html) == ("l", "image/jpeg", "a <i>b</i>")


def test_a_live_photo_is_its_photo() -> None:
    found = content(live_photo=file(file_id="moving", photo=[file(file_id="still")]), photo=[file(file_id="old")])
    assert isinstance(found, Media)
    assert (found.media, found.source) == ("image", "still")


@pytest.mark.parametrize(
    ("animated", "video", "mime"),
    [(False, False, "image/webp"), (True, False, "application/x-tgsticker"), (False, True, "video/webm")],
)
def test_a_sticker_has_its_emoji_as_caption(animated: bool, video: bool, mime: str) -> None:
    found = content(sticker=file(type="regular", is_animated=animated, is_video=video, emoji="😡"))
    assert isinstance(found, Media)
    assert (found.media, found.mime, found.caption) == ("sticker", mime, "😡")


def test_messages_of_an_album_name_it() -> None:
    found = content(photo=[file()], media_group_id="13")
    assert isinstance(found, Media)
    assert found.album == "13"


# Facts


def test_a_place_and_a_venue_are_locations() -> None:
    place = {"latitude": 52.5, "longitude": 13.4}
    assert content(location=place) == Location(latitude=52.5, longitude=13.4)
    venue = {"location": place, "title": "Shop", "address": "Main Street 1"}
    assert content(venue=venue, location=place) == Location(latitude=52.5, longitude=13.4, label="Shop, Main Street 1")


def test_a_place_outside_the_globe_is_kept_as_something() -> None:
    assert content(location={"latitude": 152.5, "longitude": 13.4}) == Opaque(what="location")


def test_a_contact_is_a_card_and_a_phone_only_if_it_is_their_own() -> None:
    own = received(contact={"phone_number": "1 (555) 12", "first_name": "Ann", "user_id": ANN})
    assert own.content == ContactCard(name="Ann", phones=("1 (555) 12",))
    assert own.sender.phone == "+155512"
    vcard = "BEGIN:VCARD\r\nFN:Bo\r\nEMAIL;TYPE=work:bo@s.example\r\nitem1.EMAIL:b@s.example\r\nEND:VCARD"
    other = received(contact={"phone_number": "+1999", "first_name": "Bo", "user_id": 5, "vcard": vcard})
    assert other.content == ContactCard(name="Bo", phones=("+1999",), emails=("bo@s.example", "b@s.example"))
    assert other.sender.phone is None


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"poll": {"id": "1", "question": "?"}}, "poll"),
        ({"dice": {"emoji": "🎲", "value": 3}}, "dice"),
        ({"game": {"title": "g"}}, "game"),
        ({"story": {"id": 1}}, "story"),
        ({"invoice": {"title": "i"}}, "invoice"),
        ({"successful_payment": {"total_amount": 5}}, "successful_payment"),
        ({"web_app_data": {"data": "{}", "button_text": "Form"}}, "web_app_data"),
        ({"checklist": {"title": "c"}}, "checklist"),
        ({"gift": {}}, "gift"),
        ({"paid_media": {"star_count": 1}, "caption": "Look"}, "paid_media: Look"),
        ({"hologram": {"light": "blue"}}, "hologram"),
        ({}, "message"),
    ],
)
def test_what_cannot_be_represented_is_named(said: dict[str, Any], what: str) -> None:
    assert content(**said) == Opaque(what=what)


@pytest.mark.parametrize("name", sorted(SERVICE - {"migrate_to_chat_id"}))
def test_a_service_message_is_nobodys_word(name: str) -> None:
    with pytest.raises(Ignored):
        parse_one(update(1, "message", **message(1, **{name: True})))


# Starting, blocking, moving


@pytest.mark.parametrize(
    ("text", "payload"), [("/start", None), ("/start summer-sale_1", "summer-sale_1"), ("/start@shop_bot x", "x")]
)
def test_opening_the_chat_is_not_a_message(text: str, payload: str | None) -> None:
    event = parse_one(update(1, "message", **message(3, text=text)))
    assert isinstance(event, PeerConnected)
    assert (event.payload, event.external_id, event.sender.name) == (payload, "3", "Ann Lee")


@pytest.mark.parametrize("text", ["/starting", "/start hello there", "/start é", "/help", f"/start {'a' * 65}"])
def test_a_command_that_somebody_typed_is_a_message(text: str) -> None:
    assert received(text=text).content == Text(text=text)


@pytest.mark.parametrize(
    ("status", "kind"), [("kicked", PeerBlocked), ("left", PeerBlocked), ("member", PeerConnected)]
)
def test_blocking_and_coming_back_are_told(status: str, kind: type) -> None:
    told = {"user": {"id": 7, "is_bot": True, "first_name": "Shop"}, "status": status, "until_date": 0}
    person = message(1)
    event = parse_one(
        update(9, "my_chat_member", chat=person["chat"], date=AT, new_chat_member=told, **{"from": person["from"]})
    )
    assert type(event) is kind
    assert event.address.peer == str(ANN)


def test_to_be_added_to_a_group_or_a_channel_is_not_told() -> None:
    person = message(1)
    for kind in ("group", "channel"):
        chat = {"id": -100, "type": kind, "title": "Fans"}
        with pytest.raises(Ignored):
            parse_one(update(9, "my_chat_member", chat=chat, date=AT, new_chat_member={}, **{"from": person["from"]}))


def test_a_group_that_gets_another_number_stays_the_same_partner() -> None:
    said = message(4, migrate_to_chat_id=-1001) | {"chat": {"id": -5, "type": "group", "title": "Fans"}}
    event = parse_one(update(1, "message", **said))
    assert isinstance(event, PeerMoved)
    assert (event.address.peer, event.to) == ("-5", "-1001")


# Groups and channels


def test_a_group_is_one_partner_and_each_message_has_its_writer() -> None:
    said = message(4, text="/start") | {"chat": {"id": -1001, "type": "supergroup", "title": "Fans"}}
    event = parse_one(update(1, "message", **said))
    assert isinstance(event, MessageReceived)
    assert (event.address.peer, event.sender.name, event.content) == ("-1001", "Ann Lee", Text(text="/start"))
    assert (event.sender.group, event.sender.partner.name) == ("Fans", "Fans")


def test_a_channel_talks_to_itself() -> None:
    chat = {"id": -1001, "type": "channel", "title": "News"}
    for kind, more in (("channel_post", {}), ("message", {}), ("message", {"is_automatic_forward": True})):
        with pytest.raises(Ignored):
            parse_one(update(1, kind, **(message(4, text="News", **more) | {"chat": chat})))
    with pytest.raises(Ignored):
        repeated = message(4, text="News", is_automatic_forward=True)
        parse_one(update(1, "message", **(repeated | {"chat": {"id": -1002, "type": "supergroup"}})))


def test_an_ephemeral_message_has_no_number_of_its_own_and_is_left_out() -> None:
    with pytest.raises(Ignored):
        parse_one(update(1, "message", **message(0, text="psst", ephemeral_message_id=5)))


def test_a_customer_of_a_channels_direct_messages_is_met_as_a_person() -> None:
    customer = message(1)["from"]
    chat = {"id": -1005, "type": "supergroup", "is_direct_messages": True}
    said = message(8, text="Hi", direct_messages_topic={"topic_id": 77, "user": customer}) | {"chat": chat}
    event = parse_one(update(1, "message", **said))
    assert isinstance(event, MessageReceived)
    assert (event.address.peer, event.external_id) == (str(ANN), "-1005:8")
    assert event.context == {"chat": "-1005", "topic": 77}
    assert (event.sender.name, event.sender.group) == ("Ann Lee", None)
    answer = said | {"from": {"id": 1, "is_bot": False, "first_name": "Olga"}}
    assert parse_one(update(2, "message", **answer)).kind == "echo"


# Edits, presses, reactions


def edited(number: int, **content: Any) -> MessageEdited:
    event = parse_one(update(number, "edited_message", **message(11, **content)))
    assert isinstance(event, MessageEdited)
    return event


def test_an_edit_has_the_new_text_and_its_own_time() -> None:
    event = edited(5, text="better", edit_date=AT + 60)
    assert (event.external_id, event.content) == ("11", Text(text="better"))
    assert int(event.occurred_at.timestamp()) == AT + 60


def test_two_edits_of_one_second_are_two_and_one_that_comes_again_is_one() -> None:
    keys = [dedupe_key(edited(number, text="better", edit_date=AT)) for number in (5, 6, 5)]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


def test_a_place_that_moves_is_kept_once_a_minute_and_where_it_ends() -> None:
    def moved(number: int, at: int, **more: Any) -> str:
        place = {"latitude": 1 + number / 1000, "longitude": 2, **more}
        return dedupe_key(edited(number, location=place, edit_date=at))

    start = AT - AT % 60
    on_the_way = [moved(number, start + number * 5, live_period=900) for number in range(24)]
    assert len(set(on_the_way)) == 2
    assert moved(99, start + 1) not in on_the_way


def press(**more: Any) -> dict[str, Any]:
    rows = [
        [{"text": "Red", "callback_data": "r"}, {"text": "Page", "url": "https://x"}],
        [{"text": "B", "callback_data": "b"}],
    ]
    offer = message(13, text="Which?", reply_markup={"inline_keyboard": rows})
    known = {"id": "5566", "chat_instance": "1", "message": offer, "from": message(1)["from"]}
    return known | more


def test_a_pressed_button_is_the_choice_that_was_offered() -> None:
    event = parse_one(update(1, "callback_query", **press(data="b")))
    assert isinstance(event, MessageReceived)
    assert event.content == Choice(id="b", label="B")
    assert (event.external_id, event.reply_to, event.context) == ("cb:5566", "13", {"callback": "5566"})


def test_a_button_of_a_message_that_is_gone_has_its_id_for_a_label() -> None:
    gone = {"chat": message(1)["chat"], "message_id": 13, "date": 0}
    event = parse_one(update(1, "callback_query", **press(data="b", message=gone)))
    assert isinstance(event, MessageReceived)
    assert (event.content, event.reply_to, event.address.peer) == (Choice(id="b", label="b"), "13", str(ANN))


@pytest.mark.parametrize("shown", [None, 5, {"message_id": 13}, {"chat": {"id": 9}}, {"message_id": 1, "chat": {}}])
def test_a_press_whose_message_is_not_told_is_the_persons(shown: Any) -> None:
    event = parse_one(update(1, "callback_query", **press(data="b", message=shown)))
    assert isinstance(event, MessageReceived)
    assert (event.address.peer, event.reply_to) == (str(ANN), None)


def test_a_press_without_data_is_kept_as_what_it_is() -> None:
    for more, what in (({"game_short_name": "g"}, "game"), ({}, "callback_query")):
        event = parse_one(update(1, "callback_query", **press(**more)))
        assert isinstance(event, MessageReceived)
        assert event.content == Opaque(what=what)


EMOJI = {"type": "emoji", "emoji": "👍"}


@pytest.mark.parametrize(
    ("before", "after", "emoji"),
    [
        ([], [EMOJI], "👍"),
        ([EMOJI], [], ""),
        ([EMOJI], [EMOJI, {"type": "emoji", "emoji": "🔥"}], "🔥"),
        ([EMOJI, {"type": "emoji", "emoji": "🔥"}], [EMOJI], "👍"),
        ([], [{"type": "custom_emoji", "custom_emoji_id": "1"}], "❔"),
        ([], [{"type": "paid"}], "⭐"),
        ([], [{"type": "hologram", "light": 1}], "❔"),
        ([], [{"type": "emoji"}], "❔"),
    ],
)
def test_a_reaction_is_what_was_added_or_what_remains(before: Any, after: Any, emoji: str) -> None:
    person = message(1)
    said = {"chat": person["chat"], "user": person["from"], "message_id": 13, "date": AT}
    event = parse_one(update(1, "message_reaction", **said, old_reaction=before, new_reaction=after))
    assert isinstance(event, MessageReceived)
    assert event.content == Reaction(emoji=emoji, target="13")


def test_two_reactions_to_one_message_are_two_facts() -> None:
    person = message(1)
    said = {"chat": person["chat"], "message_id": 13, "date": AT, "old_reaction": [], "new_reaction": [EMOJI]}
    one, other = (parse_one(update(number, "message_reaction", **said)) for number in (1, 2))
    assert dedupe_key(one) != dedupe_key(other)


def test_reactions_in_groups_are_left_out() -> None:
    with pytest.raises(Ignored):
        said = {"chat": {"id": -5, "type": "group"}, "message_id": 13, "date": AT, "new_reaction": [EMOJI]}
        parse_one(update(1, "message_reaction", **said))


# What is not an update, and what cannot be read


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"3", b'"x"', b"{}", b'{"edited_message": "x"}', b"\xff", b"[" * 9999]
)
def test_what_is_no_update_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_payload(body)


@pytest.mark.parametrize(
    "said",
    [
        update(1, "message"),
        {"update_id": 1, "message": "words"},
        update(1, "message", message_id=1, text="whose?"),
        update(1, "callback_query", id="1", data="x"),
        update(1, "my_chat_member", date=1),
        update(1, "message_reaction", message_id=1),
        update(1, "deleted_business_messages", message_ids=[1]),
        update(1, "message", message_id={}, chat={"id": 1}, text="which?"),
        update(1, "message", message_id=1, chat={"id": True}, text="whose?"),
        update(1, "message_reaction", message_id=[], chat={"id": 1}),
    ],
)
def test_an_update_that_cannot_be_read_is_kept_for_a_person(said: Any) -> None:
    event = parse_one(said)
    assert isinstance(event, Undigested)
    assert event.external_id == "u1"
    assert json.loads(event.raw) == said


def test_without_an_account_the_payload_is_shown_all_the_same() -> None:
    (event,) = parse_payload(json.dumps(update(1, "message", **message(1, text="Hi"))).encode())
    assert event.address.account == ""
