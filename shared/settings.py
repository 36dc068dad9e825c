"""The settings of every process: `SHOPBELL_*` in the environment, then `shopbell.toml`, then defaults for a laptop."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


class WholeEnvironment(EnvSettingsSource):
    """Every `SHOPBELL_*` variable, those that no setting has too: the library alone would pass over a typo."""

    def __call__(self) -> dict[str, Any]:
        names = {name.removeprefix(self.env_prefix.lower()): name for name in self.env_vars}
        unknown = {short: self.env_vars[name] for short, name in names.items() if self.is_unknown(short, name)}
        return {**super().__call__(), **unknown}

    def is_unknown(self, short: str, name: str) -> bool:
        return short != name and short not in self.settings_cls.model_fields


class Settings(BaseSettings):
    """Unknown keys are refused, so that a typo is not a silent default."""

    model_config = SettingsConfigDict(
        env_prefix="SHOPBELL_", toml_file="shopbell.toml", extra="forbid", hide_input_in_errors=True
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(
        default=None,
        description="How the outside reaches us, for hooks and links. Default: http://host:port.",
    )
    data_dir: Path = Field(
        default=Path(".shopbell"), description="Folder for the embedded database, files and the secret key."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql://user:password@host/name of your own PostgreSQL (15 or newer). Default: embedded.",
    )
    database_pool: int = Field(default=12, ge=4, description="Connections to the database, at most.")
    postgres_bin: Path | None = Field(
        default=None, description="Folder of PostgreSQL server programs to use instead of the embedded ones."
    )
    secret_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="At least 32 characters; encrypts channel secrets and signs cursors. Default: a file in data_dir.",
    )
    max_body_bytes: int = Field(default=1_000_000, ge=1024, description="Largest request body of the API.")
    max_attachment_bytes: int = Field(default=50_000_000, ge=1024, description="Largest file that can be uploaded.")
    private_addresses: bool = Field(
        default=False,
        description="Whether channels may name servers on this machine and in private networks, as in development.",
    )
    reopen_days: float = Field(
        default=7, ge=0, description="A closed conversation is reopened by a message within this time."
    )
    agent_url: str | None = Field(default=None, description="For `shopbell agent`: address of the product.")
    agent_token: SecretStr | None = Field(default=None, description="For `shopbell agent`: the agent's token.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="Least level that is logged."
    )
    log_format: Literal["text", "json"] = Field(default="text", description="Logs for people or for machines.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, WholeEnvironment(settings_cls), TomlConfigSettingsSource(settings_cls)
