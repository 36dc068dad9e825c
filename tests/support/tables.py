"""The tables seen from behind the product, to prove what did or did not change."""

import uuid
from typing import Any

import sqlalchemy as sa

from gateway.tables import SHOP_TABLES
from tests.support.product import Running

# Looking at a key's own use would make every call a change.
DIGEST = " UNION ALL ".join(
    f"SELECT '{table}' AS name, count(*) AS rows, md5(string_agg(line, '|' ORDER BY line)) AS digest FROM "
    f"(SELECT (to_jsonb(t) - 'last_used_at')::text AS line FROM {table} t WHERE shop_id = :shop_id) x"
    for table in SHOP_TABLES
)


async def digest_of(running: Running, shop_id: uuid.UUID) -> dict[str, tuple[int, str | None]]:
    """Per table: how many rows the shop has and a digest of all of them. Equal digests: nothing changed."""
    rows = await query(running, DIGEST, shop_id=shop_id)
    return {row.name: (row.rows, row.digest) for row in rows}


async def query(running: Running, sql: str, **values: Any) -> list[Any]:
    """Rows of a statement over all shops."""
    async with running.core.db.system() as connection:
        return list((await connection.execute(sa.text(sql), values)).all())


async def execute(running: Running, sql: str, **values: Any) -> None:
    async with running.core.db.system() as connection:
        await connection.execute(sa.text(sql), values)
