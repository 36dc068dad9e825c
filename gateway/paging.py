"""Cursors: opaque, bound to the list they came from, refused with a sentence when they are not ours."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from gateway.problems import Problem
from shared.signing import BadToken, b64, unb64

T = TypeVar("T", bound=BaseModel)

POSITION_MAX: Final = 2**53  # microseconds until the year 2255, and far more messages than a conversation has

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
After = Annotated[str | None, Query(max_length=500, description="`next` of an earlier answer.")]
Before = Annotated[str | None, Query(max_length=500, description="`prev` of an earlier answer.")]


class Page(BaseModel, Generic[T]):
    """A part of a list. `next` and `prev` are None at its ends."""

    items: Sequence[T]
    next: str | None = None
    prev: str | None = None


def show_cursor(list_name: str, *position: str | int) -> str:
    """A cursor after the item with this position in the list of this name (filters are part of the name)."""
    return b64(json.dumps([tag(list_name), *position], separators=(",", ":")).encode())


def read_cursor(list_name: str, cursor: str, *shape: type) -> list[Any]:
    """The position in a cursor, as `int` or `uuid.UUID`; raises `Problem` for one that is not of this list."""
    try:
        found, *position = json.loads(unb64(cursor))
        if found != tag(list_name):
            raise ValueError("of another list")
        return [read_value(value, kind) for value, kind in zip(position, shape, strict=True)]
    except (BadToken, ValueError, TypeError):
        raise bad_cursor() from None


def read_value(value: object, kind: type) -> Any:
    """One value of a position, within what the database can compare with; raises `ValueError`."""
    if kind is uuid.UUID and type(value) is str:
        return uuid.UUID(value)
    if kind is int and type(value) is int and 0 <= value <= POSITION_MAX:
        return value
    raise ValueError("not a position of ours")


def read_uuid_cursor(list_name: str, cursor: str) -> uuid.UUID:
    key: uuid.UUID = read_cursor(list_name, cursor, uuid.UUID)[0]
    return key


def tag(list_name: str) -> str:
    return hashlib.sha256(list_name.encode()).hexdigest()[:8]


def bad_cursor() -> Problem:
    return Problem("cursor_malformed", "This cursor is not of this list; start without one, or use the same filters.")
