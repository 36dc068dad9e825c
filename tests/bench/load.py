"""The load: its own process, raw sockets, one request after the other on each of N connections.

Run as `python -m tests.bench.load HOST PORT SECONDS FILE`; the file has one JSON line per connection, with the path,
the headers and the body, in which `@` becomes a new number for each request. Prints one JSON line with what it saw.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import uvloop


@dataclass
class Tally:
    """Latencies in seconds, and answers by status."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """One keep-alive connection that always has one request on its way."""

    def __init__(self, plan: dict[str, str], tally: Tally, until: float) -> None:
        self._head = (
            f"POST {plan['path']} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n{plan['headers']}"
        )
        self._body, self._tally, self._until = plan["body"], tally, until
        self._number, self._sent_at, self._buffer = 0, 0.0, b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without being a subclass
        self._ask()

    def _ask(self) -> None:
        self._number += 1
        body = self._body.replace("@", str(self._number))
        self._sent_at = time.perf_counter()
        self._transport.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        now = time.perf_counter()
        self._buffer = b""
        self._tally.seconds.append(now - self._sent_at)
        status = head[9:12].decode()
        self._tally.statuses[status] = self._tally.statuses.get(status, 0) + 1
        if time.time() < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def same(connection: Connection) -> Connection:
    return connection


async def run(host: str, port: int, seconds: float, plans: list[dict[str, str]]) -> dict[str, object]:
    tally, until = Tally(), time.time() + seconds
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    connections = []
    for plan in plans:
        connection = Connection(plan, tally, until)
        await loop.create_connection(partial(same, connection), host, port)
        connections.append(connection)
    await asyncio.gather(*(connection.done for connection in connections))
    took = time.perf_counter() - started
    ordered = sorted(tally.seconds)
    return {
        "requests": len(ordered),
        "per_s": len(ordered) / took,
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[int(len(ordered) * 0.99)],
        "statuses": tally.statuses,
    }


def main() -> None:
    host, port, seconds, path = sys.argv[1:5]
    plans = [json.loads(line) for line in Path(path).read_text().splitlines()]
    print(json.dumps(uvloop.run(run(host, int(port), float(seconds), plans))))


if __name__ == "__main__":
    main()
