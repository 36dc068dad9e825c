"""The main job over real sockets: a shopper asks, an agent answers, both see the ticks."""

from shopbell_client import Message

from tests.support.product import Shop
from tests.support.visitor import new_visitor


async def test_a_shopper_asks_an_agent_answers_and_both_see_the_ticks(shop: Shop) -> None:
    visitor = await new_visitor(shop.url, shop.channel)
    async with visitor.online() as line:
        await line.send("Is the red one in stock?")
        await line.until(lambda: visitor.texts == ["Is the red one in stock?"])
        assert visitor.thread[0]["status"] == "delivered"

        (conversation,) = (await shop.client.conversations.list(waiting=True)).items
        assert conversation.unread == 1
        (question,) = (await shop.client.messages.list(conversation.id)).items
        read = await shop.client.conversations.read(conversation.id, up_to=question.id)
        assert read.told_customer
        await line.until(lambda: visitor.seen == question.id)

        answer = await shop.client.messages.send(conversation.id, text="Yes, three left.")
        assert answer.status == "queued"
        await line.until(lambda: len(visitor.thread) == 2)
        await line.say("recv", {"up_to": answer.id})
        await line.say("read", {"up_to": answer.id})
        statuses = []
        async for event in shop.client.events(types=["message.status"]):
            assert isinstance(event.data, Message)
            statuses.append(event.data.status)
            if event.data.status == "read":
                break
        assert statuses == sorted(statuses, key=["sent", "delivered", "read"].index)
        after = await shop.client.conversations.get(conversation.id)
        assert (after.unread, after.waiting_since) == (0, None)
