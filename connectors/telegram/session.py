"""aiogram's session over our HTTP client: no second HTTP stack, and simulators are reached like the provider.

Errors are those that aiogram's own session raises, with one more for what never left us. No text of them has the
address in it, since the token is part of every address.
"""

import json
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any, Final, cast

import httpx
from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramEntityTooLarge,
    TelegramNetworkError,
    TelegramRetryAfter,
)
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import InputFile

NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
CONNECT_TIMEOUT_S: Final = 5.0
ANSWER_MAX_BYTES: Final = 16 * 1024 * 1024  # a hundred updates of the longest kind have less
RETRY_AFTER_S: Final = 5  # for a 429 that does not say how long; Telegram's own always does

Form = dict[str, str]
Uploads = dict[str, tuple[str, bytes]]


class NotSent(TelegramNetworkError):
    """No connection: Telegram has heard nothing of it."""


class FileRefused(AiogramError):
    """A file was answered with something else than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class FileBroken(AiogramError):
    """A file did not come, or not the whole of it."""


class HttpxSession(BaseSession):
    """Speaks to a Bot API server through a client that someone else opens and closes."""

    def __init__(self, http: httpx.AsyncClient, api: TelegramAPIServer, *, timeout_s: float) -> None:
        super().__init__(api=api, json_loads=read_answer, timeout=timeout_s)
        self._http = http

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        form, uploads = await self.render(bot, method)
        url = self.api.api_url(token=bot.token, method=method.__api_method__)
        limits = httpx.Timeout(self.timeout if timeout is None else timeout, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._http.stream("POST", url, data=form, files=uploads or None, timeout=limits) as answer:
                said = await self.read(answer, method)
        except NEVER_LEFT as error:
            raise NotSent(method=method, message=type(error).__name__) from None
        except httpx.HTTPError as error:
            raise TelegramNetworkError(method=method, message=type(error).__name__) from None
        response = self.check_response(bot, method, answer.status_code, said)
        return cast(TelegramType, response.result)

    async def read(self, answer: httpx.Response, method: TelegramMethod[Any]) -> str:
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > ANSWER_MAX_BYTES:
                raise TelegramNetworkError(method=method, message="AnswerTooLarge")
        return body.decode(errors="replace")

    async def render(self, bot: Bot, method: TelegramMethod[Any]) -> tuple[Form, Uploads]:
        """The members of a form, and the files beside them."""
        files: dict[str, InputFile] = {}
        prepared = {
            name: self.prepare_value(value, bot=bot, files=files)
            for name, value in method.model_dump(warnings=False).items()
        }
        uploads = {name: (file.filename or name, await whole(file, bot)) for name, file in files.items()}
        return {name: value for name, value in prepared.items() if value}, uploads

    def check_response(
        self, bot: Bot, method: TelegramMethod[TelegramType], status_code: int, content: str
    ) -> Response[TelegramType]:
        """As aiogram does; and what a server before Telegram's says in HTML is heard too where it is clear."""
        try:
            return super().check_response(bot, method, status_code, content)
        except TelegramRetryAfter:
            raise
        except (ClientDecodeError, TelegramAPIError) as error:
            if status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                raise TelegramEntityTooLarge(method=method, message="Request Entity Too Large") from None
            if status_code == HTTPStatus.TOO_MANY_REQUESTS:
                raise TelegramRetryAfter(method, "Too Many Requests", RETRY_AFTER_S) from None
            raise error from None

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,
        chunk_size: int = 65536,
        raise_for_status: bool = True,
    ) -> AsyncGenerator[bytes, None]:
        limits = httpx.Timeout(timeout, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._http.stream("GET", url, headers=headers, timeout=limits) as response:
                if raise_for_status and not response.is_success:
                    raise FileRefused(response.status_code)
                async for piece in response.aiter_bytes(chunk_size):
                    yield piece
        except httpx.HTTPError as error:
            raise FileBroken(type(error).__name__) from None

    async def close(self) -> None:
        """Nothing: the client is not ours."""


def read_answer(text: str) -> Any:
    """The JSON of an answer; aiogram looks into the description of every refusal, so there has to be one."""
    answer = json.loads(text)
    if isinstance(answer, dict) and not isinstance(answer.get("description"), str):
        answer["description"] = ""
    return answer


async def whole(file: InputFile, bot: Bot) -> bytes:
    return b"".join([piece async for piece in file.read(bot)])
