"""What is set up, and what is promised before anything is loaded."""

import subprocess
import sys

import pytest
from pydantic import SecretStr, ValidationError

from connectors.telegram import CHANNEL_TYPE
from connectors.telegram.config import TelegramConfig
from shared.capabilities import check_content
from shared.content import Buttons, Option
from shared.errors import Unsupported
from tests.connectors.telegram.given import BOT, TOKEN, telegram_config


@pytest.mark.parametrize(
    "token", ["", "7001", ":secret", "7001:", "bot:secret", "7001:se cret", "7001:secret/..", "é:a"]
)
def test_what_is_no_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValidationError, match="BotFather") as caught:
        TelegramConfig(token=SecretStr(token))
    assert not token or f"'{token}'" not in str(caught.value)


def test_a_token_may_be_pasted_with_the_space_around_it() -> None:
    config = TelegramConfig(token=SecretStr(f" {TOKEN}\n"))
    assert config.token.get_secret_value() == TOKEN
    assert config.bot_id == BOT


def test_a_webhook_secret_is_made_for_each_channel() -> None:
    one, other = (TelegramConfig(token=SecretStr(TOKEN)).webhook_secret.get_secret_value() for _ in range(2))
    assert one != other
    assert len(one) >= 32


@pytest.mark.parametrize("secret", ["", "short", "with a space and more", "with-é-and-more-letters"])
def test_a_webhook_secret_that_telegram_would_refuse_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="16 to 256"):
        telegram_config(webhook_secret=SecretStr(secret))


@pytest.mark.parametrize(
    "url", ["api.telegram.org", "ftp://x", "https://x?y", "https://x#y", "https://x y", "https://x/{token}"]
)
def test_an_api_url_without_a_scheme_or_with_a_query_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        telegram_config(api_url=url)


def test_a_server_elsewhere_is_not_local() -> None:
    assert telegram_config(local=True, api_url="http://localhost:8081").local
    for url in ("https://api.telegram.org", "http://10.0.0.5:8081", "http://127.0.0.1.evil.example"):
        with pytest.raises(ValidationError, match="this machine"):
            telegram_config(local=True, api_url=url)


def test_a_bot_never_learns_what_became_of_its_messages_and_says_so() -> None:
    receipts = CHANNEL_TYPE.capabilities.receipts
    assert (receipts.delivered_in, receipts.read_in, receipts.read_out) == ("none", "none", "none")


def test_only_a_business_chat_can_be_told_that_we_read() -> None:
    receipts = CHANNEL_TYPE.capabilities.receipts
    assert receipts.can_tell_read({"business": "bc-1"})
    assert not receipts.can_tell_read({})


def test_a_button_whose_id_is_longer_than_64_bytes_is_refused_beforehand() -> None:
    def offer(id: str) -> Buttons:
        return Buttons(text="Which?", options=(Option(id=id, label="This"),))

    check_content(CHANNEL_TYPE.capabilities, offer("é" * 32))
    with pytest.raises(Unsupported, match="64 bytes"):
        check_content(CHANNEL_TYPE.capabilities, offer("é" * 32 + "x"))


def test_the_library_of_the_provider_is_not_loaded_before_there_is_a_channel() -> None:
    code = "import sys, connectors.telegram as t; t.CHANNEL_TYPE; sys.exit('aiogram' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
