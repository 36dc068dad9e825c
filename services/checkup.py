"""`shopbell check`: the settings as they apply, and whether what they name answers. Changes nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pydantic import SecretStr

from gateway.database import Database
from gateway.schema import HEAD, current_revision
from services.embedded_postgres import DatabaseError, FolderInUse, server_url
from services.wiring import CONNECTORS, connect, key_file, open_server, read_key
from shared.errors import ShopbellError
from shared.settings import Settings

MASK: Final = "********"


@dataclass(frozen=True)
class Checkup:
    """What was found. `well`: nothing stands in the way of a start."""

    text: str
    well: bool


async def check_up(settings: Settings) -> Checkup:
    """Settings, database, key and connectors, each with what is wrong with it in words."""
    findings = [await database(settings), secret_key(settings)]
    lines = ["Settings", *setting_lines(settings), "", *(f"{name:<12} {said}" for name, said, _ in findings)]
    lines.append(f"{'Connectors':<12} {', '.join(sorted(CONNECTORS))}")
    return Checkup("\n".join(lines), all(well for _, _, well in findings))


def setting_lines(settings: Settings) -> list[str]:
    width = max(map(len, Settings.model_fields))
    return [f"  {name:<{width}}  {shown(getattr(settings, name))}" for name in Settings.model_fields]


def shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case SecretStr():
            return MASK
        case _:
            return str(value)


Finding = tuple[str, str, bool]


async def database(settings: Settings) -> Finding:
    try:
        said, well = await ask_database(settings)
    except ShopbellError as error:
        return "Database", error.detail, False
    return "Database", said, well


async def ask_database(settings: Settings) -> tuple[str, bool]:
    folder = settings.data_dir.expanduser().absolute()
    if settings.database_url is None and not has_cluster(folder):
        return f"embedded, not made yet: the first start makes it in {folder}", True
    try:
        async with open_server(settings) as url:
            return await ask(settings, url, "embedded" if settings.database_url is None else "answers")
    except FolderInUse:
        return await ask(settings, server_url(folder), "embedded, at work in a running Shopbell")


def has_cluster(folder: Path) -> bool:
    return (folder / "postgres" / "PG_VERSION").exists()


async def ask(settings: Settings, url: str, how: str) -> tuple[str, bool]:
    async with connect(url, settings) as db:
        return await describe(db, how)


async def describe(db: Database, how: str) -> tuple[str, bool]:
    async with db.engine.connect() as connection:
        version = await connection.scalar(sa.text("SHOW server_version"))
        revision = await current_revision(connection)
    match revision:
        case None:
            schema, well = "no schema yet: the first start, or `shopbell migrate`, makes it", True
        case str() if revision == HEAD:
            schema, well = f"schema {revision}, as this version wants it", True
        case str() if revision < HEAD:
            schema, well = f"schema {revision}: the next start, or `shopbell migrate`, brings it to {HEAD}", True
        case _:
            schema, well = f"schema {revision}, newer than this version knows ({HEAD}): start the newer version", False
    return f"{how}: PostgreSQL {version}, {schema}", well


def secret_key(settings: Settings) -> Finding:
    if settings.secret_key is not None:
        return "Secret key", "from the settings", True
    path = key_file(settings)
    if not path.exists():
        return "Secret key", f"not made yet: the first start makes it in {path}", True
    try:
        read_key(path)
    except DatabaseError as error:
        return "Secret key", error.detail, False
    return "Secret key", f"in {path}", True
