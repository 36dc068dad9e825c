"""Opens what a process needs, in order, and closes it in reverse."""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from connectors.host import ConnectorHost
from connectors.webchat import WebChat
from gateway.app import Gateway, build_gateway
from gateway.core import Core
from gateway.database import Database
from gateway.events.tail import FeedTail
from gateway.schema import migrate
from services.embedded_postgres import DatabaseError, data_folder, embedded_postgres
from shared.bus import Bus
from shared.clock import system_clock
from shared.connector import Connector
from shared.settings import Settings

CONNECTORS: Final[Mapping[str, type[Connector]]] = {kind.channel_type.name: kind for kind in (WebChat,)}
KEY_FILE: Final = "secret.key"


@contextlib.asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database, at the schema of this code: the embedded one, or the one that the settings name."""
    async with contextlib.AsyncExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            folder = stack.enter_context(data_folder(settings.data_dir))
            url = await stack.enter_async_context(embedded_postgres(folder, bin_dir=settings.postgres_bin))
            await ensure_database(url)
        db = Database(url, pool=settings.database_pool)
        stack.push_async_callback(db.close)
        try:
            await migrate(db.engine)
        except (OSError, asyncpg.PostgresError) as error:
            raise DatabaseError(
                f"The database cannot be reached or used: {error}; check SHOPBELL_DATABASE_URL."
            ) from error
        yield db


async def ensure_database(url: str) -> None:
    """A new cluster has no database of ours yet."""
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.InvalidCatalogNameError:
        connection = await asyncpg.connect(url, database="postgres")
        await connection.execute("CREATE DATABASE shopbell")
    await connection.close()


def master_key(settings: Settings) -> bytes:
    """The key that encrypts channel secrets: from the settings, or from a file in the data folder."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    path = settings.data_dir.expanduser() / KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
    return read_key(path)


def read_key(path: Path) -> bytes:
    key = path.read_text().strip()
    if len(key) < 32:
        raise DatabaseError(
            f"The key in {path} is damaged; restore it from a backup, or channel secrets stay unreadable."
        )
    return key.encode()


def new_gateway(db: Database, bus: Bus, settings: Settings) -> Gateway:
    types = {name: kind.channel_type for name, kind in CONNECTORS.items()}
    core = Core(db, bus, settings, system_clock, types, FeedTail(db, bus), master_key(settings))
    return build_gateway(core)


@contextlib.asynccontextmanager
async def open_connectors(bus: Bus) -> AsyncIterator[ConnectorHost]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(15, connect=5), trust_env=False) as http:
        host = ConnectorHost(CONNECTORS, bus=bus, http=http, clock=system_clock)
        try:
            yield host
        finally:
            await host.close()
