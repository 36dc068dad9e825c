"""Opens what a process needs, in order, and closes it in reverse."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from sqlalchemy.exc import SQLAlchemyError

from connectors import email, telegram, whatsapp
from connectors.host import ConnectorHost
from connectors.kinds import Kind, loaded
from connectors.webchat import WebChat
from gateway.app import Gateway, build_gateway
from gateway.core import Core
from gateway.database import Database
from gateway.events.tail import FeedTail
from gateway.schema import HEAD, current_revision, migrate
from services.embedded_postgres import DatabaseError, data_folder, embedded_postgres, ensure_database
from services.private_files import create_private
from shared.bus import Bus
from shared.clock import system_clock
from shared.connector import ChannelType
from shared.files import FileStore, local_files
from shared.outgoing import outgoing_http, outgoing_socket
from shared.settings import Settings

KINDS: Final = (
    loaded(WebChat, serves=True),
    Kind(telegram.CHANNEL_TYPE, telegram.load_connector, listens=True),
    Kind(email.CHANNEL_TYPE, email.load_connector, listens=True),
    Kind(whatsapp.CHANNEL_TYPE, whatsapp.load_connector, listens=True),
)
CONNECTORS: Final[Mapping[str, Kind]] = {kind.channel_type.name: kind for kind in KINDS}
KEY_FILE: Final = "secret.key"
KEY_LENGTH_MIN: Final = 32  # as for the setting


@contextlib.asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[str]:
    """The URL of the database: of the one that the settings name, or of an embedded one that runs meanwhile."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with data_folder(settings.data_dir) as folder:
        async with embedded_postgres(folder, bin_dir=settings.postgres_bin) as url:
            await ensure_database(url)
            yield url


@contextlib.asynccontextmanager
async def connect(url: str, settings: Settings) -> AsyncIterator[Database]:
    """Connections to a database that answers. Raises `DatabaseError`, the URL's password not in it."""
    with in_words():
        db = Database(url, pool=settings.database_pool)
    try:
        with in_words():
            async with db.engine.connect():
                pass
        yield db
    finally:
        await db.close()


@contextlib.asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database, at the schema of this code."""
    async with open_server(settings) as url, connect(url, settings) as db:
        with in_words():
            await migrate(db.engine)
        yield db


@contextlib.asynccontextmanager
async def open_ready_database(settings: Settings) -> AsyncIterator[Database]:
    """The database for a command beside the product: it must be there and at this schema; nothing is made."""
    folder = settings.data_dir.expanduser().absolute()
    if settings.database_url is None and not (folder / "postgres" / "PG_VERSION").exists():
        raise DatabaseError(
            f"There is no database in {folder} yet; start `shopbell up` first, or name the right folder."
        )
    async with open_server(settings) as url, connect(url, settings) as db:
        async with db.engine.connect() as connection:
            revision = await current_revision(connection)
        if revision != HEAD:
            raise DatabaseError(f"The database has schema {revision}, not {HEAD}; run `shopbell migrate` first.")
        yield db


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Whatever keeps us from the database, as one sentence."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, SQLAlchemyError, ValueError) as error:
        told = getattr(error, "orig", None) or error  # without the statement and its values
        why = " ".join(str(told).split()) or type(told).__name__
        raise DatabaseError(
            f"The database cannot be reached or used: {why}; check SHOPBELL_DATABASE_URL or, where it is not set, see "
            "postgres.log in the data folder."
        ) from None


def master_key(settings: Settings) -> bytes:
    """The key that encrypts channel secrets: from the settings, or from a file in the data folder."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    path = key_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            create_private(path, secrets.token_urlsafe(48))
    except OSError as error:
        raise DatabaseError(
            f"The data folder {path.parent} cannot be written ({error.strerror}); give it to this user, name another "
            "with --data-dir or SHOPBELL_DATA_DIR, or set SHOPBELL_SECRET_KEY."
        ) from error
    return read_key(path)


def key_file(settings: Settings) -> Path:
    return settings.data_dir.expanduser() / KEY_FILE


def read_key(path: Path) -> bytes:
    """Raises `DatabaseError` for what cannot be the key that was written there."""
    try:
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    if len(key) < KEY_LENGTH_MIN:
        raise DatabaseError(
            f"The key in {path} is damaged or cannot be read; restore it from a backup: without it, the channels' "
            "secrets in the database stay unreadable."
        )
    return key.encode()


def channel_types() -> dict[str, ChannelType]:
    return {name: kind.channel_type for name, kind in CONNECTORS.items()}


def new_gateway(db: Database, bus: Bus, settings: Settings) -> Gateway:
    files = local_files(settings.data_dir)
    core = Core(db, bus, settings, system_clock, channel_types(), FeedTail(db, bus), master_key(settings), files)
    return build_gateway(core)


def new_http(settings: Settings) -> httpx.AsyncClient:
    """The client for whatever connectors ask of providers."""
    return outgoing_http(private=settings.private_addresses)


async def close_http(opening: "asyncio.Task[httpx.AsyncClient]") -> None:
    await (await opening).aclose()


@contextlib.asynccontextmanager
async def open_connectors(
    bus: Bus, http: httpx.AsyncClient, files: FileStore, settings: Settings
) -> AsyncIterator[ConnectorHost]:
    dial = outgoing_socket(private=settings.private_addresses)
    host = ConnectorHost(CONNECTORS, bus=bus, http=http, clock=system_clock, files=files, dial=dial)
    try:
        async with host.listening():
            yield host
    finally:
        await host.close()
