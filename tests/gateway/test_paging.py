"""Every list can be walked to its end and back, and nothing that happens meanwhile loses or doubles an item."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from shopbell_client import BadRequest, Page, ValidationFailed

from tests.support.customer import Customer
from tests.support.operations import undigested
from tests.support.product import Running, Shop

List = Callable[..., Awaitable[Page[Any]]]
NAMES = ("agents", "channels", "contacts", "conversations", "inbound", "keys")


def lists(shop: Shop) -> dict[str, List]:
    client = shop.client
    return {name: getattr(client, name).list for name in NAMES}


async def fill(running: Running, shop: Shop) -> None:
    """At least seven of everything."""
    for n in range(7):
        customer = Customer(running, shop)
        await customer.tell(customer.message(f"Hello {n}?"), undigested(customer))
        await shop.client.agents.create(name=f"Agent {n}")
        await shop.client.channels.create(type="webchat", name=f"Chat {n}")
        await shop.client.keys.create(name=f"Key {n}", scopes=["read"])


@pytest.mark.parametrize("name", NAMES)
async def test_a_list_is_walked_to_its_end_and_back(running: Running, shop: Shop, name: str) -> None:
    await fill(running, shop)
    fetch = lists(shop)[name]
    whole = await fetch(limit=200)
    assert (whole.next, whole.prev) == (None, None)
    ids = [item.id for item in whole.items]
    assert len(ids) >= 7
    pages = [await fetch(limit=3)]
    assert pages[0].prev is None
    while pages[-1].next is not None:
        pages.append(await fetch(limit=3, after=pages[-1].next))
    assert [item.id for page in pages for item in page.items] == ids
    assert {len(page.items) for page in pages[:-1]} == {3}
    back = [pages[-1]]
    while back[0].prev is not None:
        back.insert(0, await fetch(limit=3, before=back[0].prev))
    assert [item.id for page in back for item in page.items] == ids
    assert (await fetch(limit=3, after=back[0].next)).items[0].id == ids[len(back[0].items)]


async def test_an_item_that_comes_while_one_walks_moves_nothing(running: Running, shop: Shop) -> None:
    made = [(await shop.client.contacts.create(name=f"{n}")).id for n in range(6)]
    first = await shop.client.contacts.list(limit=2)
    new = (await shop.client.contacts.create(name="new")).id
    second = await shop.client.contacts.list(limit=2, after=first.next)
    assert [item.id for item in (*first.items, *second.items)] == made[:1:-1]
    before = await shop.client.contacts.list(limit=10, before=second.prev)
    assert [item.id for item in before.items] == [new, *made[:3:-1]]
    assert before.prev is None


async def test_a_page_before_keeps_to_the_filters(running: Running, shop: Shop) -> None:
    for n in range(6):
        customer = Customer(running, shop)
        message = await customer.writes(f"{n}")
        if n % 2:
            await shop.client.conversations.update(message.conversation, status="pending")
    first = await shop.client.conversations.list(limit=1, status="pending")
    second = await shop.client.conversations.list(limit=1, status="pending", after=first.next)
    before = await shop.client.conversations.list(limit=9, status="pending", before=second.prev)
    assert [item.id for item in before.items] == [item.id for item in first.items]
    with pytest.raises(BadRequest) as refusal:
        await shop.client.conversations.list(status="open", before=second.prev)
    assert refusal.value.code == "cursor_malformed"


@pytest.mark.parametrize("name", NAMES)
async def test_after_and_before_at_once_is_refused(running: Running, shop: Shop, name: str) -> None:
    await fill(running, shop)
    fetch = lists(shop)[name]
    page = await fetch(limit=1)
    with pytest.raises(ValidationFailed):
        await fetch(after=page.next, before=page.next)


async def test_messages_go_both_ways_too(running: Running, shop: Shop) -> None:
    customer = Customer(running, shop)
    await customer.tell(*(customer.message(str(n)) for n in range(5)))
    (conversation,) = (await shop.client.conversations.list()).items
    newest = await shop.client.messages.list(conversation.id, limit=2)
    with pytest.raises(ValidationFailed):
        await shop.client.messages.list(conversation.id, after=newest.next, before=newest.prev)
    older = await shop.client.messages.list(conversation.id, limit=2, before=newest.prev)
    assert [message.seq for message in (*older.items, *newest.items)] == [2, 3, 4, 5]
    again = await shop.client.messages.list(conversation.id, limit=2, after=older.next)
    assert [message.id for message in again.items] == [message.id for message in newest.items]
