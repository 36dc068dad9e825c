"""Telegram's updates as aiogram's types. One thing that cannot be read never costs the rest.

aiogram refuses a whole update for one field: an unknown kind of reaction or of block, a user without `is_bot`. What it
refuses is read here field by field; what is left unreadable gets its default, or the empty value of its type.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from inspect import isclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from aiogram.types import TelegramObject, Update
from pydantic import TypeAdapter, ValidationError

from shared.events import UNDATED

DEEPEST: Final = 12  # levels that are read field by field; Telegram's own messages have fewer
EMPTY: Final[Mapping[Any, Any]] = {str: "", int: 0, float: 0.0, bool: False, datetime: UNDATED}

T = TypeVar("T", bound=TelegramObject)


def read_update(data: Mapping[str, Any]) -> Update:
    try:
        return Update.model_validate(data)
    except (ValidationError, OverflowError):  # OverflowError: a number that no time can hold
        return salvage(Update, data)


def salvage(model: type[T], data: Mapping[str, Any], *, depth: int = 0) -> T:
    """The object with everything that can be read of it, down to `DEEPEST`."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        value = data.get(field.alias or name)
        found = None if value is None else salvage_value(field.annotation, value, depth)
        if found is not None:
            values[name] = found
        elif field.is_required():
            values[name] = empty(field.annotation, depth)
    return model.model_construct(**values)


def salvage_value(annotation: Any, value: Any, depth: int) -> Any:
    """The value as this type, or as much of it as can be read; None if nothing can."""
    try:
        return adapter(annotation).validate_python(value)
    except (ValidationError, OverflowError):
        pass
    if depth == DEEPEST:
        return None
    lists = [option for option in options(annotation) if get_origin(option) is list]
    if isinstance(value, list) and lists:
        items = [salvage_value(get_args(lists[0])[0], item, depth + 1) for item in value]
        return [item for item in items if item is not None]
    models = [option for option in options(annotation) if isclass(option) and issubclass(option, TelegramObject)]
    if isinstance(value, dict) and models:
        model = next((model for model in models if fits(model, value)), None)
        return salvage(model, value, depth=depth + 1) if model else unknown(value)
    return None


@cache
def adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def options(annotation: Any) -> Iterator[Any]:
    """The types among which a value may be."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from options(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for option in get_args(annotation):
            yield from options(option)
    elif annotation is not NoneType:
        yield annotation


def fits(model: type[TelegramObject], value: Mapping[str, Any]) -> bool:
    """Whether the words by which a kind is told from others are those of this model."""
    told = {name: get_args(field.annotation) for name, field in model.model_fields.items() if is_word(field.annotation)}
    return all(value.get(name) in words for name, words in told.items())


def is_word(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


def unknown(value: Mapping[str, Any]) -> TelegramObject:
    """A kind that this version does not know, by its name alone."""
    return TelegramObject.model_construct(**{name: value[name] for name in ("type", "status") if name in value})


def empty(annotation: Any, depth: int) -> Any:
    first = next(options(annotation))
    if get_origin(first) is list:
        return []
    if isclass(first) and issubclass(first, TelegramObject):
        return salvage(first, {}, depth=depth + 1)
    return EMPTY.get(first)
