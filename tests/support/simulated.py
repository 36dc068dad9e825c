"""A product whose connectors reach simulators instead of providers, without a network between them."""

import contextlib
from collections.abc import AsyncIterator, Mapping

import httpx

from connectors.host import ConnectorHost
from gateway.app import build_gateway
from gateway.core import Core
from gateway.events.tail import FeedTail
from services.standalone import Product, by_path
from services.wiring import CONNECTORS, channel_types, master_key, open_database
from shared.bus import LocalBus
from shared.clock import system_clock
from shared.files import local_files
from shared.outgoing import outgoing_socket
from shared.settings import Settings
from shared.simulator import Simulator
from tests.support.product import Running, served


class ByHost(httpx.AsyncBaseTransport):
    """Each host name leads to its simulator."""

    def __init__(self, simulators: Mapping[str, Simulator]) -> None:
        self._ways = {host: simulator.transport() for host, simulator in simulators.items()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._ways[request.url.host].handle_async_request(request)


@contextlib.asynccontextmanager
async def simulated_product(settings: Settings, simulators: Mapping[str, Simulator]) -> AsyncIterator[Running]:
    """The product of its real parts, but for the way to the providers."""
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(settings))
        bus, files = LocalBus(), local_files(settings.data_dir)
        tail = FeedTail(db, bus)
        core = Core(db, bus, settings, system_clock, channel_types(), tail, master_key(settings), files)
        gateway = build_gateway(core)
        await stack.enter_async_context(gateway.running())
        http = await stack.enter_async_context(httpx.AsyncClient(transport=ByHost(simulators)))
        host = ConnectorHost(
            CONNECTORS, bus=bus, http=http, clock=system_clock, files=files, dial=outgoing_socket(private=True)
        )
        stack.push_async_callback(host.close)
        await stack.enter_async_context(host.listening())
        product = Product(by_path(host.app(), gateway.app, None), gateway, None)
        yield await stack.enter_async_context(served(product))
