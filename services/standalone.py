"""The whole product in one process."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.app import Gateway
from services.demo import Demo, demo_app, ensure_demo
from services.wiring import new_gateway, open_connectors, open_database
from shared.bus import local_bus
from shared.errors import ShopbellError
from shared.settings import Settings

GRACE_S: Final = 1  # for requests in flight; streams are ended by us
BACKLOG: Final = 2048
CHANNEL_PATHS: Final = ("/hooks/", "/chat/", "/widget/")


class PortTaken(ShopbellError):
    """Another program listens on this port."""


@dataclass(frozen=True)
class Product:
    """What runs, for those who start it."""

    app: ASGIApp
    gateway: Gateway
    demo: Demo | None


@contextlib.asynccontextmanager
async def open_product(settings: Settings, *, demo: bool) -> AsyncIterator[Product]:
    """Database, gateway and connectors over a bus that is a call, for as long as the block lasts."""
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(settings))
        bus = await stack.enter_async_context(local_bus())
        gateway = new_gateway(db, bus, settings)
        await stack.enter_async_context(gateway.running())
        host = await stack.enter_async_context(open_connectors(bus))
        shop = await ensure_demo(gateway.core, settings.data_dir) if demo else None
        yield Product(by_path(host.app(), gateway.app, demo_app(shop) if shop else None), gateway, shop)


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


def listen_on(settings: Settings) -> socket.socket:
    """The listening socket; raises `PortTaken`. Bound before anything slow, so that a clash is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}); "
            "stop the program that has it or choose another: make run PORT=8081."
        ) from error
    listener.setblocking(False)
    return listener


class Server(uvicorn.Server):
    """Uvicorn, with the signals left to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(settings: Settings, *, demo: bool, ready: Callable[[Product, str], Any]) -> None:
    """Run until SIGINT or SIGTERM, then end everything. Raises `ShopbellError` for what stands in the way."""
    listener = listen_on(settings)
    try:
        stop = stop_signal()
        port = listener.getsockname()[1]
        url = settings.public_url or f"http://{settings.host}:{port}"
        async with open_product(settings.model_copy(update={"port": port}), demo=demo) as product:
            await serve_until(stop, product, listener, lambda: ready(product, url))
    finally:
        listener.close()


def stop_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    return stop


async def serve_until(
    stop: asyncio.Event, product: Product, listener: socket.socket, started: Callable[[], Any]
) -> None:
    server = Server(
        uvicorn.Config(
            product.app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
            ws="websockets-sansio",
            ws_max_size=65_536,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # the chat's own protocol pings; a second one would only cost
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn tells of its start by this alone
        await asyncio.sleep(0.005)
    started()
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    product.gateway.core.tail.close()
    server.should_exit = True
    stopping.cancel()
    await serving
