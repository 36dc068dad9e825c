"""How our models behave: frozen; strict about what people type, tolerant of what machines send."""

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, JsonValue, PlainSerializer

UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL's text holds neither NUL nor half a surrogate pair


class Model(BaseModel):
    """What machines send: unknown members are ignored, so that the other side may be newer."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        ser_json_bytes="base64",
        val_json_bytes="base64",
        hide_input_in_errors=True,
    )


class StrictModel(BaseModel):
    """What people type: an unknown member is a mistake, and it is said."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def storable(text: object) -> object:
    """Replace what no database can keep, so that one bad character never costs a message."""
    if isinstance(text, str) and UNSTORABLE.search(text):
        return UNSTORABLE.sub("\ufffd", text)
    return text


def storable_tree(value: object) -> object:
    """The same for every text inside a JSON value; a number that JSON does not have becomes null."""
    match value:
        case dict():
            return {storable(name): storable_tree(inner) for name, inner in value.items()}
        case list():
            return [storable_tree(inner) for inner in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return storable(value)


def to_utc(moment: datetime) -> datetime:
    """As finely as `show_time` shows it, so that a moment is the same before and after the bus.

    Raises `ValueError` for the first and last hours of the calendar, which are outside it in UTC.
    """
    try:
        return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)
    except OverflowError:
        raise ValueError("a moment outside the years 1 to 9999 in UTC") from None


def show_time(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond, as every answer of the API shows it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Str = Annotated[str, BeforeValidator(storable)]
Notes = Annotated[dict[str, JsonValue], BeforeValidator(storable_tree)]
Time = Annotated[AwareDatetime, AfterValidator(to_utc), PlainSerializer(show_time, when_used="json")]
