"""What a person is told about settings, files and databases that do not fit; without a process each."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from services.demo_file import Demo, DemoDamaged, read_demo, write_demo
from services.embedded_postgres import DatabaseError
from services.private_files import create_private
from services.settings import Mistakes, read_settings
from services.wiring import connect, master_key, read_key
from shared.settings import Settings

DEMO = Demo(shop="shp_1", channel="chn_1", agent="agt_1", key="sb_live_1")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working folder and an environment without settings of ours."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SHOPBELL_{name.upper()}", raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SHOPBELL_PROT", "9000", "SHOPBELL_PROT: there is no such setting; did you mean SHOPBELL_PORT?"),
        ("SHOPBELL_COLOUR", "red", "SHOPBELL_COLOUR: there is no such setting; `shopbell check` lists them all"),
        ("SHOPBELL_PORT", "http", "SHOPBELL_PORT: Input should be a valid integer"),
        ("SHOPBELL_LOG_LEVEL", "loud", "SHOPBELL_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("SHOPBELL_SECRET_KEY", "canary", "SHOPBELL_SECRET_KEY: Value should have at least 32 items"),
    ],
)
def test_a_setting_that_does_not_fit_is_named_as_it_was_written(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Mistakes) as caught:
        read_settings()
    assert said in caught.value.detail
    assert "canary" not in caught.value.detail


def test_a_mistake_on_the_command_line_is_named_as_an_option() -> None:
    with pytest.raises(Mistakes, match="--port: Input should be less than or equal to 65535"):
        read_settings(port=70_000, data_dir=None)


def test_the_agent_s_own_variables_are_settings_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_AGENT_URL", "http://127.0.0.1:9000")
    monkeypatch.setenv("SHOPBELL_AGENT_TOKEN", "sb_agent_x")
    assert read_settings().agent_url == "http://127.0.0.1:9000"


@pytest.mark.parametrize("toml", ["port: 1\n", "port = \n", "\x00"])
def test_a_file_that_is_no_toml_is_said(tmp_path: Path, toml: str) -> None:
    (tmp_path / "shopbell.toml").write_text(toml)
    with pytest.raises(Mistakes, match=r"the file shopbell\.toml cannot be read"):
        read_settings()


def test_a_demo_file_is_read_as_it_was_written_and_none_is_none(tmp_path: Path) -> None:
    assert read_demo(tmp_path) is None
    write_demo(tmp_path, DEMO)
    assert read_demo(tmp_path) == DEMO
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"1", b'{"key": 1}', b"\xff\xfe"])
def test_a_damaged_demo_file_is_said_and_what_to_do(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "demo.json").write_bytes(damage)
    with pytest.raises(DemoDamaged, match=r"demo\.json cannot be read .* restore it, or remove it"):
        read_demo(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"short", b"\xff" * 40])
def test_a_damaged_key_is_said_and_never_replaced(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(damage)
    with pytest.raises(DatabaseError, match=r"secret\.key is damaged"):
        master_key(Settings(data_dir=tmp_path))
    assert (tmp_path / "secret.key").read_bytes() == damage


def test_the_key_is_made_once_and_of_two_that_try_the_first_wins(tmp_path: Path) -> None:
    key = master_key(Settings(data_dir=tmp_path))
    create_private(tmp_path / "secret.key", "another")
    assert read_key(tmp_path / "secret.key") == key == master_key(Settings(data_dir=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:canary@127.0.0.1:1/shop",
        "postgresql://shop:canary@nowhere.invalid/shop",
        "postgresql:///shop?host=/nowhere",
        "postgresql://shop:canary@127.0.0.1:port/shop",
        "mysql://shop:canary@127.0.0.1/shop",
        "canary",
        "",
    ],
)
async def test_a_database_that_cannot_be_reached_is_said_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseError, match="SHOPBELL_DATABASE_URL") as caught:
        async with connect(url, Settings()):
            pass
    assert "canary" not in caught.value.detail
    assert "\n" not in caught.value.detail


async def test_the_url_may_say_what_managed_databases_say(server_url: str) -> None:
    url = server_url.replace("postgresql://", "postgres://") + "&sslmode=prefer&target_session_attrs=read-write"
    async with connect(url, Settings()) as db, db.system() as connection:
        assert await connection.scalar(sa.text("SELECT 1")) == 1
