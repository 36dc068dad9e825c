"""The contact form: where it lands, what its sender is told, and what is refused."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import httpx
import pytest
from shopbell_client import Client, Conversation, Message, ValidationFailed
from shopbell_client.content import Text

from connectors.webchat.config import WebChatConfig
from shared.errors import BusUnavailable
from shared.ids import CHANNEL, new_id
from tests.support.chat import CHANNEL as CHAT
from tests.support.chat import open_chat
from tests.support.eventually import eventually
from tests.support.operations import flaws
from tests.support.product import Running, Shop, new_shop
from tests.support.scripted import script_of
from tests.support.tables import digest_of, query
from tests.support.visitor import new_visitor

SHOP_PAGE, STRANGER = "https://shop.example", "https://evil.example"
WORDS = "Is the red mug in stock?"
Body = dict[str, Any]


@pytest.fixture
def form(scripted_shop: Shop, http: httpx.AsyncClient) -> "Form":
    return Form(scripted_shop, http)


class Form:
    """The form of a shop, and what came of it."""

    def __init__(self, shop: Shop, http: httpx.AsyncClient) -> None:
        self.shop, self._http = shop, http
        self.url = f"{shop.url}/chat/forms/{shop.channel}"

    async def post(self, **request: Any) -> httpx.Response:
        return await self._http.post(self.url, **request)

    async def send(self, headers: dict[str, str] | None = None, **fields: Any) -> Body:
        answer = await self.post(json={"text": WORDS} | fields, headers=headers)
        assert answer.status_code == 201, answer.text
        told: Body = answer.json()
        return told

    async def landed(self) -> list[tuple[Conversation, tuple[Message, ...]]]:
        """Every conversation with its messages, oldest first."""
        found = [one async for one in self.shop.client.conversations.iterate()]
        messages = [(await self.shop.client.messages.list(one.id)).items for one in found]
        return sorted(zip(found, messages, strict=True), key=lambda one: one[0].id)

    async def text(self) -> str:
        """Of the one message that there is."""
        (_, (message,)), *others = await self.landed()
        assert not others
        return text_of(message)

    async def add_mailbox(self, address: str = "shop@shop.example") -> str:
        mailbox = await self.shop.client.channels.create(type="email", name="Post", settings={"address": address})
        await self.set(forms_to=mailbox.id)
        return mailbox.id

    async def set(self, **settings: Any) -> None:
        await self.shop.client.channels.update(self.shop.channel, settings=settings)


def text_of(message: Message) -> str:
    assert isinstance(message.content, Text)
    return message.content.text


# What the sender is told


async def test_the_sender_learns_how_and_when_we_answer_and_agents_where(form: Form) -> None:
    told = await form.send(name="Ana", phone="+385 91 234 567")
    assert told.keys() == {"reference", "answer_by", "within_s", "expected_by", "expect"}
    assert (told["answer_by"], told["within_s"]) == ("phone", 86_400)
    assert told["expect"] == "Thank you. We answer by phone, usually within 24 hours."
    in_s = (datetime.fromisoformat(told["expected_by"]) - datetime.now().astimezone()).total_seconds()
    assert 86_300 < in_s <= 86_400
    assert (await form.text()).splitlines() == [
        WORDS, "", "Please answer by phone: +38591234567", "Name: Ana", f"Reference: {told['reference']}",
    ]  # fmt: skip
    ((conversation, _),) = await form.landed()
    assert (conversation.channel.type, conversation.contact.name, conversation.unread) == ("webchat", "Ana", 1)
    contact = await form.shop.client.contacts.get(conversation.contact.id)
    assert (contact.email, contact.phone) == (None, None)
    assert [identity.channel_type for identity in contact.identities] == ["webchat"]


async def test_the_shop_says_how_soon_and_the_sender_in_which_language(form: Form) -> None:
    await form.set(form_answer_hours=2)
    by_field = await form.send(handle={"messenger": "telegram", "name": "@ana"}, language="hr-HR")
    by_header = await form.send({"Accept-Language": "xx, ru;q=0.9, de;q=0.5"}, email="ana@example.com")
    assert (by_field["answer_by"], by_field["within_s"]) == ("messenger", 7200)
    assert by_field["expect"] == "Hvala. Odgovaramo putem aplikacije Telegram, obično u roku od 2 sata."
    assert by_header["expect"] == "Спасибо. Мы ответим по электронной почте, обычно в течение 2 часов."
    texts = [text_of(message) for _, messages in await form.landed() for message in messages]
    assert "Molimo odgovorite putem aplikacije Telegram: @ana" in texts[0]
    assert "Пожалуйста, ответьте по электронной почте: ana@example.com" in texts[1]


async def test_nothing_that_was_typed_comes_back(form: Form) -> None:
    canary = "canary53c0de"
    typed = {"text": canary, "name": canary, "handle": {"messenger": canary, "name": canary}, "cmid": canary}
    for page in (False, True):
        accept = {"Accept": "text/html"} if page else {}
        for extra in ({}, {"website": canary}, {"language": canary + "!"}, {"email": canary}, {"phone": canary}):
            plain = typed | extra | {"messenger": canary, "handle": canary}
            request: Body = {"data": plain} if page else {"json": typed | extra}
            answer = await form.post(**request, headers=accept)
            assert answer.status_code in (201, 422)
            assert canary not in answer.text + str(answer.headers), extra


# Where it lands


async def test_a_form_with_an_address_is_answered_by_mail_as_a_matter_of_its_own(form: Form, scripted: Running) -> None:
    mailbox = await form.add_mailbox()
    told = await form.send(name="Ana", email="Ana@Example.com", phone="+385 91 234 567", language="de")
    assert (told["answer_by"], told["expect"]) == (
        "email", "Danke. Wir antworten per E-Mail, in der Regel innerhalb von 24 Stunden.",
    )  # fmt: skip
    ((conversation, (message,)),) = await form.landed()
    assert (conversation.channel.id, conversation.contact.name) == (mailbox, "Ana")
    assert text_of(message) == f"{WORDS}\n\nOder telefonisch: +38591234567"
    (identity,) = (await form.shop.client.contacts.get(conversation.contact.id)).identities
    assert (identity.channel_type, identity.account, identity.peer) == ("email", "shop@shop.example", "ana@example.com")
    (row,) = await query(scripted, "SELECT thread, context FROM conversations WHERE shop_id = :id", id=form.shop.uuid)
    assert row.thread.startswith("form-")
    assert row.context == {"form": True}

    answer = await form.shop.client.messages.send(conversation.id, text="Three left.")
    await eventually(lambda: form.shop.client.messages.get(answer.id), lambda sent: sent.status == "sent")
    (call,) = script_of(mailbox).calls
    assert (call.address.peer, call.address.thread, call.context) == ("ana@example.com", row.thread, {"form": True})

    await form.send(email="ana@example.com", text="Another matter", cmid="2")
    assert len(await form.landed()) == 2


async def test_a_form_without_an_address_lands_in_the_chat(form: Form) -> None:
    await form.add_mailbox()
    await form.send(phone="+385 91 234 567", handle="@ana")
    ((conversation, _),) = await form.landed()
    assert conversation.channel.id == form.shop.channel
    assert "Or in a messenger: @ana" in await form.text()


async def test_a_mailbox_that_is_not_there_costs_no_form(form: Form) -> None:
    mailbox = await form.add_mailbox()
    check = await form.shop.client.channels.check(form.shop.channel)
    assert check.ok
    for change in (
        lambda: form.shop.client.channels.update(mailbox, state="paused"),
        lambda: form.shop.client.channels.delete(mailbox),
        lambda: form.set(forms_to=new_id(CHANNEL)),
        lambda: form.set(forms_to=form.shop.channel),  # of another type
    ):
        await change()
        before = len(await form.landed())
        assert (await form.send(email="ana@example.com", cmid=f"after {before}".replace(" ", "-")))[
            "answer_by"
        ] == "email"
        check = await form.shop.client.channels.check(form.shop.channel)
        assert not check.ok
        assert "forms_to" in check.problems[0]
        *_, (conversation, (message,)) = await form.landed()
        assert conversation.channel.id == form.shop.channel
        assert "Please answer by e-mail: ana@example.com" in text_of(message)


async def test_the_mailbox_of_another_shop_gets_nothing(form: Form, scripted: Running) -> None:
    async with new_shop(scripted, "Another shop") as other:
        theirs = await other.client.channels.create(type="email", name="Post", settings={"address": "a@other.example"})
        before = await digest_of(scripted, other.uuid)
        await form.set(forms_to=theirs.id)
        await form.send(email="ana@example.com")
        assert await digest_of(scripted, other.uuid) == before
    ((conversation, _),) = await form.landed()
    assert conversation.channel.id == form.shop.channel
    assert not (await form.shop.client.channels.check(form.shop.channel)).ok


async def test_a_visitor_with_a_token_stays_who_they_are(form: Form, http: httpx.AsyncClient) -> None:
    visitor = await new_visitor(form.shop.url, form.shop.channel, http)
    (await visitor.post(http, "Anybody there?")).raise_for_status()
    async with visitor.online() as line:
        await line.until(lambda: len(visitor.texts) == 1)
        await form.send({"Authorization": f"Bearer {visitor.token}"}, phone="+385 91 234 567")
        await line.until(lambda: len(visitor.texts) == 2)
    ((_, messages),) = await form.landed()
    assert text_of(messages[1]).startswith(WORDS)
    assert visitor.thread[1]["mine"]


async def test_a_token_that_is_not_valid_is_no_reason_to_lose_a_form(
    form: Form, another_shop: Callable[[], AbstractAsyncContextManager[Shop]]
) -> None:
    async with another_shop() as other:
        foreign = await new_visitor(other.url, other.channel)
    for n, given in enumerate(("Bearer x", "Bearer", "x", f"Bearer {foreign.token}")):
        await form.send({"Authorization": given}, phone="+385 91 234 567", cmid=str(n))
    assert len(await form.landed()) == 4


# Repeats


async def test_the_same_form_again_is_one_conversation(form: Form) -> None:
    await form.add_mailbox()
    ways: list[Body] = [{"phone": "+385 91 234 567"}, {"email": "ana@example.com"}]
    for way in ways:
        before = len(await form.landed())
        answers = await asyncio.gather(*(form.send(cmid="c1", **way) for _ in range(3)), form.send(cmid="c1", **way))
        assert len({answer["reference"] for answer in answers}) == 1
        assert len(await form.landed()) == before + 1
        assert [len(messages) for _, messages in await form.landed()] == [1] * (before + 1)


async def test_a_repeat_without_an_id_is_known_by_what_it_says(form: Form) -> None:
    """Unless the minute has turned meanwhile."""
    answers = [await form.send(phone="+385 91 234 567") for _ in range(3)]
    references = {answer["reference"] for answer in answers}
    assert len(references) == len(await form.landed()) <= 2


async def test_one_id_for_everybody_loses_nobody(form: Form, http: httpx.AsyncClient) -> None:
    """As of a page whose author wrote an id into it."""
    visitor = await new_visitor(form.shop.url, form.shop.channel, http)
    await form.send(phone="+385 91 234 567", cmid="1")
    await form.send(phone="+385 91 234 567", cmid="1", text="Something else")
    await form.send(phone="+385 91 234 568", cmid="1")
    await form.send({"Authorization": f"Bearer {visitor.token}"}, phone="+385 91 234 567", cmid="1")
    assert len({text_of(message) for _, (message,) in await form.landed()}) == 4


# What is refused


async def test_a_form_filled_by_a_machine_is_thanked_and_forgotten(form: Form, scripted: Running) -> None:
    before = await digest_of(scripted, form.shop.uuid)
    machine = await form.send(email="ana@example.com", website="https://evil.example", cmid="1")
    assert await digest_of(scripted, form.shop.uuid) == before
    person = await form.send(email="ana@example.com", website="", cmid="1")
    assert machine | {"expected_by": ""} == person | {"expected_by": ""}
    assert len(await form.landed()) == 1


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"email": "a@b.co"}, ["/text"]),
        ({"text": "", "email": "a@b.co"}, ["/text"]),
        ({"text": "a" * 4001, "email": "a@b.co"}, ["/text"]),
        ({"text": WORDS}, [""]),
        ({"text": WORDS, "email": "a@b.co\r\nBcc: eve@evil.example"}, ["/email"]),
        ({"text": WORDS, "phone": "call me", "email": "a@b"}, ["/email", "/phone"]),
        ({"text": WORDS, "email": "a@b.co", "surprise": 1}, ["/surprise"]),
        ({"text": WORDS, "email": "a@b.co", "cmid": "two words"}, ["/cmid"]),
        ([], [""]),
    ],
)
async def test_what_does_not_fit_is_refused_with_a_way_out(form: Form, body: object, pointers: list[str]) -> None:
    answer = await form.post(json=body)
    assert flaws(answer, 422) is None
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == pointers
    assert await form.landed() == []


async def test_hostile_bodies_are_refused_whole(form: Form, scripted: Running) -> None:
    before = await digest_of(scripted, form.shop.uuid)
    json_type, urlencoded = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}
    for body, headers, status in (
        (b"", json_type, 400),
        (b"{", json_type, 400),
        (b"\xff\xfe", json_type, 400),
        (b"[" * 16_000, json_type, 400),
        (b"text=%ff&email=a@b.co", urlencoded, 400),
        (b"text=a&text=b&email=a@b.co", urlencoded, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"x" * 16_385, json_type, 413),
        (b'{"text": "' + b"x" * 20_000 + b'"}', {}, 413),
    ):
        assert flaws(await form.post(content=body, headers=headers), status) is None, body[:20]

    async def chunks() -> Any:
        for _ in range(20):
            yield b"x" * 1000

    assert flaws(await form.post(content=chunks(), headers=json_type), 413) is None
    assert await digest_of(scripted, form.shop.uuid) == before


async def test_hostile_words_arrive_as_words(form: Form) -> None:
    text = "<script>alert(1)</script> '; DROP TABLE messages; -- {how} {0} %s \u202e\0"
    await form.send(text=text, name="Eve\r\nBcc: a@b.co", handle="@eve\r\nReference: FAKE")
    lines = (await form.text()).splitlines()
    assert lines[0] == text.replace("\0", "\ufffd")
    assert lines[2:4] == ["Please answer in a messenger: @eve Reference: FAKE", "Name: Eve Bcc: a@b.co"]


async def test_only_pages_that_are_allowed_may_send_it(form: Form, http: httpx.AsyncClient) -> None:
    await form.set(allowed_origins=[SHOP_PAGE])
    body = {"text": WORDS, "email": "ana@example.com"}
    for origin in (STRANGER, "null", f"{SHOP_PAGE}.evil.example"):
        for request in ({"json": body}, {"data": body}):
            refused = await form.post(**request, headers={"Origin": origin})
            assert flaws(refused, 403) is None
            assert "access-control-allow-origin" not in refused.headers
    assert await form.landed() == []
    taken = await form.post(json=body, headers={"Origin": SHOP_PAGE})
    assert (taken.status_code, taken.headers["access-control-allow-origin"]) == (201, SHOP_PAGE)
    bad = await form.post(json={}, headers={"Origin": SHOP_PAGE})
    assert (bad.status_code, bad.headers["access-control-allow-origin"]) == (422, SHOP_PAGE)
    for origin, status in ((SHOP_PAGE, 204), (STRANGER, 403)):
        asked = await http.options(
            form.url,
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
        )
        assert asked.status_code == status
        assert ("access-control-allow-methods" in asked.headers) == (status == 204)


async def test_a_form_of_no_chat_is_not_found(form: Form, http: httpx.AsyncClient) -> None:
    mailbox = await form.add_mailbox()
    for channel in (new_id(CHANNEL), mailbox, "x", "%00", "a" * 3000):
        for origin in ({}, {"Origin": SHOP_PAGE}):
            answer = await http.post(f"{form.shop.url}/chat/forms/{channel}", json={}, headers=origin)
            assert flaws(answer, 404) is None, channel
    assert flaws(await http.get(form.url), 405) is None


# Without script


async def test_a_plain_form_is_taken_and_answered_by_a_page(form: Form) -> None:
    fields = {"text": "Dva\r\nreda", "name": "", "email": "", "phone": "", "messenger": "viber", "handle": "+385912"}
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "hr,en;q=0.5"}
    answer = await form.post(data=fields | {"website": ""}, headers=browser)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "Hvala. Odgovaramo putem aplikacije Viber, obično u roku od 24 sata." in answer.text
    assert '<html lang="hr">' in answer.text
    assert (await form.text()).startswith("Dva\nreda\n\nMolimo odgovorite putem aplikacije Viber: +385912")
    refused = await form.post(data={"text": WORDS}, headers=browser)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert "Give an e-mail address, a phone number" in refused.text
    script = await form.post(data={"text": WORDS, "phone": "+385 91 234 567"}, headers={"Accept": "*/*"})
    assert (script.status_code, script.json()["answer_by"]) == (201, "phone")


# Limits, and what cannot be kept


async def test_one_address_is_slowed_down_and_told_when_to_come_back(form: Form) -> None:
    for n in range(10):
        await form.send(phone="+385 91 234 567", cmid=str(n))
    refused = await form.post(json={"text": WORDS, "phone": "+385 91 234 567", "cmid": "11"})
    assert flaws(refused, 429) is None
    assert 0 < int(refused.headers["retry-after"]) <= 600
    assert len(await form.landed()) == 10
    assert flaws(await form.post(json={"text": WORDS}), 422) is None
    behind_a_proxy = {"X-Forwarded-For": "1.1.1.1, 9.9.9.9"}
    await form.send(behind_a_proxy, phone="+385 91 234 567", cmid="11")


async def test_what_cannot_be_kept_is_not_thanked_for(http: httpx.AsyncClient) -> None:
    """Nor is a form sent into the chat because it is not known whether the mailbox is there."""
    body: Body = {"text": WORDS, "phone": "+385 91 234 567", "cmid": "1"}
    async with open_chat(WebChatConfig(forms_to=new_id(CHANNEL))) as chat:
        url = f"{chat.url}/chat/forms/{CHAT}"
        chat.refusals.extend([BusUnavailable("not now")] * 12)
        with_address = body | {"email": "ana@example.com"}  # nothing here says which channels there are
        for sent in [body] * 12 + [with_address]:
            refused = await http.post(url, json=sent)
            assert flaws(refused, 503) is None
            assert refused.headers["retry-after"] == "1"
        assert chat.published == []
        assert (await http.post(url, json=body)).status_code == 201
        assert len(chat.published) == 1


# When nobody can answer now


async def test_a_session_says_whether_somebody_is_there(shop: Shop, http: httpx.AsyncClient) -> None:
    async def told() -> tuple[bool, Body]:
        session = (await http.post(f"{shop.url}/chat/{shop.channel}/session", json={})).json()
        return session["answering"], session["form"]

    await shop.client.channels.update(shop.channel, settings={"form_answer_hours": 3})
    assert await told() == (False, {"answer_hours": 3})
    async with Client(shop.url, (await shop.client.agents.token(shop.agent)).token) as agent:
        await agent.events_page()
    assert await told() == (True, {"answer_hours": 3})


async def test_a_chat_that_cannot_know_who_is_there_is_as_always(http: httpx.AsyncClient) -> None:
    async with open_chat() as chat:
        assert (await http.post(f"{chat.url}/chat/{CHAT}/session", json={})).json()["answering"] is True


async def test_settings_of_forms_are_checked(shop: Shop) -> None:
    for wrong in ({"forms_to": "a mailbox"}, {"form_answer_hours": 0}, {"form_answer_hours": 721}):
        with pytest.raises(ValidationFailed):
            await shop.client.channels.update(shop.channel, settings=wrong)
    changed = await shop.client.channels.update(shop.channel, settings={"forms_to": new_id(CHANNEL)})
    assert changed.settings["forms_to"]
    changed = await shop.client.channels.update(shop.channel, settings={"forms_to": None})
    assert changed.settings["forms_to"] is None
