"""The settings of a Telegram bot."""

import re
import secrets
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from shared.model import StrictModel

API_URL: Final = "https://api.telegram.org"
HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
TOKEN: Final = re.compile(r"[0-9]{1,19}:[A-Za-z0-9_-]{1,200}")
PROOF_HEADER: Final = "x-telegram-bot-api-secret-token"
WEBHOOK_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,256}")  # setWebhook takes 1 to 256 of these


def is_token(secret: SecretStr) -> SecretStr:
    trimmed = secret.get_secret_value().strip()
    if not TOKEN.fullmatch(trimmed):
        raise ValueError("a token looks like 123456:ABC-DEF...; copy the whole of it from BotFather")
    return SecretStr(trimmed)


def is_webhook_secret(secret: SecretStr) -> SecretStr:
    if not WEBHOOK_SECRET.fullmatch(secret.get_secret_value()):
        raise ValueError("16 to 256 letters, digits, - and _; leave it out to have one made")
    return secret


class TelegramConfig(StrictModel):
    token: Annotated[SecretStr, AfterValidator(is_token)] = Field(description="The bot's token, as BotFather shows it.")
    mode: Literal["polling", "webhook"] = Field(
        default="polling", description="We ask Telegram (works behind any router), or Telegram calls us (needs HTTPS)."
    )
    webhook_secret: Annotated[SecretStr, AfterValidator(is_webhook_secret)] = Field(
        default_factory=lambda: SecretStr(secrets.token_urlsafe(32)),
        description="What Telegram proves itself with when it calls us. Made by itself.",
    )
    api_url: str = Field(
        default=API_URL,
        pattern=r"^https?://[^\s?#{}]+$",
        description="Where the Bot API is, if on a server of your own.",
    )
    local: bool = Field(default=False, description="That server runs with --local, on this machine: files of any size.")

    @model_validator(mode="after")
    def local_is_here(self) -> Self:
        """Of a server elsewhere, a path of this machine would be anyone's choice of our files."""
        if self.local and urlsplit(self.api_url).hostname not in HERE:
            raise ValueError(
                "local is for a server on this machine; api_url has to be http://127.0.0.1:8081 or the like"
            )
        return self

    @property
    def bot_id(self) -> str:
        """The number before the colon: no secret, and our end of every conversation."""
        return self.token.get_secret_value().partition(":")[0]
