"""What can go wrong, one class per fate; every one is a ShopbellError."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from shopbell_client.models import TemplateText

__all__ = ["BadAnswer", "BadRequest", "Conflict", "FieldProblem", "Forbidden", "Gone", "NotFound"]
__all__ += ["PreconditionFailed", "Problem", "RateLimited", "ServerError", "ShopbellError", "Unauthorized"]
__all__ += ["Unavailable", "Unreachable", "ValidationFailed"]


class FieldProblem(BaseModel):
    """What is wrong with one field of the request; `pointer` is a JSON pointer into the body."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    pointer: str = ""
    code: str = ""
    detail: str = ""


class Problem(BaseModel):
    """An RFC 9457 problem. `status` is None when no answer came at all."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: str = "about:blank"
    title: str = ""
    status: int | None = None
    detail: str = ""
    code: str = ""
    errors: tuple[FieldProblem, ...] = ()
    templates: tuple[TemplateText, ...] = ()
    request_id: str | None = None
    retry_after_s: float | None = None


class ShopbellError(Exception):
    """The base of all errors of this package. Its text is a sentence and never holds the token."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = problem.status
        self.code = problem.code  # stable: compare this, not the text
        self.title = problem.title
        self.detail = problem.detail
        self.errors = problem.errors
        self.templates = problem.templates  # what could be sent where a free answer is not allowed
        self.request_id = problem.request_id  # quote it to the operator of the server
        self.retry_after_s = problem.retry_after_s

    @property
    def sentence(self) -> str:
        """The problem in words for a person, with the fields it names."""
        words = self.detail or self.title or "The request failed."
        fields = "; ".join(f"{error.pointer or 'body'}: {error.detail}" for error in self.errors)
        return f"{words} ({fields})" if fields else words

    def __str__(self) -> str:
        marks = " ".join(str(mark) for mark in (self.status, self.code) if mark)
        return f"{self.sentence} [{marks}]" if marks else self.sentence

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status={self.status}, code={self.code!r}, detail={self.detail!r})"


class BadRequest(ShopbellError):
    """4xx without a class of its own: the request must change before it can succeed."""


class Unauthorized(ShopbellError):
    """401: the token is missing, wrong or expired."""


class Forbidden(ShopbellError):
    """403: a valid token that may not do this."""


class NotFound(ShopbellError):
    """404: no such thing in this shop."""


class Conflict(ShopbellError):
    """409: the state of the thing, or a request still in flight, stands in the way."""


class Gone(ShopbellError):
    """410: with code `cursor_expired`, start again from a list and a new cursor."""


class PreconditionFailed(ShopbellError):
    """412: somebody else changed the resource since it was read."""


class ValidationFailed(ShopbellError):
    """422: `errors` names the fields, `code` the reason (such as `reply_window_closed`)."""


class RateLimited(ShopbellError):
    """429: too many requests; `retry_after_s` says how long to wait."""


class ServerError(ShopbellError):
    """5xx: the server failed."""


class Unavailable(ServerError):
    """502, 503, 504: the server, or something it needs, is not there for now."""


class Unreachable(Unavailable):
    """No answer at all. What was asked may have happened: repeat it with the same idempotency key."""


class BadAnswer(ServerError):
    """An answer that is not of this API; is the base URL that of a Shopbell server?"""


_BY_STATUS: dict[int, type[ShopbellError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: PreconditionFailed,
    422: ValidationFailed,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_for(problem: Problem) -> ShopbellError:
    """Return the error whose class fits the status."""
    status = problem.status
    if status is None:
        return Unreachable(problem)
    if status < 400:
        return BadAnswer(problem)
    return _BY_STATUS.get(status, BadRequest if status < 500 else ServerError)(problem)


def bad_answer(detail: str, status: int | None = None) -> BadAnswer:
    """Return the error for what only something else than this API would answer."""
    words = f"{detail} Is this a Shopbell server?"
    return BadAnswer(Problem(title="Bad answer", status=status, code="bad_answer", detail=words))
