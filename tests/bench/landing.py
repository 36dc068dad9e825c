"""How fast messages land: through the bus inside one process, against plain inserts."""

import asyncio
import time

import asyncpg

from shared.clock import system_clock
from shared.content import Text
from shared.events import Address, MessageReceived
from shared.subjects import INBOUND, InboundBatch
from tests.support.product import Running


async def land(running: Running, channel: str, *, batch: int, senders: int, seconds: float) -> float:
    """Messages per second when `senders` at once publish batches, each from one of 1,000 shoppers of its own."""
    bus, until, landed = running.core.bus, time.perf_counter() + seconds, 0

    async def send(sender: int) -> None:
        nonlocal landed
        number = 0
        while time.perf_counter() < until:
            events = []
            for place in range(batch):
                number += 1
                peer = f"bench-{batch}-{sender}-{place}"
                events.append(
                    MessageReceived(
                        address=Address(channel="webchat", account=channel, peer=peer),
                        occurred_at=system_clock(),
                        raw=b'{"t":"send","d":{"text":"Is the red one in stock?"}}',
                        external_id=f"{peer}-{number}",
                        content=Text(text="Is the red one in stock?"),
                    )
                )
            await bus.publish(INBOUND, InboundBatch(channel_id=channel, events=tuple(events)))
            landed += batch

    started = time.perf_counter()
    await asyncio.gather(*(send(sender) for sender in range(senders)))
    return landed / (time.perf_counter() - started)


async def plain_inserts(url: str, seconds: float) -> float:
    """One INSERT per transaction on one connection, per second."""
    connection = await asyncpg.connect(url)
    until, count, started = time.perf_counter() + seconds, 0, time.perf_counter()
    while time.perf_counter() < until:
        await connection.execute("INSERT INTO bench_plain (body) VALUES ($1)", "Is the red one in stock?")
        count += 1
    await connection.close()
    return count / (time.perf_counter() - started)
