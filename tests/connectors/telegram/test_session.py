"""Our session raises what aiogram's own raises, and never says where it was."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramEntityTooLarge,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import GetMe, SendMessage, TelegramMethod
from aiogram.types import User

from connectors.telegram.session import ANSWER_MAX_BYTES, FileRefused, HttpxSession, NotSent
from shared.simulator import Fault, serve
from tests.connectors.telegram.given import ANN, TOKEN, telegram_simulator

HELLO = SendMessage(chat_id=ANN, text="secret-words")


async def outcome(session: BaseSession, method: TelegramMethod[Any]) -> object:
    try:
        return await Bot(TOKEN, session=session)(method)
    except AiogramError as error:
        return error


@contextlib.asynccontextmanager
async def ours(base: str) -> AsyncIterator[HttpxSession]:
    async with httpx.AsyncClient() as http:
        yield HttpxSession(http, TelegramAPIServer.from_base(base), timeout_s=0.5)


def answering(status: int, body: bytes) -> HttpxSession:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body)

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return HttpxSession(http, TelegramAPIServer.from_base("https://api.example"), timeout_s=1)


OVER_A_PORT = [fault for fault in Fault if fault not in (Fault.REFUSED, Fault.CONNECT_TIMEOUT)]


@pytest.mark.parametrize("fault", OVER_A_PORT)
async def test_each_fault_on_the_wire_is_the_same_error_as_aiograms_own(fault: Fault) -> None:
    server = telegram_simulator()
    async with serve(server) as base, ours(base) as session:
        server.script([fault])
        mine = await outcome(session, HELLO)
        async with AiohttpSession(api=TelegramAPIServer.from_base(base), timeout=0.5) as theirs:
            server.script([fault])
            try:
                expected = await outcome(theirs, HELLO)
            except UnicodeDecodeError as error:  # aiogram's own lets it out for bytes that are no text
                expected = ClientDecodeError("Failed to decode object", error, b"")
    assert type(mine) is type(expected)


async def test_nobody_there_is_told_apart_from_an_exchange_that_broke_off() -> None:
    async with serve(telegram_simulator()) as base:
        pass
    async with ours(base) as session:
        result = await outcome(session, HELLO)
    assert isinstance(result, NotSent)
    assert isinstance(result, TelegramNetworkError)


async def test_no_address_and_no_words_are_in_an_error_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    server = telegram_simulator()
    for fault in Fault:
        server.script([fault])
        session = HttpxSession(
            httpx.AsyncClient(transport=server.transport()),
            TelegramAPIServer.from_base("https://a.example"),
            timeout_s=1,
        )
        result = await outcome(session, HELLO)
        text = f"{result!s} {result!r}" if isinstance(result, Exception) else ""
        assert "canary" not in text
        assert "a.example" not in text
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (413, b"<html>413 Request Entity Too Large</html>", TelegramEntityTooLarge),
        (429, b"<html>slow down</html>", TelegramRetryAfter),
        (429, b'{"ok": false, "description": "slow"}', TelegramRetryAfter),
        (500, b'{"ok": false}', TelegramServerError),
        (500, b'{"ok": false, "description": null}', TelegramServerError),
        (502, b"<html>Bad Gateway</html>", ClientDecodeError),
        (200, b"", ClientDecodeError),
        (200, b"[]", ClientDecodeError),
        (200, b'{"ok": true, "result": {"id": "x"}}', ClientDecodeError),
    ],
)
async def test_answers_that_are_not_telegrams_own(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(await outcome(answering(status, body), GetMe())) is kind


async def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    result = await outcome(answering(200, b" " * (ANSWER_MAX_BYTES + 1)), GetMe())
    assert isinstance(result, TelegramNetworkError)


async def test_an_answer_is_read_as_aiograms_type() -> None:
    server = telegram_simulator()
    http = httpx.AsyncClient(transport=server.transport())
    session = HttpxSession(http, TelegramAPIServer.from_base("https://a.example"), timeout_s=1)
    assert isinstance(await outcome(session, GetMe()), User)


async def test_a_file_that_is_refused_does_not_say_where_it_is() -> None:
    with pytest.raises(FileRefused) as caught:
        async for _ in answering(404, b"").stream_content("https://a.example/canary"):
            pass
    assert "canary" not in str(caught.value)
    pieces = [piece async for piece in answering(200, b"abc").stream_content("https://a.example", chunk_size=2)]
    assert b"".join(pieces) == b"abc"


async def test_closing_leaves_the_client_open() -> None:
    session = answering(200, b'{"ok": true, "result": {"id": 7, "is_bot": true, "first_name": "Shop"}}')
    await session.close()
    await asyncio.sleep(0)
    assert isinstance(await outcome(session, GetMe()), User)
