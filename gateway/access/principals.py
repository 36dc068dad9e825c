"""From a bearer token to a caller of one shop."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import sqlalchemy as sa

from gateway.database import Database
from shared.ids import AGENT, KEY, show_id
from shared.signing import is_secret

AGENT_PREFIX: Final = "sb_agent"
KEY_PREFIXES: Final = {"live": "sb_live", "test": "sb_test"}
Scope = Literal["read", "write", "admin"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
IMPLIED: Final[dict[str, frozenset[str]]] = {
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
    "admin": frozenset({"read", "write", "admin"}),
}
LAST_USED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Principal:
    """A caller. `expires_at` ends its streams too."""

    shop_id: uuid.UUID
    shop_name: str
    kind: Literal["key", "agent"]
    id: uuid.UUID
    name: str
    scopes: frozenset[str]
    expires_at: datetime | None
    bot: bool = False

    @property
    def public_id(self) -> str:
        return show_id(KEY if self.kind == "key" else AGENT, self.id)


def hash_secret(secret: str) -> bytes:
    """Secrets have 190 random bits: a plain hash cannot be searched backwards."""
    return hashlib.sha256(secret.encode()).digest()


FIND_KEY: Final = sa.text(
    """
    SELECT k.shop_id, s.name AS shop_name, k.id, k.name, k.scopes, k.expires_at, k.last_used_at
    FROM keys k JOIN shops s ON s.id = k.shop_id
    WHERE k.secret_hash = :hash AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > :now)
    """
)
FIND_AGENT: Final = sa.text(
    """
    SELECT t.shop_id, s.name AS shop_name, a.id, a.name, a.type, t.expires_at
    FROM agent_tokens t JOIN agents a ON (a.shop_id, a.id) = (t.shop_id, t.agent_id) JOIN shops s ON s.id = t.shop_id
    WHERE t.secret_hash = :hash AND t.expires_at > :now
    """
)
TOUCH_KEY: Final = sa.text("UPDATE keys SET last_used_at = :now WHERE shop_id = :shop_id AND id = :id")


async def find_principal(db: Database, token: str, now: datetime) -> Principal | None:
    """The caller behind a token, or None: unknown, revoked and expired look the same from outside."""
    if not token.isascii() or not is_secret(token):
        return None
    if token.startswith(AGENT_PREFIX + "_"):
        return await find_agent(db, token, now)
    return await find_key(db, token, now)


async def find_agent(db: Database, token: str, now: datetime) -> Principal | None:
    async with db.system() as connection:
        row = (await connection.execute(FIND_AGENT, {"hash": hash_secret(token), "now": now})).one_or_none()
    if row is None:
        return None
    return Principal(
        row.shop_id, row.shop_name, "agent", row.id, row.name, IMPLIED["write"], row.expires_at, row.type == "bot"
    )


async def find_key(db: Database, token: str, now: datetime) -> Principal | None:
    async with db.system() as connection:
        row = (await connection.execute(FIND_KEY, {"hash": hash_secret(token), "now": now})).one_or_none()
        if row is None:
            return None
        if row.last_used_at is None or now - row.last_used_at > LAST_USED_EVERY:
            await connection.execute(TOUCH_KEY, {"now": now, "shop_id": row.shop_id, "id": row.id})
    scopes = frozenset().union(*(IMPLIED.get(scope, frozenset({scope})) for scope in row.scopes))
    return Principal(row.shop_id, row.shop_name, "key", row.id, row.name, scopes, row.expires_at)
