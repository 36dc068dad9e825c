"""Many at once: nothing lost, nothing twice, nothing out of order, nobody split in two."""

import asyncio

import httpx
import pytest
from shopbell_client import Client

from tests.support.product import Shop
from tests.support.stubborn import assert_all_is_there_once_and_in_order, new_crowd, texts, thread
from tests.support.visitor import Visitor, new_visitor

AT_ONCE = 16
SENT = sorted(f"first message, writer {number}" for number in range(AT_ONCE))


async def test_two_hundred_shoppers_write_two_thousand_messages_twice_and_each_is_stored_once(shop: Shop) -> None:
    crowd = await new_crowd(shop.url, shop.channel, shoppers=200, lines=10)
    async with asyncio.timeout(60):
        await asyncio.gather(*(one.write_all() for one in crowd))
    await assert_all_is_there_once_and_in_order(shop.client, crowd)


@pytest.mark.parametrize("way", ["posts", "sockets", "both"])
async def test_sixteen_first_messages_of_one_new_shopper_make_one_contact_and_one_conversation(
    shop: Shop, way: str
) -> None:
    visitor = await new_visitor(shop.url, shop.channel)
    if way == "posts":
        await asyncio.gather(*(by_post(visitor, text) for text in SENT))
    elif way == "sockets":
        await by_sockets(visitor, SENT[:10])  # as many as one visitor may have open
        await by_sockets(visitor, SENT[10:])
    else:
        await asyncio.gather(by_sockets(visitor, SENT[:8]), *(by_post(visitor, text) for text in SENT[8:]))
    await assert_one_of_everything(shop.client)


async def by_post(visitor: Visitor, text: str) -> None:
    async with httpx.AsyncClient() as http:
        (await visitor.post(http, text)).raise_for_status()


async def by_sockets(visitor: Visitor, lines: list[str]) -> None:
    """Each line on a socket of its own, all of them open before the first line goes out."""
    everybody = asyncio.Barrier(len(lines))

    async def write(text: str) -> None:
        tab = Visitor(visitor.url, visitor.channel, visitor.token, visitor.visitor)
        async with tab.online() as line:
            await everybody.wait()
            await line.send(text)

    await asyncio.gather(*(write(text) for text in lines))


async def assert_one_of_everything(client: Client) -> None:
    (contact,) = [one async for one in client.contacts.iterate()]
    (conversation,) = [one async for one in client.conversations.iterate()]
    assert conversation.contact.id == contact.id
    assert sorted(texts(await thread(client, conversation.id))) == SENT
