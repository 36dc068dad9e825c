"""What customers get to see of what we send."""

from typing import Any

import pytest

from connectors.telegram.simulator import TelegramSimulator, refused
from shared.commands import LEFT_OUT, DeleteMessage, EditMessage, MarkRead, SetTyping
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
    Text,
)
from shared.errors import (
    Rejected,
    Throttled,
    Unavailable,
    Uncertain,
    Unreachable,
    Unsupported,
    WindowClosed,
)
from shared.events import Address
from shared.simulator import Answer, Fault, FaultPlan
from tests.connectors.telegram.given import ANN, BOT, CONNECTION, TOKEN, connect, reply, telegram_simulator

BUSINESS = {"business": CONNECTION}
ADDRESS = Address(channel="telegram", account=BOT, peer=str(ANN))


@pytest.fixture
def server() -> TelegramSimulator:
    return telegram_simulator()


def image(attachment: str = "att_1", **more: Any) -> Media:
    return Media(media="image", attachment=attachment, mime="image/jpeg", **more)


async def carry(server: TelegramSimulator, content: Content, **more: Any) -> tuple[str, ...]:
    """What was lost on the way."""
    return (await connect(server).send(reply(content, **more))).degraded


# Texts


async def test_formatting_arrives_as_telegrams_own(server: TelegramSimulator) -> None:
    sent = await connect(server).send(reply(Text(text="It is.", html="👍 It <b>is</b> <script>x</script>&lt;3")))
    (seen,) = server.customer(ANN).sees
    assert seen.text == "👍 It is <3"
    assert [(one["type"], one["offset"], one["length"]) for one in seen.entities] == [("bold", 6, 2)]
    assert sent.external_ids == (str(seen.number),)


async def test_a_long_text_arrives_in_parts_of_which_each_has_an_id(server: TelegramSimulator) -> None:
    text = "\n\n".join(f"Paragraph {number}. " + "word " * 150 for number in range(12))
    sent = await connect(server).send(reply(Text(text=text)))
    seen = server.customer(ANN).sees
    assert len(seen) == len(sent.external_ids) == 3
    assert all(one.text.startswith("Paragraph") for one in seen)
    assert " ".join(one.text for one in seen).split() == text.split()


async def test_what_broke_off_goes_on_with_the_part_that_failed(server: TelegramSimulator) -> None:
    message = Text(text="a" * 4096 + "b" * 4096 + "c" * 10)
    server.script([Fault.OK, Fault.THROTTLED])
    with pytest.raises(Throttled) as caught:
        await connect(server).send(reply(message))
    assert len(caught.value.sent) == 1
    sent = await connect(server).send(reply(message, from_part=1))
    assert len(sent.external_ids) == 2
    assert [one.text[0] for one in server.customer(ANN).sees] == ["a", "b", "c"]
    server.assert_nothing_taken_twice()


async def test_formatting_that_telegram_cannot_read_is_left_out_rather_than_the_words() -> None:
    class Strict(TelegramSimulator):
        async def answer(self, request: Any) -> Answer:
            if b"entities" in await request.body():
                return refused(400, "Bad Request: can't parse entities: unsupported")
            return await super().answer(request)

    server = Strict(token=TOKEN)
    ann = server.customer(ANN)
    (loss,) = await carry(server, Text(text="bold", html="<b>bold</b>"))
    assert "formatting" in loss
    assert [one.text for one in ann.sees] == ["bold"]


async def test_a_text_of_nothing_but_space_is_refused(server: TelegramSimulator) -> None:
    with pytest.raises(Rejected, match="empty"):
        await carry(server, Text(text=" \n"))
    assert not server.ledger


async def test_a_topic_gets_its_answer(server: TelegramSimulator) -> None:
    await carry(server, Text(text="Hi"), thread="7")
    assert (await server.ledger[-1].request.form())["message_thread_id"] == "7"


# Quotes


async def test_a_quote_is_of_the_message_in_the_same_chat(server: TelegramSimulator) -> None:
    await carry(server, Text(text="Yes"), reply_to="1")
    await carry(server, Text(text="Yes?"), reply_to=f"{CONNECTION}:1", context=BUSINESS)
    assert [one.reply_to for one in server.customer(ANN).sees] == [1]
    assert [one.reply_to for one in server.customer(ANN, connection=CONNECTION).sees] == [1]


@pytest.mark.parametrize("target", ["cb:5566", f"{CONNECTION}:1", "reaction:1:u5"])
async def test_a_quote_of_what_is_no_message_here_is_left_out_and_that_is_said(
    server: TelegramSimulator, target: str
) -> None:
    (loss,) = await carry(server, Text(text="Yes"), reply_to=target)
    assert "quote" in loss
    assert server.customer(ANN).sees[0].reply_to is None


async def test_a_quoted_message_that_was_deleted_stops_nothing(server: TelegramSimulator) -> None:
    await carry(server, Text(text="Yes"), reply_to="999")
    assert len(server.customer(ANN).sees) == 1


# Buttons


async def test_a_pressed_button_comes_back_with_its_id_and_label(server: TelegramSimulator) -> None:
    options = (Option(id="r", label="Red", description="warm"), Option(id="b" * 64, label="Blue"))
    assert not await carry(server, Buttons(text="Which?", options=options))
    (seen,) = server.customer(ANN).sees
    assert (seen.text, seen.buttons) == ("Which?\n\nRed: warm", [("Red", "r"), ("Blue", "b" * 64)])


async def test_buttons_stand_under_the_last_part_of_a_long_text(server: TelegramSimulator) -> None:
    await carry(server, Buttons(text="word " * 1200, options=(Option(id="r", label="Red"),)))
    assert [bool(one.buttons) for one in server.customer(ANN).sees] == [False, True]


# Files


@pytest.mark.parametrize(
    ("kind", "mime", "seen_as", "lossy"),
    [
        ("image", "image/png", "photo", False),
        ("image", None, "photo", False),
        ("image", "image/gif", "animation", False),
        ("image", "image/svg+xml", "document", True),
        ("audio", "audio/mpeg", "audio", False),
        ("voice", "audio/ogg; codecs=opus", "voice", False),
        ("voice", "audio/webm", "document", True),
        ("video", "video/mp4", "video", False),
        ("sticker", "image/webp", "sticker", False),
        ("sticker", "image/png", "photo", True),
        ("file", "application/pdf", "document", False),
    ],
)
async def test_each_kind_of_file_arrives_in_a_form_that_telegram_shows(
    server: TelegramSimulator, kind: MediaKind, mime: str | None, seen_as: str, lossy: bool
) -> None:
    lost = await carry(server, Media(media=kind, attachment="att_2", mime=mime))
    (seen,) = server.customer(ANN).sees
    assert (seen.kind, seen.file, bool(lost)) == (seen_as, b"two", lossy)


async def test_a_picture_over_10_mb_goes_as_a_file(server: TelegramSimulator) -> None:
    (loss,) = await carry(server, image(size=10_000_001))
    assert "10 MB" in loss
    assert server.customer(ANN).sees[0].kind == "document"


@pytest.mark.parametrize(
    ("kind", "words", "loss"),
    [("image", "PHOTO_INVALID_DIMENSIONS", "picture"), ("voice", "VOICE_MESSAGES_FORBIDDEN", "recording")],
)
async def test_a_file_that_telegram_does_not_take_in_its_form_goes_as_a_file(
    kind: MediaKind, words: str, loss: str
) -> None:
    class Picky(TelegramSimulator):
        async def answer(self, request: Any) -> Answer:
            if request.url.path.endswith(("/sendPhoto", "/sendVoice")):
                return refused(400, f"Bad Request: {words}")
            return await super().answer(request)

    server = Picky(token=TOKEN)
    ann = server.customer(ANN)
    lost = (await connect(server).send(reply(Media(media=kind, attachment="att_1", caption="See")))).degraded
    assert loss in lost[0]
    assert [(one.kind, one.text, one.file) for one in ann.sees] == [("document", "See", b"one")]


async def test_a_file_has_the_name_it_was_given_or_one_of_its_kind(server: TelegramSimulator) -> None:
    await carry(server, Media(media="file", attachment="att_1", name='bill "é".pdf', mime="application/pdf"))
    await carry(server, image())
    names = [one.name for one in server.customer(ANN).sees]
    assert names[1] == "image.jpg"
    assert names[0].startswith("bill ")


async def test_a_file_with_an_address_is_fetched_by_telegram(server: TelegramSimulator) -> None:
    await carry(server, Media(media="image", url="https://s.example/red.jpg"))
    assert server.customer(ANN).sees[0].file == b"https://s.example/red.jpg"


async def test_a_file_that_is_not_there_is_said_before_anything_is_sent(server: TelegramSimulator) -> None:
    for media in (Media(media="file", attachment="att_9"), Media(media="file")):
        with pytest.raises(Rejected):
            await carry(server, media)
    assert not server.ledger


async def test_a_caption_has_its_formatting(server: TelegramSimulator) -> None:
    await carry(server, image(caption="a b", caption_html="a <i>b</i>"))
    (seen,) = server.customer(ANN).sees
    assert (seen.text, [one["type"] for one in seen.entities]) == ("a b", ["italic"])


async def test_a_caption_that_is_too_long_follows_the_picture(server: TelegramSimulator) -> None:
    sent = await connect(server).send(reply(image(caption="word " * 300)))
    seen = server.customer(ANN).sees
    assert [(one.kind, bool(one.text)) for one in seen] == [("photo", False), ("message", True)]
    assert sent.external_ids == tuple(str(one.number) for one in seen)
    assert "1024" in sent.degraded[0]


async def test_a_stickers_caption_follows_it(server: TelegramSimulator) -> None:
    (loss,) = await carry(server, Media(media="sticker", attachment="att_1", mime="image/webp", caption="Hi"))
    assert "sticker" in loss
    assert [one.kind for one in server.customer(ANN).sees] == ["sticker", "message"]


# Albums


async def test_an_album_arrives_as_one(server: TelegramSimulator) -> None:
    video = Media(media="video", attachment="att_2")
    sent = await connect(server).send(reply(Album(items=(image(caption="Both"), video)), reply_to="1"))
    seen = server.customer(ANN).sees
    assert [(one.kind, one.text, one.file) for one in seen] == [("photo", "Both", b"one"), ("video", "", b"two")]
    assert len({one.album for one in seen}) == 1
    assert sent.external_ids == tuple(str(one.number) for one in seen)
    assert not sent.degraded
    assert [one.reply_to for one in seen] == [1, 1]


async def test_an_album_of_kinds_that_do_not_mix_arrives_in_pieces(server: TelegramSimulator) -> None:
    bill = Media(media="file", attachment="att_3")
    voice = Media(media="voice", attachment="att_3")
    (loss,) = await carry(server, Album(items=(image(), bill, image("att_2"), voice, bill)))
    seen = server.customer(ANN).sees
    assert [one.kind for one in seen] == ["photo", "photo", "document", "document", "voice"]
    assert [len({one.album for one in seen[start:end]}) for start, end in ((0, 2), (2, 4))] == [1, 1]
    assert "pieces" in loss


async def test_a_long_caption_in_an_album_follows_it(server: TelegramSimulator) -> None:
    sent = await connect(server).send(reply(Album(items=(image(), image("att_2", caption="word " * 300)))))
    assert [one.kind for one in server.customer(ANN).sees] == ["photo", "photo", "message"]
    assert len(sent.external_ids) == 3


async def test_an_album_that_broke_off_goes_on_behind_what_arrived(server: TelegramSimulator) -> None:
    album = Album(items=(image(), image("att_2"), Media(media="file", attachment="att_3")))
    server.script([Fault.OK, Fault.REFUSED])
    with pytest.raises(Unavailable) as caught:
        await connect(server).send(reply(album))
    assert len(caught.value.sent) == 2
    await connect(server).send(reply(album, from_part=2))
    assert [one.kind for one in server.customer(ANN).sees] == ["photo", "photo", "document"]
    server.assert_nothing_taken_twice()


async def test_parts_that_went_out_are_left_out(server: TelegramSimulator) -> None:
    message = Text(text="a" * 4096 + "b" * 4096 + "c" * 10)
    sent = await connect(server).send(reply(message, skip=(1,)))
    first, third = server.customer(ANN).sees
    assert (first.text[0], third.text[0]) == ("a", "c")
    assert sent.external_ids == (str(first.number), LEFT_OUT, str(third.number))


async def test_what_broke_off_behind_a_part_that_was_left_out_counts_it(server: TelegramSimulator) -> None:
    server.script([Fault.OK, Fault.THROTTLED])
    with pytest.raises(Throttled) as caught:
        await connect(server).send(reply(Text(text="a" * 4096 + "b" * 4096 + "c" * 10), skip=(1,)))
    assert caught.value.sent == (str(server.customer(ANN).sees[0].number), LEFT_OUT)


PIECES = Album(items=(image(), image("att_2"), Media(media="file", attachment="att_3")))


async def test_an_album_is_left_out_if_all_of_it_went_out(server: TelegramSimulator) -> None:
    album = PIECES.model_copy(update={"items": (*PIECES.items[2:], *PIECES.items[:2])})
    sent = await connect(server).send(reply(album, skip=(1, 2)))
    (seen,) = server.customer(ANN).sees
    assert (seen.kind, sent.external_ids) == ("document", (str(seen.number), LEFT_OUT, LEFT_OUT))


@pytest.mark.parametrize(("from_part", "skip"), [(0, (1, 2)), (1, (2,))])
async def test_an_album_of_which_a_part_is_missing_goes_whole(
    server: TelegramSimulator, from_part: int, skip: tuple[int, ...]
) -> None:
    sent = await connect(server).send(reply(PIECES, from_part=from_part, skip=skip))
    seen = server.customer(ANN).sees
    assert [one.kind for one in seen] == ["photo", "photo"]
    assert sent.external_ids == (*(str(one.number) for one in seen[from_part:]), LEFT_OUT)


# Other kinds


async def test_a_place_with_a_name_is_a_venue(server: TelegramSimulator) -> None:
    await carry(server, Location(latitude=0, longitude=13.4))
    await carry(server, Location(latitude=52.5, longitude=13.4, label="Shop, Main Street 1"))
    await carry(server, Location(latitude=52.5, longitude=13.4, label="Shop"))
    assert [(one.kind, one.text) for one in server.customer(ANN).sees] == [
        ("location", "0.0|13.4"),
        ("venue", "52.5|13.4|Shop|Main Street 1"),
        ("venue", "52.5|13.4|Shop|52.50000, 13.40000"),
    ]


async def test_a_card_carries_all_it_has(server: TelegramSimulator) -> None:
    await carry(server, ContactCard(name="Olga; Shop", phones=("+1555", "+1556"), emails=("o@s.example",)))
    vcard = str((await server.ledger[-1].request.form())["vcard"])
    assert "FN:Olga\\; Shop\r\n" in vcard
    assert vcard.count("TEL:") == 2
    assert "EMAIL:o@s.example" in vcard


async def test_a_card_without_a_phone_goes_as_text(server: TelegramSimulator) -> None:
    (loss,) = await carry(server, ContactCard(name="Olga", emails=("o@s.example",)))
    assert "phone" in loss
    assert server.customer(ANN).sees[0].text == "Olga\no@s.example"


async def test_a_reaction_is_set_and_taken_back(server: TelegramSimulator) -> None:
    sent = await connect(server).send(reply(Reaction(emoji="👍", target="1")))
    room = server.customer(ANN).room
    assert room.seen[1].reaction == "👍"
    await connect(server).delete(DeleteMessage(address=ADDRESS, message_id="msg_1", external_ids=sent.external_ids))
    assert room.seen[1].reaction == ""
    await connect(server).send(reply(Reaction(emoji="🔥", target="1")))
    await connect(server).send(reply(Reaction(emoji="", target="1")))
    assert room.seen[1].reaction == ""


async def test_what_telegram_has_no_form_for_is_refused_before_anything_is_sent(server: TelegramSimulator) -> None:
    refused: tuple[Content, ...] = (
        Template(name="welcome", language="en"),
        Reaction(emoji="👍", target="cb:5566"),
        Reaction(emoji="👍", target=f"{CONNECTION}:1"),
    )
    for content in refused:
        with pytest.raises(Unsupported):
            await carry(server, content)
    assert not server.ledger


# Business chats


async def test_an_answer_in_a_business_chat_goes_through_the_connection(server: TelegramSimulator) -> None:
    sent = await connect(server).send(reply(Text(text="Olga here"), context=BUSINESS))
    (seen,) = server.customer(ANN, connection=CONNECTION).sees
    assert sent.external_ids == (f"{CONNECTION}:{seen.number}",)
    assert not server.customer(ANN).sees


async def test_only_a_business_account_can_tell_that_we_read(server: TelegramSimulator) -> None:
    when = connect().port.clock()
    room = server.customer(ANN, connection=CONNECTION).room
    await connect(server).mark_read(MarkRead(address=ADDRESS, external_id=f"{CONNECTION}:1", read_at=when))
    assert room.seen[1].read
    for external_id in ("1", "cb:5566"):
        with pytest.raises(Unsupported, match="business"):
            await connect(server).mark_read(MarkRead(address=ADDRESS, external_id=external_id, read_at=when))


async def test_to_tell_that_we_read_is_worth_another_try(server: TelegramSimulator) -> None:
    server.script([Fault.TAKEN_THEN_RESET])
    command = MarkRead(address=ADDRESS, external_id=f"{CONNECTION}:1", read_at=connect().port.clock())
    with pytest.raises(Unavailable):
        await connect(server).mark_read(command)


async def test_a_business_message_is_changed_and_deleted_by_the_connection_it_was_sent_with(
    server: TelegramSimulator,
) -> None:
    connector = connect(server)
    sent = await connector.send(reply(Text(text="Olga here"), context=BUSINESS))
    ids = sent.external_ids
    content = Text(text="Olga is here")
    await connector.edit(EditMessage(address=ADDRESS, message_id="msg_1", external_ids=ids, content=content))
    (seen,) = server.customer(ANN, connection=CONNECTION).sees
    assert seen.text == "Olga is here"
    await connector.delete(DeleteMessage(address=ADDRESS, message_id="msg_1", external_ids=ids))
    assert seen.deleted


async def test_a_channels_direct_messages_are_answered_in_the_customers_topic(server: TelegramSimulator) -> None:
    server.room(None, -1005, {"id": -1005, "type": "supergroup"})
    notes = {"chat": "-1005", "topic": 77}
    sent = await connect(server).send(reply(Text(text="Hi"), context=notes))
    assert sent.external_ids[0].startswith("-1005:")
    form = await server.ledger[-1].request.form()
    assert (form["chat_id"], form["direct_messages_topic_id"]) == ("-1005", "77")
    await connect(server).delete(
        DeleteMessage(address=ADDRESS, message_id="msg_1", external_ids=sent.external_ids, context={})
    )
    assert (await server.ledger[-1].request.form())["chat_id"] == "-1005"


# Changes


async def changed(server: TelegramSimulator, before: Content, after: Content) -> None:
    connector = connect(server)
    sent = await connector.send(reply(before))
    await connector.edit(
        EditMessage(address=ADDRESS, message_id="msg_1", external_ids=sent.external_ids, content=after)
    )


async def test_a_text_is_changed_in_its_place(server: TelegramSimulator) -> None:
    await changed(server, Text(text="old"), Text(text="new", html="<b>new</b>"))
    (seen,) = server.customer(ANN).sees
    assert (seen.text, seen.history) == ("new", ["old"])


async def test_a_change_that_changes_nothing_is_done(server: TelegramSimulator) -> None:
    await changed(server, Text(text="same"), Text(text="same"))


async def test_a_shorter_text_leaves_no_old_parts_behind(server: TelegramSimulator) -> None:
    await changed(server, Text(text="word " * 2000), Text(text="short"))
    assert [one.text for one in server.customer(ANN).sees] == ["short"]


async def test_a_longer_text_that_needs_more_messages_is_refused(server: TelegramSimulator) -> None:
    with pytest.raises(Unsupported, match="3 messages"):
        await changed(server, Text(text="short"), Text(text="word " * 2000))


async def test_buttons_come_and_go_with_the_text(server: TelegramSimulator) -> None:
    buttons = Buttons(text="Which?", options=(Option(id="r", label="Red"),))
    await changed(server, Text(text="Wait"), buttons)
    assert server.customer(ANN).sees[-1].buttons == [("Red", "r")]
    await changed(server, buttons, Text(text="Thanks"))
    assert server.customer(ANN).sees[-1].buttons == []


async def test_a_picture_is_changed_with_its_caption(server: TelegramSimulator) -> None:
    await changed(server, image(caption="old"), image("att_2", caption="new"))
    (seen,) = server.customer(ANN).sees
    assert (seen.text, seen.file) == ("new", b"two")


async def test_a_voice_message_can_change_its_caption_only(server: TelegramSimulator) -> None:
    voice = Media(media="voice", attachment="att_1", caption="old")
    await changed(server, voice, voice.model_copy(update={"caption": "new"}))
    assert [(one.text, one.file) for one in server.customer(ANN).sees] == [("new", b"one")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (image(), Location(latitude=1, longitude=1)),
        (image(), image(caption="word " * 300)),
        (image(), Media(media="sticker", attachment="att_1")),
        (Album(items=(image(), image("att_2"))), image()),
    ],
)
async def test_what_cannot_be_changed_is_said(server: TelegramSimulator, before: Content, after: Content) -> None:
    with pytest.raises(Unsupported):
        await changed(server, before, after)


async def test_a_message_of_several_parts_is_deleted_whole_and_twice_does_no_harm(server: TelegramSimulator) -> None:
    connector = connect(server)
    sent = await connector.send(reply(Text(text="word " * 2000)))
    command = DeleteMessage(address=ADDRESS, message_id="msg_1", external_ids=sent.external_ids)
    for _ in range(2):
        await connector.delete(command)
    assert not server.customer(ANN).sees


async def test_nothing_can_be_done_to_what_is_no_message(server: TelegramSimulator) -> None:
    for ids in (("cb:5566",), ("x1",), ()):
        with pytest.raises(Rejected):
            await connect(server).delete(DeleteMessage(address=ADDRESS, message_id="msg_1", external_ids=ids))
    assert not server.ledger


async def test_typing_is_shown_and_ends_by_itself(server: TelegramSimulator) -> None:
    for on in (True, False):
        await connect(server).set_typing(SetTyping(address=ADDRESS, on=on))
    assert server.customer(ANN).room.actions == ["typing"]


# Refusals


async def test_who_has_blocked_us_cannot_be_reached_and_who_came_back_can(server: TelegramSimulator) -> None:
    ann = server.customer(ANN)
    ann.blocks()
    with pytest.raises(Unreachable, match="blocked"):
        await carry(server, Text(text="Hi"))
    ann.unblocks()
    await carry(server, Text(text="Hi"))


async def test_who_never_wrote_cannot_be_written_to(server: TelegramSimulator) -> None:
    with pytest.raises(Unreachable, match="written to it"):
        await carry(server, Text(text="Hi"), peer=999)


def says(status: int, answer: Any) -> type[TelegramSimulator]:
    class Says(TelegramSimulator):
        async def answer(self, request: Any) -> Answer:
            return Answer.json(answer, status=status)

    return Says


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Bad Request: BUSINESS_PEER_USAGE_MISSING", WindowClosed),
        ("Bad Request: business connection not found", Unreachable),
        ("Bad Request: REACTION_INVALID", Rejected),
        ('Bad Request: unsupported start tag "secret-words" at byte offset 0', Rejected),
    ],
)
async def test_a_refusal_is_told_apart_by_its_words(words: str, kind: type[Exception]) -> None:
    server = says(400, {"ok": False, "error_code": 400, "description": words})(token=TOKEN)
    with pytest.raises(kind) as caught:
        await carry(server, Text(text="Hi"))
    assert "secret-words" not in str(caught.value)


async def test_a_group_that_moved_gets_the_message_at_its_new_number(server: TelegramSimulator) -> None:
    class Moving(TelegramSimulator):
        async def answer(self, request: Any) -> Answer:
            if (await request.form()).get("chat_id") == "-5":
                return refused(400, "Bad Request: group chat was upgraded", {"migrate_to_chat_id": -1005})
            return await super().answer(request)

    moving = Moving(token=TOKEN)
    room = moving.room(None, -1005, {"id": -1005, "type": "supergroup"})
    await carry(moving, Text(text="Hi"), peer=-5)
    assert [one.text for one in room.seen.values()] == ["Hi"]


async def test_a_yes_that_aiogram_cannot_read_is_still_a_yes() -> None:
    strange = {"message_id": 7, "chat": {"id": ANN}, "date": "soon"}
    server = says(200, {"ok": True, "result": strange})(token=TOKEN)
    assert (await connect(server).send(reply(Text(text="Hi")))).external_ids == ("7",)


@pytest.mark.parametrize("result", [{"chat": 5}, [], "yes", None, 3])
async def test_a_yes_without_a_number_is_uncertain(result: Any) -> None:
    server = says(200, {"ok": True, "result": result})(token=TOKEN)
    with pytest.raises(Uncertain):
        await connect(server).send(reply(Text(text="Hi")))


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_goes_wrong_nothing_is_said_twice_and_every_end_is_known(seed: int) -> None:
    rates: dict[Fault, float] = dict.fromkeys(Fault, 0.02)
    del rates[Fault.UNAUTHORIZED], rates[Fault.NOT_FOUND]  # these stop the channel
    server = telegram_simulator(plan=FaultPlan(seed=seed, rates=rates))
    connector = connect(server)
    ends: dict[str, str] = {}
    for number in range(150):
        text = f"answer {number}"
        for _ in range(8):
            try:
                await connector.send(reply(Text(text=text)))
            except (Throttled, Unavailable):
                continue
            except (Uncertain, Rejected, Unreachable) as error:
                ends[text] = error.code
            else:
                ends[text] = "sent"
            break
    server.assert_nothing_taken_twice()
    assert len(ends) == 150
    seen = [one.text for one in server.customer(ANN).sees]
    assert seen == sorted(seen, key=lambda text: int(text.split()[1]))
    assert {text for text, end in ends.items() if end == "sent"} <= set(seen)
    assert {ends[text] for text in seen} <= {"sent", "uncertain"}
