"""The schema: what the migrations build is what the code believes in, there and back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.database import SHOP_ROLE, Database
from gateway.schema import HEAD, MIGRATIONS, SchemaTooNew, current_revision, migrate
from gateway.tables import SHOP_TABLES, metadata


@pytest.fixture
async def db(fresh_database: str) -> AsyncIterator[Database]:
    database = Database(fresh_database, pool=4)
    yield database
    await database.close()


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def script_directory() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config())


async def test_the_migrations_build_exactly_the_tables_of_the_code(db: Database) -> None:
    await migrate(db.engine)

    def differences(connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with db.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


def test_the_head_is_the_newest_migration() -> None:
    assert script_directory().get_heads() == [HEAD]
    assert (Path(MIGRATIONS) / "versions").is_dir()


async def test_migrating_twice_is_harmless(db: Database) -> None:
    await migrate(db.engine)
    await migrate(db.engine)
    async with db.engine.connect() as connection:
        assert await current_revision(connection) == HEAD


async def test_two_that_start_at_the_same_moment_migrate_once(db: Database) -> None:
    await asyncio.gather(migrate(db.engine), migrate(db.engine))
    async with db.engine.connect() as connection:
        assert await current_revision(connection) == HEAD


async def test_down_to_nothing_and_up_again(db: Database) -> None:
    await migrate(db.engine)
    config = alembic_config()

    def down(connection: sa.Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    async with db.engine.begin() as connection:
        await connection.run_sync(down)
    async with db.engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert set(tables) == {"alembic_version"}
    await migrate(db.engine)
    async with db.engine.connect() as connection:
        assert await current_revision(connection) == HEAD


async def test_a_schema_newer_than_the_code_is_refused_and_left_alone(db: Database) -> None:
    await migrate(db.engine)
    async with db.engine.begin() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew, match="9999"):
        await migrate(db.engine)
    async with db.engine.connect() as connection:
        assert await current_revision(connection) == "9999"


async def test_every_table_of_a_shop_is_under_row_level_security(db: Database) -> None:
    """From the catalogue, not from a list: a table that comes later cannot be forgotten."""
    await migrate(db.engine)
    async with db.engine.connect() as connection:
        rows = await connection.execute(
            sa.text(
                """
                SELECT c.relname, c.relrowsecurity,
                       (SELECT array_agg(p.polname::text) FROM pg_policy p WHERE p.polrelid = c.oid
                        AND p.polcmd = '*' AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL) AS policies
                FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'shop_id'
                WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND NOT a.attisdropped
                """
            )
        )
        found = {row.relname: (row.relrowsecurity, row.policies) for row in rows}
    assert set(found) == set(SHOP_TABLES)
    assert {name: state for name, state in found.items() if state != (True, ["own_shop"])} == {}


async def test_the_role_of_the_callers_cannot_log_in_or_pass_by_row_level_security(db: Database) -> None:
    await migrate(db.engine)
    async with db.engine.connect() as connection:
        row = (
            await connection.execute(
                sa.text("SELECT rolcanlogin, rolbypassrls, rolsuper FROM pg_roles WHERE rolname = :name"),
                {"name": SHOP_ROLE},
            )
        ).one()
    assert tuple(row) == (False, False, False)
