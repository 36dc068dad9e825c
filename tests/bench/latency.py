"""From a message in to the agent's stream: its own process, writes at a steady rate and listens as an agent does.

Run as `python -m tests.bench.latency URL CHANNEL KEY RATE SECONDS`; prints one JSON line. Times are taken from when a
message was due, not from when it could be sent, so that a stalled server cannot hide its stalls.
"""

import asyncio
import json
import sys
import time

import httpx
import uvloop
from shopbell_client import Client
from shopbell_client import Message as ClientMessage

from tests.support.visitor import new_visitor

SHOPPERS = 50


async def run(url: str, channel: str, key: str, rate: float, seconds: float) -> dict[str, object]:
    count = int(rate * seconds)
    due: dict[str, float] = {}
    took: list[float] = []
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=SHOPPERS), timeout=30) as http:
        shoppers = [await new_visitor(url, channel, http) for _ in range(SHOPPERS)]
        async with Client(url, key) as agent:
            listening = asyncio.create_task(listen(agent, due, took, count))
            await asyncio.sleep(0.5)
            started = time.perf_counter() + 0.1
            sends = []
            for number in range(count):
                cmid = f"latency-{number}"
                due[cmid] = started + number / rate
                await asyncio.sleep(max(0.0, due[cmid] - time.perf_counter()))
                sends.append(asyncio.create_task(shoppers[number % SHOPPERS].post(http, cmid, cmid)))
            await asyncio.wait_for(listening, 30)
            await asyncio.gather(*sends)
    took.sort()
    return {
        "rate": rate,
        "messages": len(took),
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[int(len(took) * 0.99)],
    }


async def listen(agent: Client, due: dict[str, float], took: list[float], count: int) -> None:
    async for event in agent.events(after="now", types=["message.received"]):
        assert isinstance(event.data, ClientMessage)
        text = getattr(event.data.content, "text", "")
        if text in due:
            took.append(time.perf_counter() - due[text])
        if len(took) == count:
            return


def main() -> None:
    url, channel, key, rate, seconds = sys.argv[1:6]
    print(json.dumps(uvloop.run(run(url, channel, key, float(rate), float(seconds)))))


if __name__ == "__main__":
    main()
