"""What the site chat does not serve, and how it says so: problem+json with a code and a way out."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from starlette.responses import Response

from shared.errors import BusError, IngressError
from shared.ids import REQUEST, new_id

log = structlog.get_logger(__name__)

BODY_MAX_BYTES: Final = 65_536


class Refused(Exception):
    """A request over HTTP that is not served. `errors` are the fields that do not fit, as in every problem."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers, self.errors = status, code, detail, headers, errors

    def answer(self) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body; each answer has an id that is in the log too."""
        request_id = new_id(REQUEST)
        log.info("webchat.refused", request_id=request_id, status=self.status, code=self.code)
        told: dict[str, object] = {
            "type": f"/problems/{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            told["errors"] = self.errors
        own = [(b"content-type", b"application/problem+json"), (b"x-request-id", request_id.encode())]
        return [*own, *self.headers], json.dumps(told).encode()


def problem(refused: Refused) -> Response:
    headers, body = refused.answer()
    response = Response(body, status_code=refused.status)
    response.raw_headers += headers
    return response


def refusal_of(error: Refused | IngressError | BusError) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, IngressError):
        return Refused(error.http_status, error.code, error.detail)
    return Refused(503, "unavailable", error.detail, headers=((b"retry-after", b"1"),))


def unauthorized() -> Refused:
    return Refused(401, "unauthorized", "Get a token from /session and send it as Bearer.")


def too_large(most: int) -> Refused:
    return Refused(413, "body_too_large", f"The body must not be larger than {most} bytes.")
