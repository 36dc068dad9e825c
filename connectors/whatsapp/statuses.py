"""What became of our messages, as Meta tells it. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from connectors.whatsapp.people import ids_of
from connectors.whatsapp.reading import Json, moment, parts, words
from connectors.whatsapp.refusals import meaning_of
from connectors.whatsapp.telling import Change, is_call
from shared.errors import AuthExpired, Unavailable, Uncertain
from shared.events import ChannelReported, Evidence, InboundEvent, Reason, ReceiptReported, Status

# `played` is of a voice message, which whoever plays it has read.
STATUSES: Final[Mapping[str, Status]] = {
    "accepted": Status.ACCEPTED,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "played": Status.READ,
    "failed": Status.FAILED,
}
OF_NO_INTEREST: Final = frozenset({"deleted", "warning"})
OURS: Final = re.compile(r"(msg_[0-9a-z]{1,40})(?::([0-9]{1,3}))?")  # what we send along and get back
CONCERNS_ALL: Final = frozenset({"131037", "131042", "131044", "131048", "131064"})  # payment, quality, display name


def parse_status(change: Change, said: Json) -> Iterator[InboundEvent]:
    """A receipt. Named by Meta's id and, where it comes back, by our own."""
    told, id = words(said, "status") or "", words(said, "id")
    if words(said, "type") == "call" or is_call(id) or told in OF_NO_INTEREST:
        return
    raw = change.around("statuses", said)
    status, ours = STATUSES.get(told), OURS.fullmatch(words(said, "biz_opaque_callback_data") or "")
    if status is None or (id is None and ours is None):
        yield change.undigested("unknown_status", f"A status that is not known here: {told[:40]!r}.", raw)
        return
    if status is Status.FAILED and words(said, "recipient_participant_id", "recipient_participant_user_id"):
        status = Status.SENT  # one member of a group did not get it, and the others may
    reason = reason_of(change, said) if status is Status.FAILED else None
    yield ReceiptReported(
        **change.common(recipient(said), moment(said), raw),
        status=status,
        evidence=Evidence.PROVIDER_RECEIPT,
        external_ids=(id,) if id else (),
        message_id=ours[1] if ours else None,
        part=int(ours[2]) if ours and ours[2] else None,
        reason=reason,
    )
    if reason is not None:
        yield from parse_trouble(change, said, reason, raw)


def recipient(said: Json) -> str:
    if words(said, "recipient_type") == "group":
        return words(said, "recipient_id") or "unknown"
    ids = ids_of(words(said, "recipient_user_id"), words(said, "parent_recipient_user_id"), words(said, "recipient_id"))
    return ids.peer or "unknown"


def reason_of(change: Change, said: Json) -> Reason:
    """Meta's first error in our words; it stands in the status, or beside it."""
    errors = parts(said, "errors") or parts(change.value, "errors")
    error = meaning_of(errors[0] if errors else {})
    if isinstance(error, Uncertain):  # in an answer it would be a doubt; here Meta says that it came to nothing
        error = Unavailable("WhatsApp failed inside and did not send the message; try again.")
    return Reason(code=error.code, detail=error.detail)


def parse_trouble(change: Change, said: Json, reason: Reason, raw: bytes) -> Iterator[InboundEvent]:
    """A failure that every other message will meet as well is told of the channel, too."""
    codes = {words(error, "code") for error in parts(said, "errors")}
    if reason.code == AuthExpired.code or codes & CONCERNS_ALL:
        stops = reason if reason.code == AuthExpired.code else Reason(code="account_warned", detail=reason.detail)
        yield ChannelReported(
            **change.common(change.number or "unknown", moment(said), raw),
            external_id=f"status:{words(said, 'id') or ''}",
            topic="account",
            problem=stops,
        )
