"""From what a browser says to our words. Pure."""

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from connectors.webchat.capabilities import TEXT_MAX
from shared.content import Text
from shared.errors import Malformed
from shared.events import (
    Address,
    Evidence,
    MessageReceived,
    ReceiptReported,
    Sender,
    Status,
    TypingReported,
)

CHANNEL_TYPE: Final = "webchat"


class TooLong(Malformed):
    """The text is longer than the chat takes."""

    code = "too_long"


class Said(BaseModel):
    """Unknown members are ignored: the browser may be newer."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Line(Said):
    """A line of the visitor. `cmid` is the browser's own id of it: the same line said twice is one line."""

    cmid: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
    text: str
    reply_to: Annotated[str, Field(max_length=40)] | None = None


class HelloData(Said):
    token: Annotated[str, Field(max_length=1000)]
    cursor: Annotated[str, Field(max_length=200)] | None = None
    locale: Annotated[str, Field(max_length=35)] | None = None


class Hello(Said):
    t: Literal["hello"]
    d: HelloData


class Send(Said):
    t: Literal["send"]
    id: Annotated[str, Field(max_length=64)] | None = None
    d: Line


class UpTo(Said):
    up_to: Annotated[str, Field(max_length=40)]


class Recv(Said):
    t: Literal["recv"]
    d: UpTo


class Read(Said):
    t: Literal["read"]
    d: UpTo


class On(Said):
    on: bool


class TypingFrame(Said):
    t: Literal["typing"]
    d: On


class Ping(Said):
    t: Literal["ping"]


Frame = Annotated[Hello | Send | Recv | Read | TypingFrame | Ping, Field(discriminator="t")]
FRAME: Final[TypeAdapter[Hello | Send | Recv | Read | TypingFrame | Ping]] = TypeAdapter(Frame)


def parse_frame(text: str) -> Hello | Send | Recv | Read | TypingFrame | Ping | None:
    """The frame, or None for a type that this version does not know; raises `Malformed`."""
    try:
        return FRAME.validate_json(text)
    except ValidationError as error:
        if any(problem["type"] == "union_tag_invalid" for problem in error.errors(include_input=False)):
            return None
        raise Malformed(describe(error)) from None


def name_of(text: str) -> str | None:
    """What a frame that cannot be understood calls itself: a browser waits for an answer under that name."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match told:
        case {"d": {"cmid": str(cmid)}}:
            return cmid
        case {"id": str(name)}:
            return name
        case _:
            return None


def parse_line(body: bytes) -> Line:
    """The body of a line sent over HTTP; raises `Malformed`."""
    try:
        return Line.model_validate_json(body)
    except ValidationError as error:
        raise Malformed(describe(error)) from None


def describe(error: ValidationError) -> str:
    first: Any = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the frame"
    return f"{where}: {first['msg']}"


def address_of(channel_id: str, visitor: str) -> Address:
    return Address.model_construct(channel=CHANNEL_TYPE, account=channel_id, peer=visitor, thread=None)


def message_from(line: Line, *, address: Address, raw: bytes, now: datetime, locale: str | None) -> MessageReceived:
    """The message of a visitor; raises `Malformed` for one without text, and `TooLong`."""
    if not line.text.strip():
        raise Malformed("The line is empty.")
    if len(line.text) > TEXT_MAX:
        raise TooLong(f"The line has {len(line.text)} characters and the chat takes {TEXT_MAX}.")
    return MessageReceived(
        address=address,
        occurred_at=now,
        raw=raw,
        external_id=line.cmid,
        sender=Sender(locale=locale),
        content=Text(text=line.text),
        reply_to=line.reply_to,
    )


def receipt_from(frame: Recv | Read, *, address: Address, raw: bytes, now: datetime) -> ReceiptReported:
    """Everything of ours up to a message is on the device, or has been seen by a person."""
    return ReceiptReported(
        address=address,
        occurred_at=now,
        raw=raw,
        status=Status.DELIVERED if isinstance(frame, Recv) else Status.READ,
        evidence=Evidence.DEVICE,
        up_to_id=frame.d.up_to,
    )


def typing_from(frame: TypingFrame, *, address: Address, now: datetime) -> TypingReported:
    return TypingReported(address=address, occurred_at=now, on=frame.d.on)
