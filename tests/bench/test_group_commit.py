"""Group commit shows in the figures: ratios of rates that were measured in turns, in one run."""

import statistics
from pathlib import Path

import asyncpg
import pytest

from tests.bench.landing import land, landed_by_hand, plain_inserts
from tests.bench.server import CREATE
from tests.support.product import Running, new_shop, running_product, settings_for

ROUNDS, SECONDS, WANTED = 5, 1.0, 3.0


@pytest.mark.slow
async def test_sixty_four_senders_land_three_times_what_one_message_per_transaction_does(
    fresh_database: str, tmp_path: Path
) -> None:
    async with running_product(settings_for(fresh_database, tmp_path)) as running, new_shop(running) as shop:
        connection = await asyncpg.connect(fresh_database)
        await connection.execute(CREATE)
        await connection.close()
        await land(running, shop.channel, batch=1, senders=64, seconds=SECONDS)  # everyone has written once
        rounds = [await one_round(running, shop.channel, fresh_database) for _ in range(ROUNDS)]
    ours, by_hand, bare = (statistics.median(many / one[place] for many, *one in rounds) for place in range(3))
    print(f"\n64 senders: {ours:.1f} times one at a time, {by_hand:.1f} times by hand, {bare:.1f} times a bare row")
    assert ours >= WANTED
    assert by_hand >= WANTED
    # A bare row in a table without a key of ours is printed and not demanded: a message is four rows (ADR 0005).


async def one_round(running: Running, channel: str, url: str) -> tuple[float, float, float, float]:
    """Messages per second: 64 senders; then on one connection in turn one sender, the rows by hand, a bare row."""
    return (
        await land(running, channel, batch=1, senders=64, seconds=SECONDS),
        await land(running, channel, batch=1, senders=1, seconds=SECONDS),
        await landed_by_hand(url, SECONDS),
        await plain_inserts(url, SECONDS),
    )
