"""`check` says in words what is wrong and what to do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from connectors.telegram.simulator import TelegramSimulator
from shared.simulator import Fault
from tests.connectors.telegram.given import TOKEN, connect, telegram_config

URL = "https://shop.example/hooks/telegram/chn_1"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def informed(**said: Any) -> TelegramSimulator:
    class Informed(TelegramSimulator):
        async def get_webhook_info(self, form: object) -> JsonValue:
            return {"url": "", "has_custom_certificate": False, "pending_update_count": 0, **said}

    return Informed(token=TOKEN)


async def problems(server: TelegramSimulator, *, mode: str = "polling", url: str | None = None) -> tuple[str, ...]:
    connector = connect(server, config=telegram_config(mode=mode), hook_url=url, clock=lambda: NOW)
    return (await connector.check()).problems


async def test_a_bot_in_good_order_has_no_problems() -> None:
    assert await problems(informed()) == ()
    assert await problems(informed(url=URL), mode="webhook", url=URL) == ()


async def test_a_token_that_telegram_does_not_know() -> None:
    server = informed()
    server.script([Fault.UNAUTHORIZED])
    (problem,) = await problems(server)
    assert "BotFather" in problem


@pytest.mark.parametrize(
    ("mode", "url", "said", "words"),
    [
        ("polling", None, {"url": "https://rival.example/hook/secret-path"}, "rival.example"),
        ("polling", None, {"pending_update_count": 500}, "500 updates wait"),
        ("webhook", None, {}, "SHOPBELL_PUBLIC_URL"),
        ("webhook", URL, {"url": ""}, "not set"),
        ("webhook", URL, {"url": "https://old.example/hook/secret-path"}, "old.example"),
        ("webhook", "https://shop.example:8080/hook", {"url": "https://shop.example:8080/hook"}, "8443"),
        ("webhook", "http://shop.example/hook", {"url": "http://shop.example/hook"}, "HTTPS"),
        (
            "webhook",
            URL,
            {
                "url": URL,
                "last_error_date": int((NOW - timedelta(minutes=5)).timestamp()),
                "last_error_message": "Wrong response from the webhook: 503",
            },
            "503",
        ),
    ],
)
async def test_what_is_wrong_is_named(mode: str, url: str | None, said: dict[str, Any], words: str) -> None:
    (problem,) = await problems(informed(**said), mode=mode, url=url)
    assert words in problem
    assert "secret-path" not in problem


async def test_an_error_of_long_ago_is_no_problem_now() -> None:
    long_ago = int((NOW - timedelta(days=1)).timestamp())
    assert await problems(informed(url=URL, last_error_date=long_ago), mode="webhook", url=URL) == ()


async def test_an_answer_that_cannot_be_read_is_a_problem() -> None:
    (problem,) = await problems(informed(pending_update_count="many"))
    assert "cannot be read" in problem
