"""Every answer that is not a success: `application/problem+json` (RFC 9457), with a stable code and a way out."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.database import TRANSIENT
from gateway.views import TemplateView
from shared.errors import BusError, SendError

log = structlog.get_logger(__name__)

TITLES: Final[Mapping[str, tuple[int, str]]] = {
    "bad_request": (400, "The request cannot be understood"),
    "malformed_json": (400, "The body is not acceptable JSON"),
    "cursor_malformed": (400, "The cursor is not one of ours"),
    "unauthorized": (401, "A valid token is needed"),
    "forbidden": (403, "The token does not allow this"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "conflict": (409, "The request conflicts with the present state"),
    "client_ref_conflict": (409, "The client_ref is taken by another message"),
    "idempotency_in_flight": (409, "The first request with this key is still at work"),
    "cursor_expired": (410, "The cursor leads to nothing that is kept"),
    "precondition_failed": (412, "The resource has changed"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body must be JSON"),
    "validation_failed": (422, "The request does not fit"),
    "idempotency_mismatch": (422, "The key was used for another request"),
    "unsupported": (422, "The channel cannot carry this"),
    "reply_window_closed": (422, "The time for free answers is over"),
    "channel_paused": (422, "The channel is paused"),
    "internal": (500, "Something went wrong on our side"),
    "provider_refused": (422, "The provider of the channel refused"),
    "unavailable": (503, "Not possible just now"),
}
# What the request alone brought about, so that a repeat would meet it again: ids of ours are never given to something
# else, a client_ref is taken for ever, a channel cannot suddenly carry more. The others pass: a channel is activated, a
# customer writes again.
FINAL: Final = frozenset(
    {"bad_request", "malformed_json", "not_found", "client_ref_conflict", "validation_failed", "unsupported"}
)
BY_STATUS: Final[Mapping[int, str]] = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    413: "body_too_large", 415: "unsupported_media_type", 422: "validation_failed", 503: "unavailable",
}  # fmt: skip


class FieldError(BaseModel):
    """`pointer` is a JSON pointer (RFC 6901) into the body, or the name of a parameter."""

    pointer: str
    code: str
    detail: str


class ProblemBody(BaseModel):
    """The body of every answer that is not a success (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] | None = None
    templates: list[TemplateView] | None = None
    request_id: str | None = None


SCHEMAS: Final = "#/components/schemas/"
PROBLEM_SCHEMA: Final = f"{SCHEMAS}{ProblemBody.__name__}"


def describe_problems(app: FastAPI) -> None:
    """Add what the routes refer to, to the description of the API."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        described = plain()
        schema = ProblemBody.model_json_schema(ref_template=SCHEMAS + "{model}")
        described["components"]["schemas"] |= schema.pop("$defs") | {ProblemBody.__name__: schema}
        return described

    app.openapi = openapi  # type: ignore[method-assign]


class Problem(HTTPException):
    """An answer other than success. `detail` is a sentence the caller can act on."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        templates: Sequence[TemplateView] = (),
        headers: Mapping[str, str] | None = None,
        final: bool | None = None,
    ) -> None:
        """`templates` are those that could be sent instead; `final` if the same request can never succeed."""
        status, self.title = TITLES[code]
        super().__init__(status, detail, dict(headers or {}))
        self.code = code
        self.errors = list(errors)
        self.templates = list(templates)
        self.final = code in FINAL if final is None else final


def not_found(what: str) -> Problem:
    return Problem("not_found", f"There is no {what} with this id in this shop; check the id and the key.")


def unsupported(error: SendError) -> Problem:
    """A refusal of the channel, told now instead of failed later."""
    return Problem(error.code if error.code in TITLES else "unsupported", error.detail)


def problem_response(problem: Problem, request: Request) -> Response:
    body = ProblemBody(
        type=f"/problems/{problem.code}",
        title=problem.title,
        status=problem.status_code,
        detail=problem.detail,
        code=problem.code,
        errors=problem.errors or None,
        templates=problem.templates or None,
        request_id=request.scope.get("shopbell.request_id"),
    )
    return Response(
        body.model_dump_json(exclude_none=True),
        status_code=problem.status_code,
        media_type="application/problem+json",
        headers=problem.headers,
    )


def install_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(BusError, on_unavailable)
    app.add_exception_handler(SQLAlchemyError, on_database_error)
    for kind in TRANSIENT:
        app.add_exception_handler(kind, on_unavailable)
    app.add_exception_handler(Exception, on_error)


def on_http_exception(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return problem_response(error, request)
    if not isinstance(error, HTTPException):
        raise error
    code = BY_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    problem = Problem(code, sentence(error.status_code, request), headers=error.headers)
    problem.status_code = error.status_code
    return problem_response(problem, request)


def sentence(status: int, request: Request) -> str:
    match status:
        case 404:
            return "There is nothing at this address; see /docs for what there is."
        case 405:
            return f"{request.method} is not possible here; see /docs for what is."
        case 413:
            return "The body is larger than this server takes; send less."
        case _:
            return "The request cannot be answered as it is; see /docs."


def on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [field_error(item) for item in error.errors()]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return problem_response(Problem("malformed_json", "The body is not valid JSON."), request)
    where = ", ".join(dict.fromkeys(item.pointer for item in errors))
    return problem_response(
        Problem("validation_failed", f"These do not fit: {where}. See `errors` for what is wanted.", errors=errors),
        request,
    )


def field_error(item: Mapping[str, Any]) -> FieldError:
    """Without the value that was sent: it may be a person's words, and not all of them can be sent back."""
    place, *path = item["loc"]
    pointer = "/" + "/".join(str(part) for part in path) if place == "body" else "/".join(str(part) for part in path)
    return FieldError(pointer=printable(pointer), code=item["type"], detail=printable(item["msg"]))


def printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def on_unavailable(request: Request, error: Exception) -> Response:
    log.warning("api.unavailable", error=type(error).__name__)
    detail = "The database or the bus cannot be reached just now; try again with the same Idempotency-Key."
    return problem_response(Problem("unavailable", detail, headers={"Retry-After": "1"}), request)


def on_database_error(request: Request, error: Exception) -> Response:
    """SQLAlchemy wraps the driver's errors; the cause decides."""
    assert isinstance(error, SQLAlchemyError)
    cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig is not None else None
    if isinstance(error, PoolTimeout) or isinstance(cause, TRANSIENT):
        return on_unavailable(request, error)
    return on_error(request, error)


def on_error(request: Request, error: Exception) -> Response:
    log.error(
        "api.error",
        error=type(error).__name__,
        request_id=request.scope.get("shopbell.request_id"),
        exc_info=error,
    )
    # Answered outside the layer that gives every answer its id.
    request_id = str(request.scope.get("shopbell.request_id", ""))
    detail = "The fault is ours; it is in the log under the request_id."
    return problem_response(Problem("internal", detail, headers={"X-Request-Id": request_id}), request)
