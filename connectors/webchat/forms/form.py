"""What a contact form says: from JSON or from a plain HTML form to one checked value. Pure.

Whatever is typed here proves nothing. It is checked so that an answer can reach the sender, not to know who it is.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from connectors.webchat.capabilities import TEXT_MAX
from connectors.webchat.refusals import Refused
from shared.model import StrictModel, storable

Way = Literal["email", "phone", "messenger"]

NAME_MAX: Final = 100
FIELDS_MAX: Final = 20
MISTAKES_MAX: Final = 20
EMAIL_MAX: Final = 254  # RFC 5321, 4.5.3.1.3: a path has 256 octets with its angle brackets
LOCAL_PART: Final = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # RFC 5322, dot-atom
LOCAL_PART_MAX: Final = 64
LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
TOP_LABEL: Final = re.compile(r"[a-z0-9-]*[a-z][a-z0-9-]*")  # of no domain are digits alone: that is an address of IPv4
OTHERS_OF_2008: Final = frozenset("ß\u03c2\u200c\u200d")  # IDNA 2003, Python's own, makes another domain of them
SEPARATORS: Final = re.compile(r"[\s().,/\u2010-\u2015-]")
PHONE: Final = re.compile(r"\+?[0-9]{7,15}")  # ITU-T E.164: 15 digits at most
JOINERS: Final = "\u200c\u200d"  # of Persian names and of pictures


def one_line(text: str) -> str:
    """Without what could draw outside its place: line ends, control characters, changes of direction."""
    kept = (letter if letter.isprintable() or letter in JOINERS else " " for letter in text)
    return " ".join("".join(kept).split())


def read_text(text: str) -> str:
    """With the line ends of a text box, of which a form sends two characters each."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        raise PydanticCustomError("empty", "Write what it is about.")
    if len(text) > TEXT_MAX:
        raise PydanticCustomError("too_long", "This is too long; {limit} characters are possible.", {"limit": TEXT_MAX})
    return text


def read_email(text: str) -> str:
    """The address in lower case, the domain as the DNS has it."""
    local, _, domain = text.strip().lower().rpartition("@")
    domain = read_domain(domain)
    good = domain and len(local) <= LOCAL_PART_MAX and LOCAL_PART.fullmatch(local)
    if not good or len(local) + 1 + len(domain) > EMAIL_MAX:
        raise PydanticCustomError("email", "This is no e-mail address; write it like name@example.com.")
    return f"{local}@{domain}"


def read_domain(text: str) -> str:
    """In ASCII; empty if it is none."""
    try:
        domain = text.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    labels = domain.split(".")
    good = len(labels) > 1 and all(map(LABEL.fullmatch, labels)) and TOP_LABEL.fullmatch(labels[-1])
    return domain if good and not OTHERS_OF_2008 & set(text) else ""


def read_phone(text: str) -> str:
    """The digits, in E.164 where the number begins with a plus."""
    number = SEPARATORS.sub("", text)
    if not PHONE.fullmatch(number):
        raise PydanticCustomError("phone", "This is no phone number; write it like +385 91 234 567.")
    return number


def some(text: str) -> str:
    line = one_line(text)
    if not line:
        raise PydanticCustomError("empty", "There is nothing to read in this.")
    return line


def none_if_blank(value: object) -> object:
    """A plain form sends every field that it has."""
    return None if isinstance(value, str) and not value.strip() else value


def line(most: int) -> StringConstraints:
    return StringConstraints(max_length=most)


Optional: Final = BeforeValidator(none_if_blank)
Stored: Final = BeforeValidator(storable)


class Handle(StrictModel):
    """A name in a messenger; which one is not always said."""

    messenger: Annotated[str, line(30), AfterValidator(some)] | None = None
    name: Annotated[str, line(NAME_MAX), AfterValidator(some)]


def read_handle(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Form(StrictModel):
    """`cmid` is the sender's own id of it: the same form sent twice is one. `website` is for machines to fill."""

    text: Annotated[str, Stored, AfterValidator(read_text)]
    name: Annotated[Annotated[str, line(NAME_MAX), AfterValidator(one_line)] | None, Optional] = None
    email: Annotated[Annotated[str, line(EMAIL_MAX), AfterValidator(read_email)] | None, Optional] = None
    phone: Annotated[Annotated[str, line(50), AfterValidator(read_phone)] | None, Optional] = None
    handle: Annotated[Handle | None, BeforeValidator(read_handle), Optional] = None
    language: Annotated[Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z0-9-]+$")] | None, Optional] = None
    cmid: Annotated[Annotated[str, Field(max_length=64, pattern=r"^[\x21-\x7e]+$")] | None, Optional] = None
    website: str = ""

    @model_validator(mode="after")
    def can_be_answered(self) -> "Form":
        if not self.ways:
            raise PydanticCustomError(
                "no_way_to_answer", "Give an e-mail address, a phone number or a name in a messenger, for the answer."
            )
        return self

    @property
    def ways(self) -> tuple[Way, ...]:
        """How the sender can be answered, the first way first."""
        given = {"email": self.email, "phone": self.phone, "messenger": self.handle}
        ways: tuple[Way, ...] = ("email", "phone", "messenger")
        return tuple(way for way in ways if given[way] is not None)

    @property
    def by_machine(self) -> bool:
        return bool(self.website)


def parse_form(body: bytes, media_type: str) -> Form:
    """Raises `Refused`: 400, 415, or 422 with every mistake."""
    reader = READERS.get(media_type)
    if reader is None:
        raise Refused(415, "unsupported_media_type", f"Send the form as {' or '.join(filter(None, READERS))}.")
    try:
        return Form.model_validate(reader(body))
    except ValidationError as error:
        raise does_not_fit(error) from None
    except (ValueError, RecursionError):  # UnicodeDecodeError is one too
        raise Refused(400, "malformed", "The body cannot be read; send the fields of the form in UTF-8.") from None


def read_json(body: bytes) -> object:
    return json.loads(body.decode())


def read_urlencoded(body: bytes) -> object:
    pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    fields: dict[str, object] = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field that is given twice")
    messenger = none_if_blank(fields.pop("messenger", None))
    if messenger is not None and none_if_blank(fields.get("handle")) is not None:
        fields["handle"] = {"messenger": messenger, "name": fields["handle"]}
    return fields


READERS: Final[dict[str, Callable[[bytes], object]]] = {
    "application/json": read_json,
    "application/x-www-form-urlencoded": read_urlencoded,
    "": read_json,
}


def does_not_fit(error: ValidationError) -> Refused:
    """Every mistake by its place, and nothing of what was typed but the names of fields."""
    mistakes = error.errors(include_input=False, include_url=False, include_context=False)[:MISTAKES_MAX]
    errors = tuple(field_error(mistake["loc"], mistake["type"], mistake["msg"]) for mistake in mistakes)
    sentences = [f"{one['pointer'][1:]}: {one['detail']}" if one["pointer"] else one["detail"] for one in errors]
    return Refused(422, "validation_failed", " ".join(sentences), errors=errors)


def field_error(place: tuple[int | str, ...], code: str, detail: str) -> dict[str, str]:
    """`pointer` as in every problem: RFC 6901, here with names that are the sender's own words."""
    parts = (one_line(str(part)[:NAME_MAX]).replace("~", "~0").replace("/", "~1") for part in place)
    return {"pointer": "".join(f"/{part}" for part in parts), "code": code, "detail": detail}
