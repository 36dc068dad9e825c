"""`shopbell migrate`, `check`, `keys` and `openapi`: on the database itself, beside the product."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from shopbell_client import Client

from gateway.schema import HEAD
from services import keys
from services.checkup import check_up
from services.embedded_postgres import DatabaseError
from services.migrate import migrate_database
from services.openapi import openapi_json
from services.wiring import connect
from shared.settings import Settings
from tests.support.process import clean_environment, running_up
from tests.support.product import Running, Shop


@pytest.fixture
def empty(fresh_database: str, tmp_path: Path) -> Settings:
    """Settings that name a database with nothing in it."""
    return Settings(database_url=SecretStr(fresh_database), data_dir=tmp_path / "data")


@pytest.fixture
def there(running: Running, tmp_path: Path) -> Settings:
    """Settings that name the running product's database."""
    return Settings(database_url=SecretStr(running.core.db.url), data_dir=tmp_path / "data")


async def shopbell(*args: str, cwd: Path, **env: str) -> tuple[int, str]:
    """Run the command; (exit code, what it said)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", *args, cwd=cwd, env=clean_environment(**env),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await process.communicate()
    return process.returncode or 0, told.decode()


# check


async def test_check_tells_an_empty_database_from_one_that_is_up_to_date(empty: Settings) -> None:
    before = await check_up(empty)
    assert (before.well, "no schema yet" in before.text) == (True, True)
    assert await migrate_database(empty) == f"The database is at schema {HEAD}."
    after = await check_up(empty)
    assert (after.well, f"schema {HEAD}, as this version wants it" in after.text) == (True, True)


async def test_check_refuses_a_schema_that_is_newer_than_the_code(empty: Settings) -> None:
    await migrate_database(empty)
    assert empty.database_url is not None
    async with connect(empty.database_url.get_secret_value(), empty) as db, db.system() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    found = await check_up(empty)
    assert (found.well, "newer than this version knows" in found.text) == (False, True)
    with pytest.raises(DatabaseError, match="run `shopbell migrate` first"):
        await keys.list_all(empty, None)


async def test_check_shows_every_setting_and_no_secret(tmp_path: Path) -> None:
    url = SecretStr("postgresql://shop:canary@127.0.0.1:1/shop")
    found = await check_up(Settings(data_dir=tmp_path, secret_key=SecretStr("canary" * 8), database_url=url))
    assert not found.well
    assert "cannot be reached" in found.text
    assert "canary" not in found.text
    assert all(name in found.text for name in Settings.model_fields)
    assert "webchat" in found.text


async def test_check_makes_nothing_where_nothing_is(tmp_path: Path) -> None:
    code, told = await shopbell("check", "--data-dir", "data", cwd=tmp_path)
    assert (code, "not made yet" in told) == (0, True)
    assert os.listdir(tmp_path) == []


async def test_check_says_every_mistake_at_once(tmp_path: Path) -> None:
    code, told = await shopbell("check", cwd=tmp_path, SHOPBELL_PROT="1", SHOPBELL_LOG_LEVEL="loud")
    assert code == 1
    assert "SHOPBELL_PROT" in told
    assert "SHOPBELL_LOG_LEVEL" in told


@pytest.mark.slow
async def test_check_and_keys_beside_a_running_product(used: Path) -> None:
    async with running_up(used) as up:
        code, told = await shopbell("check", "--data-dir", str(used), cwd=used.parent)
        assert (code, "at work in a running Shopbell" in told) == (0, True), told
        code, told = await shopbell("keys", "list", "--data-dir", str(used), cwd=used.parent)
        assert (code, "in use by another Shopbell" in told) == (1, True), told
        await up.stop()
    code, told = await shopbell(
        "keys", "create", "Backend", "--scope", "read", "--data-dir", str(used), cwd=used.parent
    )
    assert (code, told.startswith("sb_live_"), len(told.split())) == (0, True, 1), told
    async with running_up(used) as up, Client(up.url, told.strip()) as client:
        assert (await client.me()).scopes == ("read",)


# keys


async def test_a_key_is_made_listed_used_and_revoked(there: Settings, shop: Shop) -> None:
    secret = await keys.create(there, shop.id, name="Backend", scopes=("read",), test=True)
    assert secret.startswith("sb_test_")
    async with Client(shop.url, secret) as client:
        me = await client.me()
        assert (me.shop.id, me.principal.name) == (shop.id, "Backend")
        listed = await keys.list_all(there, shop.id)
        assert me.principal.id in listed
        assert secret not in listed
        assert "revoked" in await keys.revoke(there, me.principal.id)
        assert me.principal.id not in await keys.list_all(there, shop.id)
    with pytest.raises(keys.KeyProblem, match="no key"):
        await keys.revoke(there, me.principal.id)


async def test_where_there_are_several_shops_one_has_to_be_named(
    there: Settings, shop: Shop, another_shop: object
) -> None:
    async with another_shop() as other:  # type: ignore[operator]
        with pytest.raises(keys.KeyProblem, match="Name the shop with --shop"):
            await keys.create(there, None, name="Backend", scopes=("read",), test=False)
        with pytest.raises(keys.KeyProblem, match="There is no shop 'Nobody'"):
            await keys.create(there, "Nobody", name="Backend", scopes=("read",), test=False)
        assert other.id in await keys.list_all(there, None)
        assert shop.id not in await keys.list_all(there, other.id)


@pytest.mark.parametrize(("name", "scopes"), [("", ("read",)), ("Backend", ("boss",)), ("Backend", ())])
async def test_a_key_without_a_name_or_with_unknown_scopes_is_refused(
    there: Settings, name: str, scopes: tuple[str, ...]
) -> None:
    with pytest.raises(keys.KeyProblem, match="read, write, admin"):
        await keys.create(there, None, name=name, scopes=scopes, test=False)


# openapi


async def test_openapi_is_what_the_server_itself_shows(running: Running, shop: Shop) -> None:
    import httpx

    async with httpx.AsyncClient() as http:
        shown = (await http.get(f"{running.url}/openapi.json")).json()
    assert json.loads(openapi_json()) == shown


# parse


async def test_parse_names_the_types_it_knows(tmp_path: Path) -> None:
    code, told = await shopbell("parse", "pigeon", cwd=tmp_path)
    assert (code, told) == (1, "shopbell: There is no parser for 'pigeon'; known: email, telegram, whatsapp.\n")


async def test_parse_goes_on_behind_a_file_that_is_malformed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("no json")
    (tmp_path / "b.json").write_text("{")
    code, told = await shopbell("parse", "whatsapp", "a.json", "b.json", "gone.json", cwd=tmp_path)
    lines = [json.loads(line) for line in told.splitlines()]
    assert [(line["source"], line["outcome"]) for line in lines] == [
        ("a.json", "malformed"),
        ("b.json", "malformed"),
        ("gone.json", "malformed"),
    ]
    assert (code, lines[2]["reason"]) == (2, "The file cannot be read: No such file or directory")
