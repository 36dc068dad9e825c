"""What a visitor is shown of several conversations: what was said last, wherever it was said."""

from shared.content import Text
from shared.subjects import THREAD, ThreadPage, ThreadQuestion
from tests.support.customer import Customer
from tests.support.product import Running, Shop
from tests.support.tables import execute


async def thread_of(customer: Customer, limit: int = 50) -> ThreadPage:
    question = ThreadQuestion(channel_id=customer.channel_id, peer=customer.peer, limit=limit)
    return await customer.running.core.bus.request(THREAD, question)


def texts(page: ThreadPage) -> list[str]:
    return [message.content.text for message in page.messages if isinstance(message.content, Text)]


async def two_matters(running: Running, shop: Shop, lines: int) -> tuple[Customer, str, str]:
    """A customer with a closed conversation of long ago, and a newer closed one of so many lines."""
    customer = Customer(running, shop)
    older = (await customer.writes("The first matter")).conversation
    await shop.client.conversations.update(older, status="closed")
    await execute(
        running, "UPDATE conversations SET closed_at = now() - interval '30 days' WHERE shop_id = :id", id=shop.uuid
    )
    await customer.tell(*(customer.message(f"The second matter, {n}") for n in range(lines)))
    newer = (await customer.conversation()).id
    assert newer != older
    return customer, older, newer


async def test_an_answer_in_an_older_conversation_is_shown_after_what_was_said_before_it(
    running: Running, shop: Shop
) -> None:
    customer, older, newer = await two_matters(running, shop, 60)
    await shop.client.conversations.update(newer, status="closed")
    await shop.client.messages.send(older, text="About the first matter")
    await customer.tell(customer.message("Thanks"))
    page = await thread_of(customer)
    assert texts(page)[-2:] == ["About the first matter", "Thanks"]
    assert texts(page)[:2] == ["The second matter, 12", "The second matter, 13"]
    assert len(page.messages) == 50


async def test_the_mark_of_the_shop_stands_where_it_read_last(running: Running, shop: Shop) -> None:
    customer, older, newer = await two_matters(running, shop, 2)
    last = (await shop.client.conversations.get(newer)).last_message
    assert last is not None
    await shop.client.conversations.read(newer, up_to=last.id)
    assert (await thread_of(customer)).seen.up_to == last.id
    await shop.client.conversations.update(newer, status="closed")
    await shop.client.conversations.update(older, status="open")
    (question,) = (await shop.client.messages.list(older)).items
    await shop.client.conversations.read(older, up_to=question.id)
    page = await thread_of(customer)
    assert page.seen.up_to == question.id
    assert page.seen.at is not None


async def test_lines_of_one_moment_keep_their_order_and_notes_stay_hidden(running: Running, shop: Shop) -> None:
    """One transaction has one time for all that it writes."""
    customer = Customer(running, shop)
    await customer.tell(*(customer.message(str(n)) for n in range(30)))
    conversation = await customer.conversation()
    for n in range(5):
        await shop.client.messages.send(conversation.id, text=f"note {n}", visibility="internal")
    assert texts(await thread_of(customer, limit=20)) == [str(n) for n in range(10, 30)]
