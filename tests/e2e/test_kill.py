"""The promise that nothing acknowledged is lost and nothing is stored twice, with the server killed again and again."""

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.process import running_up, server_pid
from tests.support.stubborn import Shopper, assert_all_is_there_once_and_in_order, new_crowd

KILLS, SHOPPERS, LINES = 10, 200, 10


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("dies", ["the process", "the process and the database"])
async def test_a_server_killed_ten_times_loses_nothing_doubles_nothing_and_mixes_up_nothing(
    tmp_path: Path, dies: str
) -> None:
    folder, port = tmp_path / "data", free_port()
    async with contextlib.AsyncExitStack() as stack:
        up = await stack.enter_async_context(running_up(folder, port=port))
        crowd = await new_crowd(up.url, up.demo.channel, shoppers=SHOPPERS, lines=LINES)
        writing = asyncio.gather(*(one.write_all() for one in crowd))
        for kill in range(1, KILLS + 1):
            await written(crowd, kill * SHOPPERS * LINES // (2 * KILLS))  # the last one has half of the lines before it
            assert not writing.done(), "everything was written before the last kill"
            await asyncio.sleep(random.uniform(0, 0.05))
            if dies != "the process":
                os.kill(server_pid(folder), signal.SIGKILL)
            await up.kill()
            up = await stack.enter_async_context(running_up(folder, port=port))
        async with asyncio.timeout(90):
            await writing
        async with up.client() as client:
            await assert_all_is_there_once_and_in_order(client, crowd)
        assert (await up.stop())[0] == 0


async def written(crowd: Sequence[Shopper], messages: int) -> None:
    """Wait until so many are acknowledged."""
    async with asyncio.timeout(60):
        while sum(one.acked for one in crowd) < messages:  # noqa: ASYNC110 - only the sum matters
            await asyncio.sleep(0.002)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
