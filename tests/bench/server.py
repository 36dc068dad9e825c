"""The server under measurement: the product, and beside it on the same port two handlers to compare it with.

Run as `python -m tests.bench.server DATABASE_URL DATA_DIR`; prints its port and ids as one JSON line, stops on SIGTERM.
"""

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import asyncpg
import uvloop
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.standalone import new_server, open_product
from tests.bench.landing import land, plain_inserts
from tests.support.product import Running, new_shop, settings_for

CREATE = "CREATE TABLE bench_plain (id bigserial PRIMARY KEY, body text NOT NULL, at timestamptz DEFAULT now())"


def reference_app(pool: "asyncpg.Pool[asyncpg.Record]") -> FastAPI:
    """An empty POST, and one INSERT per request."""
    app = FastAPI()

    @app.post("/bench/empty")
    async def empty() -> dict[str, str]:
        return {}

    @app.post("/bench/insert")
    async def insert(request: Request) -> dict[str, str]:
        body = await request.body()
        await pool.execute("INSERT INTO bench_plain (body) VALUES ($1)", body.decode())
        return {}

    return app


def control_app(running: Running, channel: str, url: str) -> FastAPI:
    """Measurements that are taken inside the server's process: `GET /bench/...` answers with a rate per second."""
    app = FastAPI()

    @app.get("/bench/land")
    async def measure_landing(batch: int, senders: int, seconds: float) -> float:
        return await land(running, channel, batch=batch, senders=senders, seconds=seconds)

    @app.get("/bench/plain")
    async def measure_plain(seconds: float) -> float:
        return await plain_inserts(url, seconds)

    return app


def beside(product: ASGIApp, reference: ASGIApp, control: ASGIApp) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        target = product
        if path.startswith("/bench/"):
            target = control if scope["method"] == "GET" else reference
        await target(scope, receive, send)

    return app


async def main(url: str, data_dir: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = settings_for(url, data_dir)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    pool = await asyncpg.create_pool(url, min_size=8, max_size=8)
    await pool.execute(CREATE)
    async with open_product(settings, demo=False) as product:
        running = Running(product, f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with new_shop(running) as shop:
            app = beside(product.app, reference_app(pool), control_app(running, shop.channel, url))
            server = new_server(app)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            print(json.dumps({"port": listener.getsockname()[1], "channel": shop.channel, "key": shop.key}), flush=True)
            await stop.wait()
            server.should_exit = True
            await serving
    await pool.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
