"""What the agent asks for, against a shop on a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shopbell_client import Client

from services.terminal.desk import Desk
from tests.gateway.client.serving import served
from tests.services.terminal.clock import Clock
from tests.services.terminal.fake_api import FakeShop


@asynccontextmanager
async def sitting_at(shop: FakeShop, clock: Clock | None = None) -> AsyncIterator[Desk]:
    """A desk with everything loaded."""
    async with served(shop.app) as url, Client(url, "sb_agent_x", backoff_s=0.0, retries=0) as client:
        desk = Desk(client, now=clock or Clock())
        working = asyncio.create_task(desk.work())
        try:
            async with asyncio.timeout(10):
                await desk.loaded.wait()
            yield desk
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


def references(shop: FakeShop) -> list[str]:
    return [body["client_ref"] for body in shop.asked("send")]


async def test_the_same_answer_given_twice_at_once_is_two_messages() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    async with sitting_at(shop) as desk:
        sent = await asyncio.gather(desk.send(first, "ok"), desk.send(first, "ok"))
    assert [message.id for message in sent if message] == ["msg_2", "msg_3"]
    assert len(set(references(shop))) == 2


async def test_an_answer_that_is_tried_again_after_a_failure_is_the_same_message() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    shop.refuse["send"] = (503, "Busy, try again.")
    async with sitting_at(shop) as desk:
        assert await desk.send(first, "ok") is None
        shop.refuse.clear()
        assert await desk.send(first, "ok") is not None
        assert await desk.send(first, "ok") is not None
    failed, again, another = references(shop)
    assert failed == again
    assert another != again


async def test_a_conversation_that_could_not_be_marked_read_is_marked_later_and_not_all_the_time() -> None:
    shop, clock = FakeShop(), Clock()
    first = shop.add("Anna", "One")
    shop.refuse["read"] = (503, "Busy, try again.")
    async with sitting_at(shop, clock) as desk:
        await desk.open(first)
        for _ in range(3):
            await desk.mark_read(first)
        assert len(shop.asked("read")) == 1
        shop.refuse.clear()
        clock.pass_by(10)
        for _ in range(3):
            await desk.mark_read(first)
        assert len(shop.asked("read")) == 2
        assert desk.inbox.unread_up_to(first) is None


async def test_a_page_whose_fetch_was_given_up_can_be_fetched_again() -> None:
    """As when somebody presses the key for older messages twice in a row."""
    shop = FakeShop()
    first = shop.add("Anna", *(f"line {number}." for number in range(130)))
    async with sitting_at(shop) as desk:
        await desk.open(first)
        given_up = asyncio.create_task(desk.older(first))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert await desk.older(first)
        assert len(desk.inbox.messages(first)) == 130
        assert not await desk.older(first)
