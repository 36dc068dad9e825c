"""The main job in WhatsApp: a customer writes on their phone, an agent answers, over real HTTP and a real database."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import httpx
import pytest
import sqlalchemy as sa
from shopbell_client import Conversation, Message, ValidationFailed

from connectors.whatsapp.simulated_customer import Phone, Seen, texts
from connectors.whatsapp.simulator import WhatsAppSimulator
from shared.ids import CONVERSATION, read_id
from shared.simulator import Fact, Fault, HookPlan, post_hook, serve
from tests.support.eventually import eventually
from tests.support.line import Line, text_of
from tests.support.product import Running, Shop

TOKEN: Final = "canary-access-e2e"
APP_SECRET: Final = "canary-app-secret-e2e"
VERIFY: Final = "canary-verify-e2e"
Number = Line[WhatsAppSimulator]
BADLY: Final = HookPlan(seed=5, duplicate=0.4, reorder=0.4, batch=7)


async def connected(shop: Shop, url: str, server: WhatsAppSimulator, **settings: str) -> Number:
    known = {
        "phone_number_id": server.phone_number_id,
        "waba_id": server.waba_id,
        "access_token": TOKEN,
        "app_secret": APP_SECRET,
        "verify_token": VERIFY,
        "graph_url": url,
    }
    channel = await shop.client.channels.create(type="whatsapp", name="Our number", settings=known | settings)
    return Number(shop, channel.id, server, f"{shop.url}/hooks/whatsapp/{channel.id}")


def new_server(number_id: str = "10600001") -> WhatsAppSimulator:
    server = WhatsAppSimulator(phone_number_id=number_id, waba_id="20700002", access_token=TOKEN, app_secret=APP_SECRET)
    server.templates.append(
        {
            "name": "order_ready",
            "language": "en",
            "status": "APPROVED",
            "category": "UTILITY",
            "components": [{"type": "BODY", "text": "{{1}}, your order {{2}} is ready."}],
        }
    )
    return server


@pytest.fixture
async def number(shop: Shop) -> AsyncIterator[Number]:
    server = new_server()
    async with serve(server) as url:
        number = await connected(shop, url, server)
        yield number
        await shop.client.channels.delete(number.channel)


async def tell(number: Number, http: httpx.AsyncClient, plan: HookPlan = BADLY) -> None:
    """Let our side hear of all that has happened, as badly as Meta tells it."""
    for delivery in await number.server.tell(http, number.url, plan):
        assert delivery.statuses[-1] == 200, delivery.statuses


async def sees(phone: Phone, count: int) -> list[Seen]:
    async def look() -> list[Seen]:
        return phone.sees

    return await eventually(look, lambda seen: len(seen) >= count)


async def test_a_customer_writes_an_agent_answers_and_ticks_follow(number: Number, http: httpx.AsyncClient) -> None:
    ana = number.server.customer()
    ana.writes("Is the red one in stock?")
    await tell(number, http)
    (question,) = await number.until_said(1)
    assert (question.author.name, text_of(question)) == ("Ana", "Is the red one in stock?")
    ana.online = False
    answer = await number.answer("It is.")
    await sees(ana, 1)
    await number.until(answer, "accepted")
    await tell(number, http)
    await number.until(answer, "sent")
    ana.server.report(ana, ana.sees[0], "delivered")
    await tell(number, http)
    await number.until(answer, "delivered")
    ana.looks()
    await tell(number, http)
    assert (await number.until(answer, "read")).status_evidence == "provider_receipt"
    conversation = await number.conversation()
    told = await number.shop.client.conversations.read(conversation.id, up_to=question.id)
    assert told.told_customer
    await number.shop.client.conversations.typing(conversation.id)

    async def shown() -> list[str]:
        return ana.signals

    assert await eventually(shown, lambda signals: len(signals) == 2) == ["read", "typing"]
    assert conversation.reply_window is not None
    assert conversation.reply_window.state == "free"


async def test_what_people_do_in_whatsapp_arrives(number: Number, http: httpx.AsyncClient) -> None:
    ana = number.server.customer()
    first = ana.writes("Is the red one in stock?")
    await tell(number, http)
    ana.edits(first, "Is the blue one in stock?")
    ana.sends_file("audio", b"OggS" * 100, mime="audio/ogg; codecs=opus", voice=True)
    ana.sends_file("image", b"\xff\xd8picture", caption="This one")
    ana.orders(("shoe-42", 2, 49.9), text="by Friday?")
    ana.fills_form(size="42")
    gone = ana.writes("oh, and")
    await tell(number, http, HookPlan(seed=1, batch=5))
    ana.revokes(gone)
    ana.sends("hologram", {"hologram": {"light": "blue"}})
    await tell(number, http)

    def done(said: Sequence[Message]) -> bool:
        return (
            len(said) == 7 and all(getattr(said[n].content, "url", None) for n in (1, 2)) and bool(said[5].deleted_at)
        )

    said = await eventually(number.messages, done)
    contents: list[Any] = [message.content for message in said]
    assert contents[0].text == "Is the blue one in stock?"
    assert (contents[1].media, contents[2].caption) == ("voice", "This one")
    assert (await http.get(number.shop.url + httpx.URL(contents[1].url).path)).content == b"OggS" * 100
    assert contents[3].kind == "order"
    assert contents[4].text == "Sent\nsize: 42"
    assert (contents[6].kind, contents[6].what) == ("opaque", "hologram")


async def test_what_agents_do_is_seen_in_whatsapp(number: Number, http: httpx.AsyncClient) -> None:
    ana = number.server.customer()
    ana.writes("Which are there?")
    await tell(number, http)
    (question,) = await number.until_said(1)
    await number.answer(
        content={"kind": "text", "text": "Red & blue", "html": "<b>Red</b> &amp; <i>blue</i>"}, reply_to=question.id
    )
    await number.answer(content={"kind": "buttons", "text": "Which?", "options": [{"id": "r", "label": "Red"}]})
    file = await number.shop.client.attachments.create(b"PDF", name="prices.pdf", mime="application/pdf")
    picture = await number.shop.client.attachments.create(b"\x89PNG", name="a.png", mime="image/png")
    await number.answer(content={"kind": "media", "media": "file", "attachment": file.id, "caption": "Prices"})
    item = {"kind": "media", "media": "image", "attachment": picture.id}
    album = await number.answer(content={"kind": "album", "items": [item | {"caption": "Front"}, item]})
    text, buttons, sent, front, _ = await sees(ana, 5)
    assert (text.text, text.reply_to) == ("*Red* & _blue_", next(iter(ana.seen)))
    assert (sent.file, sent.name, sent.text) == (b"PDF", "prices.pdf", "Prices")
    assert (front.file, front.text) == (b"\x89PNG", "Front")
    assert buttons.buttons == [("Red", "r")]
    ana.presses("Red")
    ana.looks()
    await tell(number, http)
    choice = (await number.until_said(6))[-1]
    assert (choice.content.kind, choice.content.id) == ("choice", "r")  # type: ignore[union-attr]
    album = await number.until(album, "read")
    assert len(album.parts) == 2
    assert album.degraded


async def test_everything_of_a_batch_counts_once_however_it_is_cut(number: Number, http: httpx.AsyncClient) -> None:
    """40 messages and 60 statuses in 3 entries, delivered twice and once more cut differently."""
    ana = number.server.customer()
    ana.writes("Hello")
    await tell(number, http)
    await number.until_said(1)
    answers = [await number.answer(f"answer {n}") for n in range(20)]
    await sees(ana, 20)
    for answer in answers:
        await number.until(answer, "accepted")
    number.server.waiting.clear()
    for n in range(40):
        ana.writes(f"line {n}")
    for seen in ana.sees:
        for status in ("sent", "delivered", "read"):
            number.server.report(ana, seen, status)
    facts: list[Fact] = number.server.waiting
    number.server.waiting = []
    whole = number.server.hook(mixed(facts))
    assert len(json.loads(whole.body)["entry"]) >= 3
    assert [await post_hook(http, number.url, whole) for _ in range(2)] == [200, 200]
    for start in range(0, len(facts), 17):
        assert await post_hook(http, number.url, number.server.hook(facts[start : start + 17])) == 200

    def landed(said: Sequence[Message]) -> bool:
        return len(said) >= 61 and all(m.status == "read" for m in said if m.direction == "out")

    said = await eventually(number.messages, landed)
    lines = [text_of(message) for message in said if message.direction == "in"]
    assert sorted(filter(None, lines)) == sorted(["Hello", *(f"line {n}" for n in range(40))])
    reports = [await number.shop.client.messages.receipts(answer.id) for answer in answers]
    told = [receipt for all in reports for receipt in all if receipt.evidence == "provider_receipt"]
    assert len(told) == 60
    conversation = await number.conversation()
    assert len((await number.shop.client.messages.list(conversation.id, limit=200)).items) == 61


def mixed(facts: Sequence[Fact]) -> list[Fact]:
    """Messages and statuses in turn, each kind in its order."""
    messages = [fact for fact in facts if fact["kind"] == "messages"]
    others = [fact for fact in facts if fact["kind"] != "messages"]
    return [fact for n in range(60) for fact in (*messages[n : n + 1], *others[n : n + 1])]


async def test_sixteen_first_webhooks_at_once_are_one_person(number: Number, http: httpx.AsyncClient) -> None:
    ana = number.server.customer()
    for n in range(16):
        ana.writes(f"line {n}")
    hooks = [number.server.hook([fact]) for fact in number.server.waiting]
    for _ in range(2):
        answers = await asyncio.gather(*(post_hook(http, number.url, hook) for hook in hooks))
        assert answers == [200] * 16
    said = await number.until_said(16)
    assert {text_of(message) for message in said} == {f"line {n}" for n in range(16)}
    assert len((await number.shop.client.conversations.list()).items) == 1
    contacts = await http.get(f"{number.shop.url}/v1/contacts", headers={"authorization": f"Bearer {number.shop.key}"})
    assert len(contacts.json()["items"]) == 1


@pytest.mark.parametrize("shows", ["left out", "empty", "in its place"])
async def test_who_hides_their_number_is_answered_all_the_same(
    number: Number, http: httpx.AsyncClient, shows: Any
) -> None:
    ana = number.server.customer(shows=shows)
    ana.writes("Hello?")
    await tell(number, http)
    await number.until_said(1)
    answer = await number.answer("Hello!")
    await sees(ana, 1)
    await tell(number, http)
    await number.until(answer, "delivered")
    assert len((await number.shop.client.conversations.list()).items) == 1


async def test_numbers_and_ids_that_change_stay_one_contact(number: Number, http: httpx.AsyncClient) -> None:
    """First by phone alone, then with a user id, then without the phone, then with another number and id."""
    ana = number.server.customer(shows="phone")
    first_number, first_id = ana.number, ana.user_id
    for shows in ("phone", "both", "left out"):
        ana.shows = shows
        ana.writes(f"now {shows}")
        await tell(number, http, HookPlan())
    ana.changes_number("385987654321", "HR.999")
    await tell(number, http, HookPlan())
    ana.writes("now with a new number")
    await tell(number, http, HookPlan())
    await number.until_said(4)
    (conversation,) = (await number.shop.client.conversations.list()).items
    answer = await number.answer("Still here")
    assert texts(await sees(ana, 1)) == ["Still here"]
    await tell(number, http)
    await number.until(answer, "delivered")
    contact = await number.shop.client.contacts.get(conversation.contact.id)
    assert {identity.peer for identity in contact.identities} == {first_id, "HR.999", ana.number}
    assert (contact.phone, first_number) == (f"+{ana.number}", "385911234567")


async def test_who_was_answered_by_phone_is_met_again_under_the_id_that_metas_answer_told(
    number: Number, http: httpx.AsyncClient
) -> None:
    ana = number.server.customer(shows="phone")
    ana.writes("Hello?")
    await tell(number, http)
    await number.until_said(1)
    ana.shows = "both"  # in the answer to what we send
    await number.answer("Hello!")
    await sees(ana, 1)
    ana.shows = "left out"
    ana.writes("And now without my number")
    await tell(number, http)
    await number.until_said(3)
    assert len((await number.shop.client.conversations.list()).items) == 1


async def test_statuses_may_come_before_our_own_answer(number: Number, http: httpx.AsyncClient) -> None:
    ana = number.server.customer()
    ana.writes("Hello?")
    await tell(number, http)
    await number.until_said(1)
    ana.open = True

    async def at_once(facts: Sequence[Fact]) -> None:
        for fact in reversed(facts):
            assert await post_hook(http, number.url, number.server.hook([fact])) == 200

    number.server.before_answer = at_once
    answer = await number.until(await number.answer("Hello!"), "read")
    statuses = [receipt.status for receipt in await number.shop.client.messages.receipts(answer.id)]
    assert "delivered" not in statuses


async def test_a_status_settles_a_send_that_was_in_doubt(number: Number, http: httpx.AsyncClient) -> None:
    ana = number.server.customer()
    ana.writes("Hello?")
    await tell(number, http)
    await number.until_said(1)
    number.server.script([Fault.TAKEN_THEN_ERROR])
    answer = await number.until(await number.answer("Hello!"), "uncertain")
    assert answer.failure is not None
    await tell(number, http)
    answer = await number.until(answer, "delivered")
    assert answer.failure is None
    assert [part.external_id for part in answer.parts] == [ana.sees[0].id]
    number.server.assert_nothing_taken_twice()


async def test_outside_the_window_templates_are_offered_and_arrive(
    number: Number, http: httpx.AsyncClient, running: Running
) -> None:
    ana = number.server.customer()
    ana.writes("Hello?")
    await tell(number, http)
    await number.until_said(1)
    ana.goes_away_for(25)
    conversation = await a_day_later(number, running)
    assert conversation.reply_window is not None
    assert conversation.reply_window.state == "template"
    offered = await number.shop.client.channels.templates(number.channel, renew=True)
    assert [template.name for template in offered.items] == ["order_ready"]
    with pytest.raises(ValidationFailed) as refused:
        await number.answer("Are you still there?")
    assert refused.value.code == "reply_window_closed"
    assert [template.name for template in refused.value.templates] == ["order_ready"]
    answer = await number.answer(
        content={"kind": "template", "name": "order_ready", "language": "en", "values": ["Ana", "17"]}
    )
    assert texts(await sees(ana, 1)) == ["Ana, your order 17 is ready."]
    await tell(number, http)
    await number.until(answer, "delivered")


async def a_day_later(number: Number, running: Running) -> Conversation:
    conversation = await number.conversation()
    async with running.core.db.shop(number.shop.uuid) as connection:
        await connection.execute(
            sa.text("UPDATE conversations SET last_inbound_at = now() - interval '25 hours' WHERE id = :id"),
            {"id": read_id(CONVERSATION, conversation.id)},
        )
    return await number.conversation()


@pytest.mark.parametrize(
    ("happens", "code"), [("no whatsapp", "unreachable"), ("a day passed there", "reply_window_closed")]
)
async def test_a_failure_that_is_told_later_says_why(
    number: Number, http: httpx.AsyncClient, happens: str, code: str
) -> None:
    ana = number.server.customer()
    ana.writes("Hello?")
    await tell(number, http)
    await number.until_said(1)
    if happens == "no whatsapp":
        ana.has_whatsapp = False
    else:
        ana.goes_away_for(25)
    answer = await number.until(await number.answer("Hello!"), "accepted", "failed")
    await tell(number, http)
    answer = await number.until(answer, "failed")
    assert answer.failure is not None
    assert answer.failure.code == code
    assert answer.failure.detail


async def test_a_retry_of_an_album_sends_only_the_picture_that_failed(number: Number, http: httpx.AsyncClient) -> None:
    ana = number.server.customer()
    ana.writes("Pictures, please")
    await tell(number, http)
    await number.until_said(1)
    pictures = [
        await number.shop.client.attachments.create(f"picture {n}".encode(), name="a.png", mime="image/png")
        for n in range(4)
    ]
    ana.online = False
    items = [{"kind": "media", "media": "image", "attachment": picture.id} for picture in pictures]
    album = await number.answer(content={"kind": "album", "items": items})
    seen = await sees(ana, 4)
    del ana.seen[seen[0].id]  # it never came
    number.server.waiting.clear()
    number.server.report(ana, seen[0], "failed", (131053, "Media upload error"))
    for one in seen[1:]:
        number.server.report(ana, one, "delivered")
    await tell(number, http)
    album = await number.until(album, "failed")
    ana.online = True
    await number.shop.client.messages.retry(album.id)
    seen = await sees(ana, 4)
    await tell(number, http)
    await number.until(album, "delivered")
    assert sorted(one.file for one in ana.sees) == [f"picture {n}".encode() for n in range(4)]


async def test_what_is_said_in_the_phone_app_is_shown_and_counts_for_nobody(
    number: Number, http: httpx.AsyncClient
) -> None:
    ana = number.server.customer()
    ana.writes("Hello?")
    number.server.written_elsewhere(ana, "Hello from the counter")
    number.server.written_elsewhere(ana, "I am an assistant", by_assistant=True)
    await tell(number, http, HookPlan())
    said = await number.until_said(3)
    assert [(message.direction, text_of(message)) for message in said] == [
        ("in", "Hello?"),
        ("out", "Hello from the counter"),
        ("out", "I am an assistant"),
    ]


async def test_after_a_call_what_was_written_before_can_still_be_marked_as_read(
    number: Number, http: httpx.AsyncClient
) -> None:
    ana = number.server.customer()
    ana.writes("Can you call me?")
    ana.calls()
    await tell(number, http, HookPlan())
    _, call = await number.until_said(2)
    assert (call.content.kind, call.content.what) == ("opaque", "call: not answered")  # type: ignore[union-attr]
    conversation = await number.conversation()
    assert (await number.shop.client.conversations.read(conversation.id, up_to=call.id)).told_customer
    await number.shop.client.conversations.typing(conversation.id)

    async def shown() -> list[str]:
        return ana.signals

    assert await eventually(shown, lambda signals: len(signals) == 2) == ["read", "typing"]


async def test_the_check_says_in_words_what_is_wrong(number: Number, shop: Shop) -> None:
    async def problems() -> Sequence[str]:
        return (await shop.client.channels.check(number.channel)).problems

    await eventually(problems, lambda found: not any("subscribed" in one for one in found))
    number.server.number_facts = {"status": "PENDING", "platform_type": "NOT_APPLICABLE"}
    number.server.subscribed = False
    found = " ".join(await problems())
    assert "not registered" in found
    assert "not subscribed" in found
    await shop.client.channels.update(number.channel, settings={"access_token": "canary-expired"})
    found = " ".join(await problems())
    assert "access token" in found
    assert "canary" not in found


async def test_while_the_token_is_refused_customers_are_heard_and_answers_wait(
    number: Number, http: httpx.AsyncClient
) -> None:
    ana = number.server.customer()
    ana.writes("Hello?")
    await tell(number, http)
    await number.until_said(1)
    number.server.script([Fault.UNAUTHORIZED])
    answer = await number.answer("Hello!")

    async def state() -> str:
        return (await number.shop.client.channels.get(number.channel)).state

    await eventually(state, lambda now: now == "paused")
    ana.writes("Are you there?")
    await tell(number, http)
    await number.until_said(3)
    await number.shop.client.channels.update(number.channel, state="active")
    await sees(ana, 1)
    await tell(number, http)
    await number.until(answer, "delivered")
    await number.shop.client.channels.update(number.channel, state="paused")
    ana.writes("A person has paused it")
    assert (await number.server.tell(http, number.url, tries=1))[0].statuses == (401,)


async def test_only_meta_may_speak(number: Number, http: httpx.AsyncClient) -> None:
    asked = {"hub.mode": "subscribe", "hub.verify_token": VERIFY, "hub.challenge": "1158201444"}
    answer = await http.get(number.url, params=asked)
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (
        200, "1158201444", "text/plain",
    )  # fmt: skip
    assert (await http.get(number.url, params=asked | {"hub.verify_token": "guess"})).status_code == 401
    forged = await http.post(number.url, json={"entry": []}, headers={"x-hub-signature-256": "sha256=" + "0" * 64})
    assert forged.status_code == 401
