"""Reading what Meta says without trusting its shape: what is not as expected is as if it were not there. Pure."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shared.events import UNDATED
from shared.model import to_utc

Json = Mapping[str, Any]

MILLISECONDS_FROM: Final = 1e11  # 5138 in seconds, 1973 in milliseconds: Meta has been seen to send either
YEAR_10000_S: Final = 253_402_300_800
DIGITS_MAX: Final = 40  # of a number that is kept as text


def part(value: Any, *names: str) -> Json:
    """The object under these names; an empty one if there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else {}


def parts(value: Any, name: str) -> list[Json]:
    """The objects of the list under this name; one object alone is a list of one."""
    found = value.get(name) if isinstance(value, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return [one for one in listed if isinstance(one, dict)]


def words(value: Json, *names: str) -> str | None:
    """The first text under one of these names that says something. Whole numbers count: ids may be either."""
    for name in names:
        found = value.get(name)
        if isinstance(found, str) and found.strip():
            return found
        if type(found) is int and abs(found) < 10**DIGITS_MAX:
            return str(found)
    return None


def number(value: Json, name: str) -> float | None:
    """A finite number, also one that is written as text."""
    found = value.get(name)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return None
    try:
        read = float(found)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def moment(value: Json, name: str = "timestamp") -> datetime:
    """A time in seconds or milliseconds since 1970, in UTC."""
    seconds = number(value, name)
    if seconds is not None and seconds >= MILLISECONDS_FROM:
        seconds /= 1000
    if seconds is None or not 0 < seconds < YEAR_10000_S - 1:
        return UNDATED
    return to_utc(datetime.fromtimestamp(seconds, UTC))
