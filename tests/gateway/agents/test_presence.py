"""Whether somebody is there to answer, as the site chat asks it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing

import pytest
from shopbell_client import Client

from gateway.access.principals import find_principal
from gateway.agents.presence import NOTED_EVERY_S, THERE_FOR_S, Attendance
from shared.ids import CHANNEL, new_id
from shared.subjects import STAFFED, StaffedQuestion
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import execute, query


async def is_staffed(running: Running, channel: str) -> bool:
    return (await running.core.bus.request(STAFFED, StaffedQuestion(channel_id=channel))).answering


async def look(shop: Shop, token: str) -> None:
    async with Client(shop.url, token) as client:
        await client.events_page()


@pytest.fixture
async def token(shop: Shop) -> str:
    return (await shop.client.agents.token(shop.agent)).token


async def seen_ago(running: Running, shop: Shop, seconds: float) -> None:
    sql = "UPDATE agents SET seen_at = now() - make_interval(secs => :s) WHERE shop_id = :id"
    await execute(running, sql, s=seconds, id=shop.uuid)


async def test_an_agent_who_listens_is_there_and_for_a_minute_afterwards(
    running: Running, shop: Shop, token: str
) -> None:
    assert not await is_staffed(running, shop.channel)
    await look(shop, token)
    assert await is_staffed(running, shop.channel)
    await seen_ago(running, shop, THERE_FOR_S - 10)
    assert await is_staffed(running, shop.channel)
    await seen_ago(running, shop, THERE_FOR_S)
    assert not await is_staffed(running, shop.channel)
    await look(shop, token)
    assert await is_staffed(running, shop.channel)


async def test_what_an_agent_does_elsewhere_and_who_else_listens_says_nothing(
    running: Running,
    shop: Shop,
    token: str,
    another_shop: Callable[[], AbstractAsyncContextManager[Shop]],
) -> None:
    async with Client(shop.url, token) as client:
        await client.conversations.list()
    await look(shop, shop.key)
    bot = await shop.client.agents.create(name="A bot", type="bot")
    await look(shop, (await shop.client.agents.token(bot.id)).token)
    async with another_shop() as other:
        await look(other, (await other.client.agents.token(other.agent)).token)
        assert await is_staffed(running, other.channel)
    assert not await is_staffed(running, shop.channel)


async def test_a_channel_that_does_not_exist_has_nobody(running: Running) -> None:
    for channel in (new_id(CHANNEL), "", "x", "chn_\0"):
        assert not await is_staffed(running, channel)


async def test_being_there_is_no_change_of_the_agent_and_written_seldom(
    running: Running, shop: Shop, token: str
) -> None:
    await look(shop, token)
    (before,) = await query(running, "SELECT version, seen_at, xmin FROM agents WHERE shop_id = :id", id=shop.uuid)
    for _ in range(3):
        await look(shop, token)
    (after,) = await query(running, "SELECT version, seen_at, xmin FROM agents WHERE shop_id = :id", id=shop.uuid)
    assert (before.version, before) == (1, after)


async def test_a_stream_notes_now_and_then_that_its_agent_is_still_there(
    running: Running, shop: Shop, token: str
) -> None:
    principal = await find_principal(running.core.db, token, running.core.clock())
    assert principal is not None
    times_s = iter((0.0, 1.0, NOTED_EVERY_S - 0.1, NOTED_EVERY_S))
    attendance = Attendance(running.core, principal, lambda: next(times_s))
    for staffed in (False, False, True):
        await attendance.go_on()
        assert await is_staffed(running, shop.channel) == staffed


@pytest.mark.slow
async def test_an_open_stream_keeps_its_agent_there(running: Running, shop: Shop, token: str) -> None:
    async with Client(shop.url, token) as client, aclosing(client.events()) as events:
        await shop.client.contacts.create(name="Somebody")
        await anext(events)
        await seen_ago(running, shop, THERE_FOR_S)

        async def hear_and_ask() -> bool:
            await shop.client.contacts.create(name="Somebody")
            await anext(events)
            return await is_staffed(running, shop.channel)

        await eventually(hear_and_ask, timeout_s=NOTED_EVERY_S + 10)
