"""Many at once: nothing lost, nothing twice, nothing out of order, nobody split in two."""

import asyncio
import itertools
from dataclasses import dataclass

import httpx
import pytest
from shopbell_client import Client

from tests.support.customer import Customer
from tests.support.product import Running, Shop
from tests.support.stubborn import (
    Shopper,
    assert_all_is_there_once_and_in_order,
    new_crowd,
    received,
    texts,
    thread,
)
from tests.support.visitor import Visitor, new_visitor

AT_ONCE = 16
SOCKETS_MAX = 10  # of one visitor, at the same time
SENT = sorted(f"first message, writer {number}" for number in range(AT_ONCE))


@pytest.mark.slow
async def test_two_hundred_shoppers_write_two_thousand_messages_twice_and_each_is_stored_once(shop: Shop) -> None:
    crowd = await new_crowd(shop.url, shop.channel, shoppers=200, lines=10)
    async with asyncio.timeout(60):
        await asyncio.gather(*(one.write_all() for one in crowd))
    await assert_all_is_there_once_and_in_order(shop.client, crowd)


@dataclass
class Hasty(Shopper):
    """Someone whose browser waits for nothing, and then tells everything again: it cannot know what arrived."""

    async def write_all(self) -> None:
        async with self.visitor.online() as line:
            for number in [*range(len(self.texts)), *range(len(self.texts))]:
                cmid = self.cmid(number)
                await line.say("send", {"cmid": cmid, "text": self.texts[number]}, cmid)
            await line.until(lambda: self.acked == len(self.texts), timeout_s=30)


@pytest.mark.slow
async def test_whoever_writes_all_their_lines_and_then_all_of_them_again_finds_each_once_and_in_order(
    shop: Shop,
) -> None:
    crowd = [Hasty(one.visitor, one.texts) for one in await new_crowd(shop.url, shop.channel, shoppers=40, lines=10)]
    async with asyncio.timeout(60):
        await asyncio.gather(*(one.write_all() for one in crowd))
    await assert_all_is_there_once_and_in_order(shop.client, crowd)


@pytest.mark.slow
async def test_a_provider_that_goes_back_while_it_tells_two_thousand_messages_changes_nothing(
    running: Running, shop: Shop
) -> None:
    """In one call as in several at once, an earlier message comes again after later ones of the same customers."""
    customers = [Customer(running, shop) for _ in range(20)]
    lines = [str(number) for number in range(100)]
    story = [customer.message(text) for text in lines for customer in customers]
    calls = [story[max(0, start - 120) : start + 80] for start in range(0, len(story), 80)]
    calls = [[*call, *call[:150]] for call in calls]
    async with asyncio.timeout(60):
        await customers[0].tell(*calls[0])  # alone: while its channel is looked up, later calls would overtake it
        await asyncio.gather(*(customers[0].tell(*call) for call in calls))
    conversations = [one async for one in shop.client.conversations.iterate(limit=200)]
    threads = [await thread(shop.client, one.id) for one in conversations]
    assert [texts(one) for one in threads] == [lines] * len(customers)
    assert sorted(await received(shop.client)) == sorted(one.id for one in itertools.chain(*threads))


@pytest.mark.parametrize("way", ["posts", "sockets", "both"])
async def test_sixteen_first_messages_of_one_new_shopper_make_one_contact_and_one_conversation(
    shop: Shop, way: str
) -> None:
    visitor = await new_visitor(shop.url, shop.channel)
    if way == "posts":
        await asyncio.gather(*(by_post(visitor, text) for text in SENT))
    elif way == "sockets":
        await by_sockets(visitor, SENT)
    else:
        await asyncio.gather(by_sockets(visitor, SENT[:8]), *(by_post(visitor, text) for text in SENT[8:]))
    await assert_one_of_everything(shop.client)


async def by_post(visitor: Visitor, text: str) -> None:
    async with httpx.AsyncClient() as http:
        (await visitor.post(http, text)).raise_for_status()


async def by_sockets(visitor: Visitor, lines: list[str]) -> None:
    """Spread over as many sockets as one visitor may have, all of them open before the first line goes out."""
    tabs = min(len(lines), SOCKETS_MAX)
    everybody = asyncio.Barrier(tabs)

    async def write(mine: list[str]) -> None:
        tab = Visitor(visitor.url, visitor.channel, visitor.token, visitor.visitor)
        async with tab.online() as line:
            await everybody.wait()
            await asyncio.gather(*(line.send(text) for text in mine))

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:  # one that fails must not leave the others waiting
        for number in range(tabs):
            group.create_task(write(lines[number::tabs]))


async def assert_one_of_everything(client: Client) -> None:
    (contact,) = [one async for one in client.contacts.iterate()]
    (conversation,) = [one async for one in client.conversations.iterate()]
    assert conversation.contact.id == contact.id
    assert sorted(texts(await thread(client, conversation.id))) == SENT
