"""What the gateway's tests share: two shops full of things, and a plain HTTP client for bytes that no client sends."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest

from tests.support.operations import Things, make_things
from tests.support.product import Running, Shop, new_shop, settings_for
from tests.support.scripted import scripted_product


@pytest.fixture
async def things(running: Running, shop: Shop) -> Things:
    """One of each resource of this test's shop."""
    return await make_things(running, shop)


@pytest.fixture
async def their_things(
    running: Running, another_shop: Callable[[], AbstractAsyncContextManager[Shop]]
) -> AsyncIterator[Things]:
    """One of each resource of another shop."""
    async with another_shop() as other:
        yield await make_things(running, other)


@pytest.fixture(scope="session")
async def scripted(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A product of its own, in a database of its own, with channels whose sends do as they are told."""
    connection = await asyncpg.connect(server_url)
    await connection.execute("CREATE DATABASE scripted")
    await connection.close()
    url = server_url.replace("/shopbell?", "/scripted?")
    async with scripted_product(settings_for(url, tmp_path_factory.mktemp("data"))) as product:
        yield product


@pytest.fixture
async def scripted_shop(scripted: Running) -> AsyncIterator[Shop]:
    """A shop in the scripted product that is this test's alone."""
    async with new_shop(scripted) as own:
        yield own
