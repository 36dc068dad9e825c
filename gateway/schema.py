"""Bring the database to the schema that this code was written for, and refuse one that is newer."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import ShopbellError

HEAD: Final = "0005"  # a test keeps this equal to the newest file in migrations/versions
MIGRATIONS: Final = Path(__file__).parent / "migrations"
LOCK: Final = 7_166_734_001  # one migrator at a time, whoever starts first


class SchemaTooNew(ShopbellError):
    """The database was written by a newer version of Shopbell; start that version, or restore a backup."""


async def migrate(engine: AsyncEngine) -> None:
    """Return with the schema at `HEAD`. Raises `SchemaTooNew`."""
    async with engine.connect() as connection:
        if await current_revision(connection) == HEAD:
            return
        await connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        await connection.commit()
        try:
            await upgrade(connection)
        finally:
            await connection.rollback()
            await connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
            await connection.commit()


async def current_revision(connection: AsyncConnection) -> str | None:
    """None for an empty database."""
    exists = await connection.scalar(sa.text("SELECT to_regclass('alembic_version')"))
    revision = await connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if exists else None
    await connection.rollback()
    return revision


async def upgrade(connection: AsyncConnection) -> None:
    # Imported here: a start on a schema that is up to date need not load Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    revision = await current_revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaTooNew(
            f"The database has schema {revision} and this version of Shopbell knows up to {HEAD}; "
            "start the newer version, or restore a backup made before the upgrade."
        )

    def run(sync_connection: sa.Connection) -> None:
        config.attributes["connection"] = sync_connection
        command.upgrade(config, "head")

    await connection.run_sync(run)
    await connection.commit()
