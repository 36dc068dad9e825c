"""The database, and the two ways to speak to it: as one shop, or as the product itself.

Whatever serves a caller uses `shop()`: a transaction in a role that row-level security confines to that shop, so that
a forgotten WHERE shows nothing. Ingest, relay and feed work for all shops at once and use `system()`.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

SHOP_ROLE: Final = "shopbell_shop"

ENTER_SHOP: Final = sa.text(
    f"SELECT set_config('role', '{SHOP_ROLE}', true), set_config('shopbell.shop_id', :shop_id, true)"
)

# A statement of ours that takes longer than this is a fault; a transaction left open would hold up a shop's feed.
SERVER_SETTINGS: Final = {
    "application_name": "shopbell",
    "statement_timeout": "30000",
    "idle_in_transaction_session_timeout": "10000",
    "timezone": "UTC",
}

TRANSIENT: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.exceptions.OperatorInterventionError,  # shut down, crash recovery, cancelled
    asyncpg.exceptions.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.exceptions.TransactionRollbackError,  # deadlock: the next try succeeds
    asyncpg.exceptions.LockNotAvailableError,
    asyncpg.exceptions.CannotConnectNowError,
    asyncpg.exceptions.InvalidCatalogNameError,  # the next two are met when connecting: moved away, password changed
    asyncpg.exceptions.InvalidAuthorizationSpecificationError,
    OSError,
    TimeoutError,
)
"""Errors of the database that say nothing about the data: the same work may succeed later."""


class Database:
    """Connections to one PostgreSQL."""

    def __init__(self, url: str, *, pool: int) -> None:
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._new_connection,  # the driver knows every URL of libpq's, with sslmode and the rest
            pool_size=pool,
            max_overflow=0,
            pool_timeout=5,
            pool_pre_ping=False,
            hide_parameters=True,  # they are customers' words, and errors end in the log
        )

    async def _new_connection(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self.url, server_settings=SERVER_SETTINGS, timeout=5)

    @contextlib.asynccontextmanager
    async def shop(self, shop_id: uuid.UUID) -> AsyncIterator[AsyncConnection]:
        """A transaction that can see and touch one shop; committed at the end, rolled back by an exception."""
        async with self.engine.begin() as connection:
            await connection.execute(ENTER_SHOP, {"shop_id": str(shop_id)})
            yield connection

    @contextlib.asynccontextmanager
    async def system(self) -> AsyncIterator[AsyncConnection]:
        """A transaction over all shops."""
        async with self.engine.begin() as connection:
            yield connection

    async def hold(self) -> AsyncConnection:
        """A connection for a part that lives long and begins its transactions itself, on the driver below."""
        return await self.engine.execution_options(isolation_level="AUTOCOMMIT").connect()

    async def close(self) -> None:
        await self.engine.dispose()


async def raw_of(connection: AsyncConnection) -> Any:
    """The asyncpg connection below."""
    return (await connection.get_raw_connection()).driver_connection


async def driver(connection: AsyncConnection) -> Any:
    """The asyncpg connection below, in the same transaction, for set-based statements over arrays."""
    raw = await raw_of(connection)
    if not raw.is_in_transaction():  # SQLAlchemy begins with the first statement that passes through it
        await connection.execute(sa.text("SELECT 1"))
    return raw
