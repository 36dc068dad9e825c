"""Events that are written by hand for speed say exactly what the resource says."""

from shopbell_client import Message

from tests.support.product import Shop
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
