"""Requests that are repeated when, and only when, repeating them is safe; answers as JSON or errors."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from shopbell_client.errors import BadAnswer, Problem, ShopbellError, Unreachable, bad_answer, error_for
from shopbell_client.models import Page

__all__ = ["Query", "QueryValue", "Wire", "backoff_s", "failure_of", "unreachable"]

M = TypeVar("M", bound=BaseModel)
QueryValue = str | int | float | bool | None
Query = Mapping[str, QueryValue]

# A POST carries an idempotency key, so a second one cannot act twice. PATCH and DELETE have none:
# only what surely was not acted upon is repeated.
_REPEAT_STATUS = {
    "GET": frozenset({429, 502, 503, 504}),
    "POST": frozenset({429, 502, 503, 504}),
    "PATCH": frozenset({503}),
    "DELETE": frozenset({503}),
}
_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_REPEAT_ERRORS: dict[str, tuple[type[httpx.TransportError], ...]] = {
    "GET": (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError),
    "POST": (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError),
    "PATCH": _NEVER_CONNECTED,
    "DELETE": _NEVER_CONNECTED,
}
_LONGEST_BACKOFF_S = 10.0
_LONGEST_RETRY_AFTER_S = 60.0  # asked to wait longer, the caller should know rather than hang


def backoff_s(attempt: int, base_s: float, at_least_s: float = 0.0) -> float:
    """Return full jitter: anything up to `base_s` doubled per attempt, but never below `at_least_s`."""
    ceiling = min(_LONGEST_BACKOFF_S, base_s * 2 ** min(attempt, 16))
    return at_least_s + random.uniform(0, ceiling)  # noqa: S311 - spreads load, hides nothing


class Wire:
    """One connection pool to one server with one token."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        transport: httpx.AsyncBaseTransport | None,
        timeout_s: float,
        retries: int,
        base_backoff_s: float,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.timeout_s = timeout_s
        self.retries = retries
        self.base_backoff_s = base_backoff_s
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {_checked(token)}", "User-Agent": "shopbell-client/0.1"},
            transport=transport,
            timeout=timeout_s,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def one(self, model: type[M], method: str, path: str, **request: Any) -> M:
        """Return the answer as `model`; a BadAnswer when it is not one."""
        return _read(model, await self.send(method, path, **request))

    async def page(self, model: type[M], path: str, query: Query) -> Page[M]:
        """Return one page of a list of `model`."""
        response = await self.send("GET", path, query=query)
        body = _json(response)
        items = body.get("items")
        if not isinstance(items, list):
            raise _bad_answer(response)
        read = tuple(_model(model, item, response) for item in items)
        return Page(items=read, next=_cursor(body, "next"), prev=_cursor(body, "prev"))

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        file: tuple[str, bytes, str] | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        extra_wait_s: float = 0.0,
    ) -> httpx.Response:
        """Return the successful answer, or raise the error that the last attempt ended with.

        `file` is (name, bytes, mime) and goes as a form. `extra_wait_s` is how long the server may hold the request on
        purpose (long poll).
        """
        headers = {"If-Match": if_match} if if_match else {}
        if method == "POST":  # one key for all attempts: that is what makes them safe
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = {
            "params": _present(query or {}),
            "content": None if body is None else json.dumps(body, ensure_ascii=False).encode(),
            "files": None if file is None else {"file": file},
            "headers": headers,
            "timeout": self.timeout_s + extra_wait_s,
        }
        attempt = 0
        while True:
            response, error = await self._attempt(method, path, request)
            if error is None:
                assert response is not None
                return response
            pause_s = self._pause_s(method, response, error, attempt)
            if pause_s is None:
                raise error
            await asyncio.sleep(pause_s)
            attempt += 1

    def stream(
        self, path: str, *, query: Query, headers: Mapping[str, str], silence_s: float
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """Open a GET whose body is read as it comes; `silence_s` without a byte ends it."""
        timeout = httpx.Timeout(self.timeout_s, read=silence_s)
        return self._http.stream("GET", path, params=_present(query), headers=dict(headers), timeout=timeout)

    async def _attempt(
        self, method: str, path: str, request: Mapping[str, Any]
    ) -> tuple[httpx.Response | None, ShopbellError | None]:
        try:
            response = await self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            return None, unreachable(self.base_url, error)
        return response, None if response.is_success else failure_of(response)

    def _pause_s(
        self, method: str, response: httpx.Response | None, error: ShopbellError, attempt: int
    ) -> float | None:
        """Return how long to wait before the next attempt, None when there must be none."""
        wait_s = error.retry_after_s or 0.0
        if attempt >= self.retries or wait_s > _LONGEST_RETRY_AFTER_S:
            return None
        if not _may_repeat(method, response, error):
            return None
        return backoff_s(attempt, self.base_backoff_s, wait_s)


def _may_repeat(method: str, response: httpx.Response | None, error: ShopbellError) -> bool:
    if response is None:
        return isinstance(error.__cause__, _REPEAT_ERRORS[method])
    if method == "POST" and error.code == "idempotency_in_flight":
        return True
    return response.status_code in _REPEAT_STATUS[method]


def unreachable(base_url: str, error: httpx.HTTPError) -> Unreachable:
    """Return the error for a request that got no answer, with its cause attached."""
    reason = str(error) or type(error).__name__
    detail = f"No answer from {base_url}: {reason}"
    found = Unreachable(Problem(title="No answer", code="unreachable", detail=detail))
    found.__cause__ = error
    return found


def failure_of(response: httpx.Response) -> ShopbellError:
    """Return the error for an answer that is not 2xx, whatever its body is. The body must be read."""
    told = _told(response)
    title = told.title or response.reason_phrase
    detail = told.detail or f"The server answered {response.status_code} {response.reason_phrase}.".strip()
    more = {
        "status": response.status_code,
        "title": title,
        "detail": detail,
        "retry_after_s": _retry_after_s(response.headers.get("Retry-After")),
        "request_id": told.request_id or response.headers.get("X-Request-Id"),
    }
    return error_for(told.model_copy(update=more))


def _told(response: httpx.Response) -> Problem:
    if "json" not in response.headers.get("Content-Type", ""):
        return Problem()
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return Problem()


def _retry_after_s(value: str | None) -> float | None:
    """Read both forms of Retry-After; None when there is none or it makes no sense."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _read(model: type[M], response: httpx.Response) -> M:
    body = _json(response)
    etag = response.headers.get("ETag")
    return _model(model, body | {"etag": etag} if etag else body, response)


def _model(model: type[M], value: object, response: httpx.Response) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, found["loc"])) or "body" for found in error.errors()[:3])
        raise _bad_answer(response, f"{model.__name__} is not as expected: {fields}") from None


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        raise _bad_answer(response) from None
    if not isinstance(body, dict):
        raise _bad_answer(response)
    return body


def _bad_answer(response: httpx.Response, reason: str = "the body is not what the API answers") -> BadAnswer:
    request = response.request
    return bad_answer(f"{request.method} {request.url.path}: {reason}.", response.status_code)


def _cursor(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) else None


def _present(query: Query) -> dict[str, str | int | float]:
    """Leave out what was not given; booleans as the API spells them."""
    spelled = {True: "true", False: "false"}
    return {
        name: spelled[value] if isinstance(value, bool) else value for name, value in query.items() if value is not None
    }


def _checked(token: str) -> str:
    """Refuse what cannot be a token here: the HTTP library would quote it in its own error."""
    token = token.strip()
    if not token or not token.isascii() or any(ord(character) <= 32 for character in token):
        raise ValueError("The token is empty or holds characters that no Shopbell token has.")
    return token
