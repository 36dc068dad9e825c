"""What every request goes through: an id, and a JSON body in which nothing is ambiguous."""

import json
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import FieldError, Problem, problem_response
from shared.ids import REQUEST, new_id

MAX_DEPTH: Final = 32
INT64: Final = 2**63
JSON_TYPE: Final = re.compile(r"application/(?:[\w.+-]+\+)?json")
SURROGATE: Final = re.compile("[\x00\ud800-\udfff]")


class MalformedJson(ValueError):
    """The body is not JSON that means one thing; the text says where it goes wrong."""


class RequestIds:
    """Give each request an id and say it in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name = scope["shopbell.request_id"] = new_id(REQUEST)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name.encode())]
            await send(message)

        await self.app(scope, receive, send_with_id)


class BodyLimit:
    """Refuse a body over the limit, and before anything is done for a request that announces one.

    The framework's own limit speaks only when the body is read or the answer sent: a DELETE with a body would be
    carried out and then answered with a 413.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, larger: Mapping[str, int] | None = None) -> None:
        """`larger`: the limits of paths that take more than the others."""
        self.app = app
        self.max_bytes = max_bytes
        self.larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        max_bytes = self.larger.get(scope["path"], self.max_bytes)
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > max_bytes:
            await problem_response(too_large(max_bytes), Request(scope))(scope, receive, send)
            return
        size = 0

        async def receive_within_limit() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > max_bytes:
                raise too_large(max_bytes)
            return message

        await self.app(scope, receive_within_limit, send)


def too_large(max_bytes: int) -> Problem:
    return Problem("body_too_large", f"The body is larger than the {max_bytes} bytes that are taken here; send less.")


def strict_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8, at most 32 deep, without doubled names, NaN, or what no database can keep.

    Raises `MalformedJson`. FastAPI's own parser takes all of these, and some of them end as a 500 later on.
    """
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=unique_names, parse_constant=no_constant, parse_int=int64
        )
    except UnicodeDecodeError as error:
        raise MalformedJson("The body is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise MalformedJson(f"The body is not JSON: {error.msg} at character {error.pos}.") from error
    except RecursionError as error:
        raise MalformedJson(f"The body is nested more than {MAX_DEPTH} deep.") from error
    check_values(value)
    return value


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("An object has the same name twice; which one counts would be a guess.")
    return members


def no_constant(name: str) -> Any:
    raise MalformedJson(f"{name} is not a JSON number.")


def int64(digits: str) -> int:
    if len(digits) > 20 or not -INT64 <= int(digits) < INT64:
        raise MalformedJson("A whole number does not fit into 64 bits; send it as a string.")
    return int(digits)


def check_values(value: Any) -> None:
    """Raise `MalformedJson` for what is too deep, infinite, or holds NUL or half a surrogate pair."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        below: list[Any] = []
        for item in level:
            check_scalar(item)
            if isinstance(item, dict):
                below.extend(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    if level:
        raise MalformedJson(f"The body is nested more than {MAX_DEPTH} deep.")


def check_scalar(item: Any) -> None:
    if isinstance(item, str) and SURROGATE.search(item):
        raise MalformedJson("A text holds NUL or half a surrogate pair, which cannot be stored.")
    if isinstance(item, float) and item - item != 0:
        raise MalformedJson("A number is too large.")


class StrictRequest(Request):
    """A request whose body means one thing. `shape` is what the route takes, if it takes a body."""

    def __init__(self, scope: Scope, receive: Receive, shape: TypeAdapter[Any] | None) -> None:
        super().__init__(scope, receive)
        self._shape = shape

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            try:
                self._json = strict_json(await self.body())
            except MalformedJson as error:
                raise Problem("malformed_json", str(error)) from error
        return self._json

    async def check_types(self) -> None:
        """Raise `RequestValidationError` for a value of another type than is wanted: "5" is no number, 1 is not true.

        FastAPI validates the values of the JSON as Python, where strict means no lists for tuples and no texts for
        moments; as JSON, it means what it says. To be asked when it is known who calls, or anyone could ask.
        """
        body = await self.body()
        if self._shape is None or not body:
            return
        try:
            self._shape.validate_json(body, strict=True)
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in found]) from None


def says_json(content_type: str) -> bool:
    """Whether a body is announced as JSON in UTF-8."""
    kind, *parameters = content_type.lower().split(";")
    named = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    charset = named.get("charset", "utf-8").strip('"')
    return JSON_TYPE.fullmatch(kind.strip()) is not None and charset in ("utf-8", "utf8")


class StrictRoute(APIRoute):
    """A route whose JSON body is read strictly and whose unknown query parameters are refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = {field.alias for field in self.dependant.query_params}
        body_field = self.body_field
        shape: TypeAdapter[Any] | None = TypeAdapter(body_field.field_info.annotation) if body_field else None

        async def strict(request: Request) -> Response:
            unknown = set(request.query_params) - known_names(self, known)
            if unknown:
                errors = [
                    FieldError(pointer=name, code="unknown", detail="There is no such parameter.") for name in unknown
                ]
                raise Problem(
                    "validation_failed",
                    "The address has parameters that are not known here; see `errors`.",
                    errors=errors,
                )
            strict_request = StrictRequest(request.scope, request.receive, shape)
            if shape and await strict_request.body() and not says_json(request.headers.get("content-type", "")):
                raise Problem("unsupported_media_type", "Send JSON in UTF-8 with `Content-Type: application/json`.")
            return await handle(strict_request)

        return strict


def known_names(route: APIRoute, direct: set[str]) -> set[str]:
    """Names of the query parameters of a route and of what it depends on."""
    names = set(direct)
    pending = list(route.dependant.dependencies)
    while pending:
        dependant = pending.pop()
        names |= {field.alias for field in dependant.query_params}
        pending.extend(dependant.dependencies)
    return names
