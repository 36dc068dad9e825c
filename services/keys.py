"""`shopbell keys`: a shop's keys, on the database itself: for the first key, and for when the last one is lost."""

import uuid
from typing import Any, Final, cast

import sqlalchemy as sa
from pydantic import ValidationError

from gateway.access.principals import SCOPES, Scope
from gateway.access.routes import NewKey, issue_key
from gateway.database import Database
from services.wiring import open_ready_database
from shared.errors import ShopbellError
from shared.ids import KEY, SHOP, MalformedId, read_id, show_id
from shared.settings import Settings

SHOPS: Final = sa.text("SELECT id, name FROM shops ORDER BY id")
KEYS: Final = sa.text("SELECT * FROM keys WHERE shop_id = :shop_id AND revoked_at IS NULL ORDER BY id")
REVOKE: Final = sa.text("UPDATE keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL RETURNING name")


class KeyProblem(ShopbellError):
    """The key or its shop is not there."""


async def list_all(settings: Settings, shop: str | None) -> str:
    """The keys of one shop, or of all, under the names of their shops."""
    async with open_ready_database(settings) as db:
        shops = [await the_shop(db, shop)] if shop else await all_shops(db)
        parts = [await shop_lines(db, one) for one in shops]
    return "\n\n".join(parts) or "There is no shop yet; `shopbell up --demo` makes one."


async def create(settings: Settings, shop: str | None, *, name: str, scopes: tuple[str, ...], test: bool) -> str:
    """A new key, in clear."""
    try:
        new = NewKey(name=name, scopes=cast(tuple[Scope, ...], scopes), mode="test" if test else "live")
    except ValidationError:
        raise KeyProblem(f"A key needs a name and scopes out of {', '.join(SCOPES)}.") from None
    async with open_ready_database(settings) as db:
        owner = await the_shop(db, shop)
        async with db.shop(owner.id) as connection:
            return (await issue_key(connection, owner.id, new)).key


async def revoke(settings: Settings, key: str) -> str:
    """End the key with this id."""
    try:
        key_id = read_id(KEY, key)
    except MalformedId:
        raise KeyProblem("Name the key by its id, key_..., as `shopbell keys list` shows it.") from None
    async with open_ready_database(settings) as db, db.system() as connection:
        name = await connection.scalar(REVOKE, {"id": key_id})
    if name is None:
        raise KeyProblem(f"There is no key {key} that could be revoked.")
    return f"The key {name!r} is revoked."


async def all_shops(db: Database) -> list[Any]:
    async with db.system() as connection:
        return list((await connection.execute(SHOPS)).all())


async def the_shop(db: Database, wanted: str | None) -> Any:
    """The shop with this id or name; without one, the only shop there is."""
    shops = await all_shops(db)
    found = [shop for shop in shops if wanted in (None, shop.name, show_id(SHOP, shop.id))]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{show_id(SHOP, shop.id)} ({shop.name})" for shop in shops) or "none yet"
    why = "Name the shop with --shop" if wanted is None or found else f"There is no shop {wanted!r}"
    raise KeyProblem(f"{why}; the shops are: {known}.")


async def shop_lines(db: Database, shop: Any) -> str:
    async with db.shop(cast(uuid.UUID, shop.id)) as connection:
        rows = (await connection.execute(KEYS, {"shop_id": shop.id})).all()
    lines = [key_line(row) for row in rows] or ["  no keys"]
    return "\n".join([f"{shop.name} ({show_id(SHOP, shop.id)})", *lines])


def key_line(row: Any) -> str:
    used = f"last used {row.last_used_at:%Y-%m-%d %H:%M} UTC" if row.last_used_at else "never used"
    ends = f", expires {row.expires_at:%Y-%m-%d}" if row.expires_at else ""
    return f"  {show_id(KEY, row.id)}  {row.prefix}...  {','.join(row.scopes)}  {row.name!r}, {used}{ends}"
