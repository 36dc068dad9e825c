"""The demo: one shop, one site chat, one agent and a ready-made key, made at the first start and found again later."""

import uuid
from pathlib import Path

import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from connectors.webchat.config import WebChatConfig
from connectors.webchat.server import demo_page
from gateway.access.principals import hash_secret
from gateway.access.routes import NewKey, issue_key
from gateway.channels import store as channels
from gateway.core import Core
from services.demo_file import Demo, read_demo, write_demo
from shared.ids import AGENT, CHANNEL, SHOP, new_uuid, show_id


async def ensure_demo(core: Core, data_dir: Path) -> Demo:
    """The demo of this database: the one in the file if the database knows its key, else a new one."""
    demo = read_demo(data_dir)
    if demo is not None and await is_known(core, demo):
        return demo
    demo = await make_demo(core)
    write_demo(data_dir, demo)
    return demo


async def is_known(core: Core, demo: Demo) -> bool:
    async with core.db.system() as connection:
        found = await connection.scalar(
            sa.text("SELECT 1 FROM keys WHERE secret_hash = :hash AND revoked_at IS NULL"),
            {"hash": hash_secret(demo.key)},
        )
    return found is not None


async def make_demo(core: Core) -> Demo:
    shop_id = await make_shop(core, "Demo shop")
    channel_id, agent_id = new_uuid(), new_uuid()
    async with core.db.shop(shop_id) as connection:
        await connection.execute(
            sa.text("INSERT INTO agents (shop_id, id, name, type) VALUES (:shop_id, :id, 'Iva', 'human')"),
            {"shop_id": shop_id, "id": agent_id},
        )
        await channels.insert(
            connection,
            core,
            shop_id=shop_id,
            key=channel_id,
            kind="webchat",
            name="Demo shop chat",
            config=WebChatConfig(),
        )
        key = await issue_key(connection, shop_id, NewKey(name="Demo key", scopes=("admin",)))
    return Demo(show_id(SHOP, shop_id), show_id(CHANNEL, channel_id), show_id(AGENT, agent_id), key.key)


async def make_shop(core: Core, name: str) -> uuid.UUID:
    """A new, empty shop."""
    shop_id = new_uuid()
    async with core.db.system() as connection:
        await connection.execute(
            sa.text("INSERT INTO shops (id, name) VALUES (:id, :name)"), {"id": shop_id, "name": name}
        )
        await connection.execute(sa.text("INSERT INTO feeds (shop_id) VALUES (:id)"), {"id": shop_id})
    return shop_id


def demo_app(demo: Demo) -> Starlette:
    async def page(request: Request) -> Response:
        return Response(demo_page(demo.channel), media_type="text/html")

    async def home(request: Request) -> Response:
        return RedirectResponse("/demo")

    return Starlette(routes=[Route("/demo", page), Route("/", home)])
