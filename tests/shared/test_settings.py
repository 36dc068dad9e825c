"""Settings: the environment before the file before the defaults, and no typo is a silent default."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and an environment without settings of ours."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SHOPBELL_{name.upper()}", raising=False)
    return tmp_path


def test_without_anything_the_defaults_work_on_a_laptop() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8080, None)


def test_the_file_is_read_and_the_environment_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shopbell.toml").write_text('port = 9000\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("SHOPBELL_PORT", "9001")
    settings = Settings()
    assert (settings.host, settings.port) == ("0.0.0.0", 9001)


def test_what_is_passed_in_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELL_PORT", "9001")
    assert Settings(port=9002).port == 9002


@pytest.mark.parametrize("text", ["prot = 1\n", "[server]\nport = 1\n"])
def test_an_unknown_key_in_the_file_is_refused_by_name(folder: Path, text: str) -> None:
    (folder / "shopbell.toml").write_text(text)
    with pytest.raises(ValidationError, match=r"prot|server"):
        Settings()


@pytest.mark.parametrize("name", ["SHOPBELL_PROT", "shopbell_prot", "SHOPBELL_PORT_"])
def test_an_unknown_key_in_the_environment_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "9001")
    with pytest.raises(ValidationError, match=r"prot|port_"):
        Settings()


def test_an_unknown_key_in_the_code_is_refused() -> None:
    with pytest.raises(ValidationError, match="prot"):
        Settings.model_validate({"prot": 1})


def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPBELLS_PORT", "x")
    monkeypatch.setenv("PORT", "x")
    assert Settings().port == 8080


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("database_pool", "1"),
        ("max_body_bytes", "1"),
        ("reopen_days", "-1"),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("secret_key", "short"),
    ],
)
def test_a_value_out_of_range_is_refused_and_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SHOPBELL_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_all_mistakes_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "DATABASE_POOL", "LOG_LEVEL"):
        monkeypatch.setenv(f"SHOPBELL_{name}", "nonsense")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert caught.value.error_count() == 3


def test_secrets_are_shown_neither_by_settings_nor_by_their_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(secret_key=SecretStr("canary" * 8), database_url=SecretStr("postgresql://u:canary@h/d"))
    assert "canary" not in f"{settings!r} {settings!s} {settings.model_dump_json()}"
    monkeypatch.setenv("SHOPBELL_SECRET_KEY", "canary")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "canary" not in str(caught.value)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
