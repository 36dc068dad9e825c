"""Read the settings for a person: every mistake at once, named as that person wrote it."""

import difflib
import os
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.errors import ShopbellError
from shared.settings import Settings

PREFIX: Final = "SHOPBELL_"
FILE: Final = "shopbell.toml"


class Mistakes(ShopbellError):
    """The settings cannot be used."""


def read_settings(**given: object) -> Settings:
    """The settings, with what the command line says (None: nothing) on top. Raises `Mistakes`."""
    said = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**said)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [mistake(found, said) for found in error.errors(include_input=False, include_url=False)]
        raise Mistakes("these settings do not fit:\n" + "\n".join(f"  {line}" for line in lines)) from None
    except (OSError, ValueError) as error:
        raise Mistakes(f"the file {FILE} cannot be read: {error}") from None


def mistake(found: ErrorDetails, said: Mapping[str, object]) -> str:
    name = ".".join(map(str, found["loc"]))
    if found["type"] != "extra_forbidden":
        return f"{source(name, said)}: {found['msg']}"
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    meant = f"; did you mean {source(near[0], said, like=name)}?" if near else "; `shopbell check` lists them all"
    return f"{source(name, said)}: there is no such setting{meant}"


def source(name: str, said: Mapping[str, object], like: str | None = None) -> str:
    """How the person spelled this setting, or would spell it beside the one it is `like`."""
    if (like or name) in said:
        return f"--{name.replace('_', '-')}"
    variables = {variable.upper() for variable in os.environ}
    if f"{PREFIX}{like or name}".upper() in variables:
        return f"{PREFIX}{name.upper()}"
    return f"{name} in {FILE}"
