"""Lists in parts: cursors that are opaque, bound to their list and refused when they are not ours; both ways.

A page is cut by the place of an item in the order of its list, never by a count: what comes or goes meanwhile moves
nothing.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from gateway.problems import FieldError, Problem
from shared.signing import BadToken, b64, unb64

T = TypeVar("T", bound=BaseModel)

POSITION_MAX: Final = 2**53  # microseconds until the year 2255, and far more messages than a conversation has
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
After = Annotated[str | None, Query(max_length=500, description="`next` of an earlier answer.")]
Before = Annotated[str | None, Query(max_length=500, description="`prev` of an earlier answer.")]


class Page(BaseModel, Generic[T]):
    """A part of a list. `next` and `prev` are None at its ends."""

    items: Sequence[T]
    next: str | None = None
    prev: str | None = None


@dataclass(frozen=True)
class Span:
    """What a caller wants of a list: so many items after one cursor, before another, or from its start."""

    limit: int
    after: str | None
    before: str | None


def the_span(limit: Limit = 50, after: After = None, before: Before = None) -> Span:
    if after is not None and before is not None:
        errors = [FieldError(pointer="before", code="conflicting", detail="Leave out one of `after` and `before`.")]
        raise Problem(
            "validation_failed", "A list goes on after one cursor or before another, not both.", errors=errors
        )
    return Span(limit, after, before)


Wanted = Annotated[Span, Depends(the_span)]


@dataclass(frozen=True)
class Order:
    """How a list is sorted: by columns which together tell its items apart, each `uuid.UUID`, `datetime` or `int`.

    In SQL `table` stands before their names (`c.`), in the rows nothing does.
    """

    columns: Mapping[str, type]
    newest_first: bool = False
    table: str = ""


class Reading:
    """One look into a list: `sql` ends its statement, after the conditions, with what is in `named`.

    One row more than wanted is read: so it is known whether there is more. `name` is the list's, filters included.
    """

    def __init__(self, name: str, order: Order, span: Span) -> None:
        """Raises `Problem` for a cursor that is not of this list."""
        self._name = name
        self._order = order
        self._span = span
        self._backward = span.before is not None
        cursor = span.before if self._backward else span.after
        self._position = None if cursor is None else read_cursor(name, cursor, *order.columns.values())

    @property
    def sql(self) -> str:
        falling = self._order.newest_first != self._backward
        columns = [self._order.table + name for name in self._order.columns]
        ordered = ", ".join(f"{column} {'DESC' if falling else 'ASC'}" for column in columns)
        places = ", ".join(f":place_{n}" for n in range(len(columns)))
        beyond = f" AND ({', '.join(columns)}) {'<' if falling else '>'} ({places})" if self._position else ""
        return f"{beyond} ORDER BY {ordered} LIMIT :limit"

    @property
    def named(self) -> dict[str, Any]:
        places = {f"place_{n}": value for n, value in enumerate(self._position or ())}
        return {"limit": self._span.limit + 1} | places

    def items(self, rows: Sequence[Any]) -> list[Any]:
        """The rows of this page, in the order of the list."""
        kept = list(rows[: self._span.limit])
        return kept[::-1] if self._backward else kept

    def page(self, rows: Sequence[Any], views: Sequence[T]) -> "Page[T]":
        """The answer: `views` are those of `items(rows)`."""
        kept = self.items(rows)
        onward = len(rows) > len(kept)
        back = self._position is not None  # the item that the cursor stands for is there
        later, earlier = (back, onward) if self._backward else (onward, back)
        return Page(
            items=views,
            next=self._cursor(kept[-1]) if kept and later else None,
            prev=self._cursor(kept[0]) if kept and earlier else None,
        )

    def _cursor(self, row: Any) -> str:
        return show_cursor(self._name, *(shown(getattr(row, name)) for name in self._order.columns))


def shown(value: uuid.UUID | datetime | int) -> str | int:
    match value:
        case uuid.UUID():
            return str(value)
        case datetime():
            return (value - EPOCH) // MICROSECOND  # whole: a float would lose some
        case _:
            return value


def show_cursor(list_name: str, *position: str | int) -> str:
    """A cursor after the item with this position in the list of this name (filters are part of the name)."""
    return b64(json.dumps([tag(list_name), *position], separators=(",", ":")).encode())


def read_cursor(list_name: str, cursor: str, *shape: type) -> list[Any]:
    """The position in a cursor, as values of these types; raises `Problem` for one that is not of this list."""
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
    if kind is datetime:
        return EPOCH + read_value(value, int) * MICROSECOND
    raise ValueError("not a position of ours")


def tag(list_name: str) -> str:
    return hashlib.sha256(list_name.encode()).hexdigest()[:8]


def bad_cursor() -> Problem:
    return Problem("cursor_malformed", "This cursor is not of this list; start without one, or use the same filters.")
