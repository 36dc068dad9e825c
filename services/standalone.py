"""The whole product in one process."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.app import Gateway
from gateway.channels import listeners
from services.demo import demo_app, ensure_demo
from services.demo_file import Demo
from services.launch import listen_on as listen_on
from services.launch import stop_signal as stop_signal
from services.wiring import close_http, in_words, new_gateway, new_http, open_connectors, open_database
from shared.bus import local_bus
from shared.settings import Settings

FAREWELL_S: Final = 0.3  # for streams and sockets to end by themselves, once told
GRACE_S: Final = 1  # then for requests in flight
CHANNEL_PATHS: Final = ("/hooks/", "/chat/", "/widget/")


async def at_once() -> None:
    """Nobody has to be told."""


@dataclass(frozen=True)
class Product:
    """What runs, for those who start it."""

    app: ASGIApp
    gateway: Gateway
    demo: Demo | None
    leave: Callable[[], Awaitable[None]] = at_once
    """Tell whoever is connected to a channel that we go."""


@contextlib.asynccontextmanager
async def open_product(settings: Settings, *, demo: bool, alone: bool = False) -> AsyncIterator[Product]:
    """Database, gateway and connectors over a bus that is a call, for as long as the block lasts.

    `alone`: no other process works on this database, so whatever one before left half sent is nobody's.
    """
    async with contextlib.AsyncExitStack() as stack:
        # Reading the certificates takes 0.1 s, without Python's lock: beside the database's part it costs nothing.
        http = asyncio.create_task(asyncio.to_thread(new_http, settings))
        stack.push_async_callback(close_http, http)
        db = await stack.enter_async_context(open_database(settings))
        bus = await stack.enter_async_context(local_bus())
        gateway = new_gateway(db, bus, settings)
        if alone:
            with in_words():
                await gateway.relay.reclaim()
                await listeners.reclaim(db)
        await stack.enter_async_context(gateway.running())
        host = await stack.enter_async_context(open_connectors(bus, await http, gateway.core.files, settings))
        with in_words():
            shop = await ensure_demo(gateway.core, settings.data_dir) if demo else None
        yield Product(by_path(host.app(), gateway.app, demo_app(shop) if shop else None), gateway, shop, host.close)


def by_path(channels: ASGIApp, api: ASGIApp, demo: ASGIApp | None) -> ASGIApp:
    """Hooks and chats go to the connectors without passing the API's layers; they are the hot paths."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if path.startswith(CHANNEL_PATHS):
            await channels(scope, receive, send)
        elif demo is not None and path in ("/", "/demo"):
            await demo(scope, receive, send)
        else:
            await api(scope, receive, send)

    return app


class Server(uvicorn.Server):
    """Uvicorn, with the signals left to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def new_server(app: ASGIApp) -> Server:
    """A server of the product, with everything set that it relies on."""
    return Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the contact form alone reads the caller's address, and judges a proxy's word itself
            timeout_graceful_shutdown=GRACE_S,
            ws="websockets-sansio",
            ws_max_size=65_536,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # the chat's own protocol pings; a second one would only cost
        )
    )


async def serve_until(
    stop: asyncio.Event, product: Product, listener: socket.socket, started: Callable[[], Any]
) -> None:
    server = new_server(product.app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn tells of its start by this alone
        await asyncio.sleep(0.005)
    started()
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    # What is cut off from here on is our doing: neither a fault nor news.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    product.gateway.core.tail.close()
    await product.leave()
    await finished(server.server_state.tasks, FAREWELL_S)
    server.should_exit = True
    await serving


async def finished(tasks: set["asyncio.Task[None]"], timeout_s: float) -> None:
    """Wait until what was told to end has ended."""
    if tasks:
        await asyncio.wait(set(tasks), timeout=timeout_s)
