"""Parrot's requests, taken apart: theirs to ours, pure."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, ValidationError

from shared.connector import Hook
from shared.content import Content, Location, Media, Opaque, Text
from shared.errors import Ignored, Malformed
from shared.events import Address, Evidence, InboundEvent, MessageReceived, Reason, ReceiptReported, Sender, Status
from shared.model import Model, Str

CHANNEL: Final = "parrot"
STATUS: Final = {"delivered": Status.DELIVERED, "failed": Status.FAILED}
LAST_MS: Final = 4_102_444_800_000  # the year 2100: what is later is no time of day

Name = Annotated[Str, Field(min_length=1)]


class Picture(Model):
    file: Name
    mime: Str | None = None
    size: int | None = Field(default=None, ge=0)


class Place(Model):
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class Message(Model):
    id: Name
    from_: Name = Field(alias="from")
    at: int = Field(ge=0, le=LAST_MS)
    type: Str
    name: Str | None = None
    text: Str | None = None
    picture: Picture | None = None
    place: Place | None = None
    quotes: Str | None = None


class Receipt(Model):
    """`id` names the message, for `read` the newest one that was."""

    id: Name
    to: Name
    at: int = Field(ge=0, le=LAST_MS)
    status: Str
    code: Str | None = None


class Batch(Model):
    account: str
    messages: tuple[Message, ...] = ()
    receipts: tuple[Receipt, ...] = ()


def parse_batch(hook: Hook, account: str) -> Sequence[InboundEvent]:
    try:
        batch = Batch.model_validate(json.loads(hook.body))
    except (ValidationError, ValueError, RecursionError) as error:
        raise Malformed("The body is not a batch of Parrot's; compare the version of its API.") from error
    if batch.account != account:
        raise Malformed("The batch is for another account; check which address Parrot calls.")
    events = tuple(parse_events(batch, hook.body))
    if not events:
        raise Ignored("The batch has nothing that we keep.")
    return events


def parse_events(batch: Batch, raw: bytes) -> Iterator[InboundEvent]:
    for message in batch.messages:
        yield MessageReceived(
            address=Address(channel=CHANNEL, account=batch.account, peer=message.from_),
            occurred_at=parse_time(message.at),
            raw=raw,
            context={"last": message.id},
            external_id=message.id,
            sender=Sender(name=message.name),
            content=parse_content(message),
            reply_to=message.quotes,
        )
    for receipt in batch.receipts:
        if receipt.status == "read":
            yield parse_receipt(batch, receipt, raw, Status.READ, Evidence.WATERMARK)
        elif receipt.status in STATUS:
            yield parse_receipt(batch, receipt, raw, STATUS[receipt.status], Evidence.PROVIDER_RECEIPT)


def parse_receipt(
    batch: Batch,
    receipt: Receipt,
    raw: bytes,
    status: Status,
    evidence: Literal[Evidence.WATERMARK, Evidence.PROVIDER_RECEIPT],
) -> ReceiptReported:
    exact = evidence is Evidence.PROVIDER_RECEIPT
    return ReceiptReported(
        address=Address(channel=CHANNEL, account=batch.account, peer=receipt.to),
        occurred_at=parse_time(receipt.at),
        raw=raw,
        status=status,
        evidence=evidence,
        external_ids=(receipt.id,) if exact else (),
        up_to_id=None if exact else receipt.id,
        reason=Reason(code=receipt.code or "failed", detail="Parrot gave up.") if status is Status.FAILED else None,
    )


def parse_content(message: Message) -> Content:
    match message:
        case Message(type="text", text=str(text)):
            return Text(text=text)
        case Message(type="picture", picture=Picture() as picture):
            return Media(media="image", source=picture.file, mime=picture.mime, size=picture.size, caption=message.text)
        case Message(type="place", place=Place() as place):
            return Location(latitude=place.latitude, longitude=place.longitude)
        case _:
            return Opaque(what=message.type)


def parse_time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def parse_sent(answer: JsonValue) -> str | None:
    """The id that Parrot gave to what it took."""
    match answer:
        case {"id": str(id)} if id:
            return id
        case _:
            return None
