"""Group commit shows in the figures: ratios of rates that were measured in turns, in one run."""

import statistics
from pathlib import Path

import asyncpg
import pytest

from tests.bench.landing import land, plain_inserts
from tests.bench.server import CREATE
from tests.support.product import Running, new_shop, running_product, settings_for

ROUNDS, SECONDS, WANTED = 5, 1.0, 3.0


@pytest.mark.slow
async def test_sixty_four_senders_land_three_times_what_one_insert_per_transaction_does(
    fresh_database: str, tmp_path: Path
) -> None:
    async with running_product(settings_for(fresh_database, tmp_path)) as running, new_shop(running) as shop:
        connection = await asyncpg.connect(fresh_database)
        await connection.execute(CREATE)
        await connection.close()
        await land(running, shop.channel, batch=1, senders=64, seconds=SECONDS)  # everyone has written once
        rounds = [await one_round(running, shop.channel, fresh_database) for _ in range(ROUNDS)]
    against_itself = statistics.median(many / one for many, one, _ in rounds)
    against_bare = [many / bare for many, _, bare in rounds]
    bare = statistics.median(against_bare)
    print(f"\n64 senders: {against_itself:.1f} times one message per transaction, {bare:.1f} times a bare INSERT")
    assert against_itself >= WANTED
    # A bare row on one connection is printed beside it and not demanded: a landing writes four rows and more.


async def one_round(running: Running, channel: str, url: str) -> tuple[float, float, float]:
    """Messages per second from 64 senders, from one; bare single-row INSERTs per second on one connection."""
    many = await land(running, channel, batch=1, senders=64, seconds=SECONDS)
    one = await land(running, channel, batch=1, senders=1, seconds=SECONDS)
    return many, one, await plain_inserts(url, SECONDS)
