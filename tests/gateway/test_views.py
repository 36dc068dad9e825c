"""Events that are written by hand for speed say exactly what the resource says."""

import httpx
from shopbell_client import Message

from shared.content import Media, Text
from shared.events import Bounce, Sender
from tests.gateway.inbound.mails import new_mailbox
from tests.support.product import Running, Shop
from tests.support.visitor import new_visitor


async def test_the_event_of_a_received_message_is_the_message_as_the_api_shows_it(shop: Shop) -> None:
    visitor = await new_visitor(shop.url, shop.channel)
    async with visitor.online() as line:
        await line.send("first")
        (conversation,) = (await shop.client.conversations.list()).items
        answer = await shop.client.messages.send(conversation.id, text="answer")
        await line.until(lambda: len(visitor.thread) == 2)
        await line.say("send", {"cmid": "quoting", "text": "quoted", "reply_to": answer.id}, "quoting")
        await line.until(lambda: "quoting" in visitor.acked)
    messages = {m.id: m for m in (await shop.client.messages.list(conversation.id)).items}
    events = (await shop.client.events_page(types=["message.received"])).items
    assert len(events) == 2
    for event in events:
        assert isinstance(event.data, Message)
        assert event.data == messages[event.data.id]
        assert event.data.model_dump() == messages[event.data.id].model_dump()


async def test_the_event_of_a_mail_is_the_mail_as_the_api_shows_it(
    running: Running, shop: Shop, http: httpx.AsyncClient
) -> None:
    """In all that it tells beside its words, letter by letter."""
    box = await new_mailbox(running, shop)
    anna = box.writer()
    mail = anna.mail(sender=Sender(name="Anna"), authenticity="unknown")
    bounce = Bounce(recipient="boris@mail.example", status="5.1.1", action="delayed")
    gone = Media(media="file", name="large.eml", failure="It stays in the mailbox.")
    files = Text(text="See", html="<p>See</p>", full_text="See\n--\nA", full_html="<p>See A</p>", attachments=(gone,))
    mails = (
        mail,
        anna.reply(mail, subject="Re: Order 7", authenticity="suspicious"),
        anna.reply(mail, category="bounce", bounce=bounce, reply_to=mail.external_id),
        anna.reply(mail, content=files),
        anna.echo(references=(mail.external_id,)),
    )
    for one in mails:
        await anna.tell(one)
    headers = {"Authorization": f"Bearer {shop.key}"}
    query = {"types": "message.received,message.status"}
    told = (await http.get(f"{shop.url}/v1/events", params=query, headers=headers)).json()["items"]
    assert [event["type"] for event in told] == ["message.received"] * 4 + ["message.status"]
    for event in told:
        shown = (await http.get(f"{shop.url}/v1/messages/{event['data']['id']}", headers=headers)).json()
        assert event["data"] == shown
        assert set(shown["mail"]) == {"subject", "class", "authenticity", "placement", "bounce"}
    assert told[2]["data"]["mail"]["bounce"] == {
        "recipient": "boris@mail.example", "status": "5.1.1", "action": "delayed"
    }  # fmt: skip
    assert [event["data"]["mail"]["placement"]["code"] for event in told] == [
        "first", "suspicious", "reference", "reference", "reference"
    ]  # fmt: skip


async def test_the_event_of_a_new_conversation_tells_its_subject_and_its_mail(
    running: Running, shop: Shop, http: httpx.AsyncClient
) -> None:
    box = await new_mailbox(running, shop)
    anna = box.writer()
    message = await anna.sends(anna.mail(subject="Where is order 7?"))
    headers = {"Authorization": f"Bearer {shop.key}"}
    (opened,) = (
        await http.get(f"{shop.url}/v1/events", params={"types": "conversation.opened"}, headers=headers)
    ).json()["items"]
    shown = (await http.get(f"{shop.url}/v1/conversations/{message.conversation}", headers=headers)).json()
    assert (shown["subject"], shown["last_message"]["mail"]["class"]) == ("Where is order 7?", "normal")
    assert {**opened["data"], "updated_at": None} == {**shown, "updated_at": None}
