"""The product as tests see it: assembled by the real wiring, served on a real port, on a real PostgreSQL."""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import sqlalchemy as sa
from pydantic import SecretStr
from shopbell_client import Client
from starlette.types import ASGIApp

from connectors.webchat import WebChat
from connectors.webchat.config import WebChatConfig
from gateway.access.routes import NewKey, issue_key
from gateway.app import Gateway
from gateway.channels import store as channels
from gateway.core import Core
from services.demo import make_shop
from services.standalone import Product, new_server, open_product
from shared.ids import AGENT, CHANNEL, SHOP, new_uuid, show_id
from shared.settings import Settings


@dataclass(frozen=True)
class Running:
    """The product on a port of its own."""

    product: Product
    url: str

    @property
    def gateway(self) -> Gateway:
        return self.product.gateway

    @property
    def core(self) -> Core:
        return self.gateway.core


@dataclass(frozen=True)
class Shop:
    """A shop of one test: an admin key, a site chat, an agent, and a client with the key."""

    id: str
    key: str
    channel: str
    agent: str
    client: Client
    url: str

    @property
    def uuid(self) -> uuid.UUID:
        from shared.ids import read_id

        return read_id(SHOP, self.id)


def settings_for(database_url: str, data_dir: Path, port: int = 0) -> Settings:
    return Settings(
        database_url=SecretStr(database_url),
        data_dir=data_dir,
        port=port,
        secret_key=SecretStr("for tests only, and long enough for that"),
        private_addresses=True,  # simulators of providers are here
    )


@contextlib.asynccontextmanager
async def running_product(settings: Settings) -> AsyncIterator[Running]:
    """The product on a free port of loopback, for as long as the block lasts."""
    async with open_product(settings, demo=False) as product, served(product) as running:
        yield running


@contextlib.asynccontextmanager
async def served(product: Product) -> AsyncIterator[Running]:
    """A product that is open already, on a free port of loopback."""
    async with on_a_port(product.app) as url:
        try:
            yield Running(product, url)
        finally:
            product.gateway.core.tail.close()


@contextlib.asynccontextmanager
async def on_a_port(app: ASGIApp) -> AsyncIterator[str]:
    """The address of the app, served as the product's own server does it."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # with the protocol named asyncio turns Nagle off: 40 ms a call
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    server = new_server(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not (server.started or serving.done()):  # noqa: ASYNC110 - uvicorn tells of its start by this alone
        await asyncio.sleep(0.005)
    try:
        assert server.started, serving
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def new_shop(running: Running, name: str = "Test shop") -> AsyncIterator[Shop]:
    """A shop of one's own in the running product."""
    core = running.core
    shop_id = await make_shop(core, name)
    channel_id, agent_id = new_uuid(), new_uuid()
    async with core.db.shop(shop_id) as connection:
        await connection.execute(
            sa.text("INSERT INTO agents (shop_id, id, name, type) VALUES (:shop_id, :id, 'Iva', 'human')"),
            {"shop_id": shop_id, "id": agent_id},
        )
        await channels.insert(
            connection, core, shop_id=shop_id, key=channel_id, kind=WebChat.channel_type.name, name="Site chat",
            config=WebChatConfig(),
        )  # fmt: skip
        key = await issue_key(connection, shop_id, NewKey(name="Test key", scopes=("admin",)))
    # Certificates are of no use on loopback, and reading them costs 0.1 s a shop.
    async with Client(running.url, key.key, transport=httpx.AsyncHTTPTransport(verify=False)) as client:
        yield Shop(
            show_id(SHOP, shop_id), key.key, show_id(CHANNEL, channel_id), show_id(AGENT, agent_id), client, running.url
        )
