"""One real PostgreSQL and one running product for all tests; each test has a shop of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, settings

from services.embedded_postgres import data_folder, embedded_postgres, ensure_database
from tests.support.product import Running, Shop, new_shop, running_product, settings_for

# Machines are noisy: how long one example takes says nothing. What an example shows is not made to depend on it.
settings.register_profile("shopbell", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shopbell")


@pytest.fixture(scope="session")
async def server_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A PostgreSQL server of the tests' own, with an empty database."""
    with data_folder(tmp_path_factory.mktemp("cluster")) as folder:
        async with embedded_postgres(folder) as url:
            await ensure_database(url)
            yield url


@pytest.fixture
async def fresh_database(server_url: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of a database that no other test sees, empty."""
    name = f"fresh_{abs(hash(request.node.nodeid))}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {name}")
    yield server_url.replace("/shopbell?", f"/{name}?")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture(scope="session")
async def running(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The product, on a real port."""
    async with running_product(settings_for(server_url, Path(tmp_path_factory.mktemp("data")))) as product:
        yield product


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A plain client, for bytes that no client of ours sends."""
    async with httpx.AsyncClient(timeout=20) as client:
        yield client


@pytest.fixture
async def shop(running: Running) -> AsyncIterator[Shop]:
    """A shop that is this test's alone."""
    async with new_shop(running) as own:
        yield own


@pytest.fixture
def another_shop(running: Running) -> Callable[[], AbstractAsyncContextManager[Shop]]:
    """Make a further shop: `async with another_shop() as other`."""
    return lambda: new_shop(running, "Another shop")
