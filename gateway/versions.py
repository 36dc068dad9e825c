"""One thing as it stands now: its ETag, and the refusal to change what somebody else has changed meanwhile (RFC 9110).

A tag is `"VERSION-DIGEST"`. The version counts the changes that people make, and `If-Match` looks at it alone: a tick
on the last message of a conversation overtakes nobody. The digest is of what is shown, so that `If-None-Match` never
leaves a caller with a copy that is out of date.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Header
from pydantic import BaseModel
from starlette.responses import Response

from gateway.problems import PROBLEM_SCHEMA, Problem

DIGEST_LETTERS: Final = 12
STRONG: Final = re.compile(r'(?:^|[\s,])"([^"]*)"')
OPAQUE: Final = re.compile(r'"([^"]*)"')

IfMatch = Annotated[
    str | None, Header(max_length=1000, description="Change only what is still as it was: the `ETag` that was read.")
]
IfNoneMatch = Annotated[
    str | None, Header(max_length=1000, description="The `ETag` of a copy; 304 while it is still what there is.")
]
PROBLEM: Final = {"content": {"application/problem+json": {"schema": {"$ref": PROBLEM_SCHEMA}}}}
CHANGEABLE: Final[dict[int | str, dict[str, Any]]] = {412: {"description": "Changed meanwhile"} | PROBLEM}
CACHED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "As in the copy"}}


def etag(version: int, body: bytes) -> str:
    return f'"{version}-{hashlib.sha256(body).hexdigest()[:DIGEST_LETTERS]}"'


def check_version(if_match: str | None, version: int) -> None:
    """Raise `Problem` unless the caller knows the thing as it is. To be asked while it is locked."""
    if if_match is None or if_match.strip() == "*":
        return
    if str(version) not in {tag.partition("-")[0] for tag in STRONG.findall(if_match)}:
        raise Problem(
            "precondition_failed", "It was changed since it was read; read it again, and change that if it still fits."
        )


@dataclass(frozen=True)
class Versioned:
    """A thing as it is shown, and its version, read before or with it."""

    view: BaseModel
    version: int

    def response(self, *, status: int = 200, if_none_match: str | None = None) -> Response:
        """The answer that shows it; 304 without it for a caller who has it already."""
        body = self.view.model_dump_json().encode()
        tag = etag(self.version, body)
        if if_none_match is not None and is_known(tag, if_none_match):
            return Response(status_code=304, headers={"ETag": tag})
        return Response(body, status_code=status, media_type="application/json", headers={"ETag": tag})


def is_known(tag: str, if_none_match: str) -> bool:
    return if_none_match.strip() == "*" or tag.strip('"') in OPAQUE.findall(if_none_match)
