"""What a caller may say: the contents of `shared/content.py` as a request carries them.

Derived from those, so that they cannot drift apart. There a member that nobody knows is passed over, since the other
side may be newer; here it is a mistake, and said. What we alone can know of a file is not to be claimed.
"""

import types
import typing
from functools import cache
from typing import Annotated, Any, Final, Union

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, TypeAdapter, create_model
from pydantic_core import CoreSchema, core_schema

from shared import markup
from shared.content import Content, Media, Text
from shared.model import Model, Str

CONTENT: Final[TypeAdapter[Content]] = TypeAdapter(Content)
OURS: Final[dict[type[Model], frozenset[str]]] = {
    Media: frozenset({"source", "failure"}),
    Text: frozenset({"full_text", "full_html"}),
}
# A channel fetches it, and a page of the shop may show it: nothing but an address of the web.
Address = Annotated[Str, Field(pattern=r"^https?://[^\s/]", max_length=2048)]
SAFER: Final[dict[tuple[type[Model], str], Any]] = {
    (Media, "url"): Address | None,
    (Media, "caption_html"): Annotated[Str, AfterValidator(markup.clean)] | None,
}


@cache
def given(model: type[Model]) -> type[BaseModel]:
    """The model without what is ours to say, in which a member that is not known is refused."""
    fields: dict[str, Any] = {
        name: (SAFER.get((model, name), rewritten(field.annotation)), field)
        for name, field in model.model_fields.items()
        if name not in OURS.get(model, ())
    }
    config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    return create_model(f"Given{model.__name__}", __config__=config, __doc__=model.__doc__, **fields)


def rewritten(annotation: Any) -> Any:
    """The type with each of our models in it as it is given."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return given(annotation)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return Annotated[rewritten(inner[0]), *inner[1:]]
    if origin in (Union, types.UnionType):
        return Union[tuple(rewritten(one) for one in inner)]  # noqa: UP007 - of a number that is not written here
    return origin[tuple(rewritten(one) for one in inner)] if origin in (tuple, dict) else annotation


def as_content(value: BaseModel) -> Content:
    return CONTENT.validate_python(value.model_dump(exclude_unset=True))


class AsGiven:
    """Reads a content as a caller may write it. The value is one of `Content` all the same."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(as_content, handler.generate_schema(rewritten(Content)))


GivenContent = Annotated[Content, AsGiven()]
