"""What customers get to see of what we send, and what Graph is told."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.whatsapp.capabilities import CAPABILITIES
from connectors.whatsapp.simulator import WhatsAppSimulator
from shared.capabilities import check_content
from shared.commands import LEFT_OUT, MarkRead, SetTyping
from shared.content import (
    Album,
    Buttons,
    ContactCard,
    Content,
    Location,
    Media,
    MediaKind,
    Option,
    Reaction,
    Template,
    TemplateButton,
    Text,
)
from shared.errors import (
    AuthExpired,
    BusUnavailable,
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
    Unreachable,
    Unsupported,
)
from shared.events import Address, InboundEvent, PeerConnected
from shared.simulator import Fault
from tests.connectors.whatsapp.given import (
    ANA,
    NUMBER,
    PHONE,
    QUESTION,
    Shelf,
    connect,
    message,
    parse_one,
    reply,
    template,
    whatsapp_simulator,
)

ADDRESS = Address(channel="whatsapp", account=NUMBER, peer=ANA)


@pytest.fixture
def server() -> WhatsAppSimulator:
    return whatsapp_simulator()


async def carry(server: WhatsAppSimulator, content: Content, **more: Any) -> tuple[str, ...]:
    """What was lost on the way."""
    return (await connect(server).send(reply(content, **more))).degraded


async def posted(server: WhatsAppSimulator) -> list[dict[str, Any]]:
    """The messages that Graph was given."""
    entries = [entry for entry in server.ledger if entry.request.url.path.endswith("/messages")]
    return [json.loads(await entry.request.body()) for entry in entries]


async def take_anything(events: Sequence[InboundEvent], /) -> None:
    pass


# Where it goes


@pytest.mark.parametrize(
    ("peer", "context", "to"),
    [
        (PHONE, {}, {"recipient_type": "individual", "to": PHONE}),
        (ANA, {}, {"recipient_type": "individual", "recipient": ANA}),
        ("HR.ENT.77", {}, {"recipient_type": "individual", "recipient": "HR.ENT.77"}),
        ("120363", {"group": True}, {"recipient_type": "group", "to": "120363"}),
    ],
)
async def test_each_kind_of_partner_has_a_member_of_its_own(
    server: WhatsAppSimulator, peer: str, context: dict[str, Any], to: dict[str, str]
) -> None:
    await connect(server, publish=take_anything).send(reply(Text(text="Hi"), peer=peer, context=context))
    (body,) = await posted(server)
    assert {name: body[name] for name in ("recipient_type", "to", "recipient") if name in body} == to


async def test_who_wrote_without_a_name_cannot_be_answered(server: WhatsAppSimulator) -> None:
    event = parse_one(message("wamid.1", text={"body": "Hi"}, named={}), contacts=[])
    with pytest.raises(Unreachable, match="who wrote"):
        await connect(server).send(reply(Text(text="Hi"), peer=event.address.peer))
    assert not server.ledger


async def test_a_user_id_that_the_answer_tells_is_learned(server: WhatsAppSimulator) -> None:
    told: list[InboundEvent] = []

    async def publish(events: Sequence[InboundEvent], /) -> None:
        told.extend(events)

    await connect(server, publish=publish).send(reply(Text(text="Hi"), peer=PHONE))
    (known,) = told
    assert isinstance(known, PeerConnected)
    assert (known.address.peer, known.sender.aliases, known.sender.lent) == (PHONE, (ANA,), (PHONE,))


async def test_that_it_cannot_be_learned_costs_the_message_nothing(server: WhatsAppSimulator) -> None:
    async def publish(events: Sequence[InboundEvent], /) -> None:
        raise BusUnavailable

    assert (await connect(server, publish=publish).send(reply(Text(text="Hi"), peer=PHONE))).external_ids


# Texts


async def test_formatting_and_our_id_travel_along(server: WhatsAppSimulator) -> None:
    await carry(server, Text(text="It is", html="It <b>is</b>"), message_id="msg_7", reply_to=QUESTION)
    (body,) = await posted(server)
    assert body["text"] == {"body": "It *is*", "preview_url": False}
    assert body["biz_opaque_callback_data"] == "msg_7"
    assert body["context"] == {"message_id": QUESTION}


async def test_links_are_shown_with_a_preview(server: WhatsAppSimulator) -> None:
    await carry(server, Text(text="See https://shop.example"))
    assert (await posted(server))[0]["text"]["preview_url"] is True


async def test_formatting_gives_way_to_words(server: WhatsAppSimulator) -> None:
    words = "word " * 819
    (loss,) = await carry(server, Text(text=words, html=f"<b>{words}</b>"))
    assert "formatting" in loss
    assert (await posted(server))[0]["text"]["body"] == words


async def test_a_text_of_nothing_but_space_is_refused(server: WhatsAppSimulator) -> None:
    with pytest.raises(Rejected, match="empty"):
        await carry(server, Text(text=" \n"))
    assert not server.ledger


# Files


@pytest.mark.parametrize(
    ("kind", "mime", "shown", "lost"),
    [
        ("image", "image/png", "image", False),
        ("image", "image/webp", "document", True),
        ("video", "video/mp4", "video", False),
        ("video", "image/png", "document", True),
        ("audio", "audio/mpeg", "audio", False),
        ("audio", "application/pdf", "document", True),
        ("voice", "audio/ogg; codecs=opus", "voice", False),
        ("voice", "audio/mp4", "audio", True),
        ("sticker", "image/webp", "sticker", False),
        ("file", "text/csv", "document", False),
        ("file", "application/pdf", "document", False),
    ],
)
async def test_each_kind_of_file_goes_in_the_form_that_whatsapp_has_for_it(
    server: WhatsAppSimulator, kind: MediaKind, mime: str, shown: str, lost: bool
) -> None:
    degraded = await carry(server, Media(media=kind, attachment="att_1", mime=mime, name="name.x", size=3))
    (seen,) = server.phones[ANA].sees
    assert (seen.kind, seen.file, bool(degraded)) == (shown, b"one", lost)
    assert seen.name == ("name.x" if shown == "document" else "")


async def test_a_picture_that_is_too_large_for_one_goes_as_a_document(server: WhatsAppSimulator) -> None:
    (loss,) = await carry(server, Media(media="image", attachment="att_1", mime="image/png", size=6_000_000))
    assert "5 MB" in loss


async def test_a_file_elsewhere_is_fetched_by_whatsapp_itself(server: WhatsAppSimulator) -> None:
    await carry(server, Media(media="image", url="https://shop.example/a.jpg", mime="image/jpeg", caption="A"))
    (body,) = await posted(server)
    assert body["image"] == {"link": "https://shop.example/a.jpg", "caption": "A"}


async def test_a_caption_without_a_place_follows_as_a_text(server: WhatsAppSimulator) -> None:
    (loss,) = await carry(server, Media(media="voice", attachment="att_1", mime="audio/ogg", caption="Listen"))
    assert "caption" in loss
    assert [seen.text for seen in server.phones[ANA].sees] == ["", "Listen"]
    (loss,) = await carry(server, Media(media="image", attachment="att_1", mime="image/png", caption="x" * 1025))
    assert "1024" in loss
    assert [body["biz_opaque_callback_data"] for body in await posted(server)] == ["msg_1:0", "msg_1:1"] * 2


async def test_a_message_without_a_file_is_refused(server: WhatsAppSimulator) -> None:
    with pytest.raises(Rejected, match="neither"):
        await carry(server, Media(media="image"))
    with pytest.raises(Rejected, match="not here"):
        await carry(server, Media(media="image", attachment="att_9", mime="image/png"))


ALBUM = Album(items=tuple(Media(media="image", attachment=f"att_{n}", mime="image/png") for n in (1, 2, 3)))


async def test_an_album_goes_piece_by_piece(server: WhatsAppSimulator) -> None:
    sent = await connect(server).send(reply(ALBUM, reply_to=QUESTION))
    seen = server.phones[ANA].sees
    assert [one.file for one in seen] == [b"one", b"two", b"three"]
    assert sent.external_ids == tuple(one.id for one in seen)
    assert [one.reply_to for one in seen] == [QUESTION, None, None]


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.SERVER_ERROR, Fault.TIMEOUT])
async def test_what_broke_off_goes_on_with_the_part_that_failed(server: WhatsAppSimulator, fault: Fault) -> None:
    server.script([Fault.OK, Fault.OK, Fault.OK, fault])  # the upload and the message of each
    with pytest.raises((Throttled, Uncertain)) as caught:
        await connect(server).send(reply(ALBUM))
    assert caught.value.sent == (server.phones[ANA].sees[0].id,)
    await connect(server).send(reply(ALBUM, from_part=1))
    assert [one.file for one in server.phones[ANA].sees] == [b"one", b"two", b"three"]
    notes = [body["biz_opaque_callback_data"] for body in await posted(server)]
    assert notes == ["msg_1:0", "msg_1:1", "msg_1:1", "msg_1:2"]


async def test_parts_that_went_out_are_left_out(server: WhatsAppSimulator) -> None:
    sent = await connect(server).send(reply(ALBUM, skip=(1,)))
    first, third = server.phones[ANA].sees
    assert [first.file, third.file] == [b"one", b"three"]
    assert sent.external_ids == (first.id, LEFT_OUT, third.id)
    assert [body["biz_opaque_callback_data"] for body in await posted(server)] == ["msg_1:0", "msg_1:2"]


async def test_what_broke_off_behind_a_part_that_was_left_out_counts_it(server: WhatsAppSimulator) -> None:
    server.script([Fault.OK, Fault.OK, Fault.OK, Fault.THROTTLED])
    with pytest.raises(Throttled) as caught:
        await connect(server).send(reply(ALBUM, skip=(1,)))
    assert caught.value.sent == (server.phones[ANA].sees[0].id, LEFT_OUT)


@pytest.mark.parametrize("fault", [Fault.TIMEOUT, Fault.TAKEN_THEN_RESET, Fault.SERVER_ERROR, Fault.TAKEN_THEN_GARBAGE])
async def test_a_doubt_about_an_upload_is_no_doubt_about_the_message(server: WhatsAppSimulator, fault: Fault) -> None:
    server.script([fault])
    with pytest.raises(Unavailable):
        await carry(server, Media(media="image", attachment="att_1", mime="image/png"))
    assert not server.taken


# The rest


async def test_buttons_and_lists(server: WhatsAppSimulator) -> None:
    ana = server.phones[ANA]
    few = tuple(Option(id=str(n), label=f"Choice {n}") for n in range(3))
    many = tuple(Option(id=str(n), label=f"Choice {n}") for n in range(10))
    await carry(server, Buttons(text="Which?", options=few))
    await carry(server, Buttons(text="Which?", options=many, menu="All our colours and more"))
    await carry(server, Buttons(text="Which?", options=(Option(id="1", label="A label of 22 letters."),)))
    (loss,) = await carry(server, Buttons(text="?", options=(Option(id="1", label="Red", description="red " * 30),)))
    assert [seen.kind for seen in ana.sees] == ["button", "list", "list", "list"]
    assert "description" in loss
    bodies = await posted(server)
    assert bodies[1]["interactive"]["action"]["button"] == "All our colours and "
    assert bodies[2]["interactive"]["action"]["button"] == "Menu"
    assert len(bodies[3]["interactive"]["action"]["sections"][0]["rows"][0]["description"]) == 72


async def test_too_much_text_above_buttons_is_said_before_anything_is_sent(server: WhatsAppSimulator) -> None:
    buttons = Buttons(text="x" * 1025, options=(Option(id="1", label="Red"),))
    with pytest.raises(Unsupported, match="1024"):
        check_content(CAPABILITIES, buttons)
    with pytest.raises(Unsupported, match="1024"):
        await carry(server, buttons)
    assert not server.ledger


@pytest.mark.parametrize(
    ("kind", "mime"), [("voice", "audio/webm"), ("file", "application/zip"), ("image", "image/gif")]
)
async def test_a_type_that_meta_does_not_take_is_named(server: WhatsAppSimulator, kind: MediaKind, mime: str) -> None:
    with pytest.raises(Rejected, match=f"not {mime}"):
        await carry(server, Media(media=kind, attachment="att_1", mime=mime))


async def test_a_file_that_cannot_be_read_here_is_no_doubt_and_loses_nothing(server: WhatsAppSimulator) -> None:
    connector = connect(server)
    shelf = connector.port.files
    assert isinstance(shelf, Shelf)
    shelf.broken.add("att_2")
    with pytest.raises(Unavailable, match="OSError") as caught:
        await connector.send(reply(ALBUM))
    assert len(caught.value.sent) == 1


async def test_a_call_is_no_message_to_quote_to_mark_or_to_react_to(server: WhatsAppSimulator) -> None:
    (loss,) = await carry(server, Text(text="You called?"), reply_to="wacid.1")
    assert "call" in loss
    assert "context" not in (await posted(server))[0]
    with pytest.raises(Unsupported, match="call"):
        await carry(server, Reaction(emoji="👍", target="wacid.1"))
    connector = connect(server)
    read = MarkRead(address=ADDRESS, external_id="wacid.1", read_at=connector.port.clock())
    with pytest.raises(Unsupported, match="call"):
        await connector.mark_read(read)
    await connector.mark_read(read.model_copy(update={"context": {"last": QUESTION}}))
    assert (await posted(server))[-1]["message_id"] == QUESTION


async def test_locations_cards_and_reactions(server: WhatsAppSimulator) -> None:
    await carry(server, Location(latitude=45.8, longitude=15.9, label="Shop, Ilica 1, Zagreb"))
    await carry(server, Location(latitude=45.8, longitude=15.9))
    await carry(server, ContactCard(name="Olga", phones=("+1555",), emails=("olga@shop.example",)))
    await carry(server, Reaction(emoji="👍", target=QUESTION), reply_to=QUESTION)
    await carry(server, Reaction(emoji="", target=QUESTION))
    place, bare, card, reaction, back = await posted(server)
    assert place["location"] == {"latitude": 45.8, "longitude": 15.9, "name": "Shop", "address": "Ilica 1, Zagreb"}
    assert bare["location"] == {"latitude": 45.8, "longitude": 15.9}
    (contact,) = card["contacts"]
    assert contact["name"] == {"formatted_name": "Olga", "first_name": "Olga"}
    assert (contact["phones"][0]["phone"], contact["emails"][0]["email"]) == ("+1555", "olga@shop.example")
    assert reaction["reaction"] == {"message_id": QUESTION, "emoji": "👍"}
    assert "context" not in reaction
    assert back["reaction"]["emoji"] == ""


async def test_a_template_with_everything(server: WhatsAppSimulator) -> None:
    server.templates.append(template("ready", body="{{name}}, order {{order}} is ready"))
    picture = Media(media="image", attachment="att_1", mime="image/png")
    await carry(
        server,
        Template(
            name="ready",
            language="en",
            named={"name": "Ana", "order": "17"},
            header_media=picture,
            buttons=(
                TemplateButton(index=0, action="quick_reply", value="thanks"),
                TemplateButton(index=1, action="url", value="17"),
                TemplateButton(index=2, action="copy_code", value="SALE"),
            ),
        ),
    )
    (body,) = await posted(server)
    assert body["template"]["language"] == {"policy": "deterministic", "code": "en"}
    header, words, *buttons = body["template"]["components"]
    assert header["type"] == "header"
    assert header["parameters"][0]["image"].keys() == {"id"}
    assert words["parameters"] == [
        {"type": "text", "text": "Ana", "parameter_name": "name"},
        {"type": "text", "text": "17", "parameter_name": "order"},
    ]
    assert [(one["sub_type"], one["index"], one["parameters"][0]) for one in buttons] == [
        ("quick_reply", "0", {"type": "payload", "payload": "thanks"}),
        ("url", "1", {"type": "text", "text": "17"}),
        ("copy_code", "2", {"type": "coupon_code", "coupon_code": "SALE"}),
    ]
    assert server.phones[ANA].sees[0].text == "Ana, order 17 is ready"


async def test_a_template_without_anything_to_fill_has_no_components(server: WhatsAppSimulator) -> None:
    await carry(server, Template(name="welcome", language="en"))
    assert "components" not in (await posted(server))[0]["template"]
    with pytest.raises(Rejected, match="template"):
        await carry(server, Template(name="farewell", language="en"))


# Signals


async def test_reading_and_typing_are_one_call(server: WhatsAppSimulator) -> None:
    connector = connect(server)
    await connector.mark_read(MarkRead(address=ADDRESS, external_id=QUESTION, read_at=connector.port.clock()))
    await connector.set_typing(SetTyping(address=ADDRESS, on=True, context={"last": QUESTION}))
    await connector.set_typing(SetTyping(address=ADDRESS, on=False, context={"last": QUESTION}))
    read, typing = await posted(server)
    assert read == {"messaging_product": "whatsapp", "status": "read", "message_id": QUESTION}
    assert typing == read | {"typing_indicator": {"type": "text"}}
    assert server.phones[ANA].signals == ["read", "typing"]


async def test_signals_that_have_no_place(server: WhatsAppSimulator) -> None:
    connector = connect(server)
    with pytest.raises(Unsupported, match="none yet"):
        await connector.set_typing(SetTyping(address=ADDRESS, on=True))
    with pytest.raises(Unsupported, match="groups"):
        await connector.set_typing(SetTyping(address=ADDRESS, on=True, context={"last": QUESTION, "group": True}))
    assert not server.ledger


async def test_a_read_mark_in_doubt_may_be_told_again(server: WhatsAppSimulator) -> None:
    server.script([Fault.TAKEN_THEN_TIMEOUT])
    connector = connect(server)
    with pytest.raises(Unavailable):
        await connector.mark_read(MarkRead(address=ADDRESS, external_id=QUESTION, read_at=connector.port.clock()))


async def test_the_app_is_subscribed_when_the_channel_starts(server: WhatsAppSimulator) -> None:
    server.subscribed = False
    await connect(server).listen()
    assert server.subscribed
    server.spares = lambda request: False  # type: ignore[method-assign]
    server.script([Fault.UNAUTHORIZED])
    with pytest.raises(AuthExpired):
        await connect(server).listen()
    server.script([Fault.FORBIDDEN])
    await connect(server).listen()  # a token without this right may still write
