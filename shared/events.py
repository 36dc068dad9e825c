"""What a channel tells us: the union that every connector speaks, and the key that makes a repeat harmless."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from shared.content import Content
from shared.model import Model, Notes, Str, Time

UNDATED: Final = datetime.fromtimestamp(0, UTC)  # of what has no time, or one that is none: it must not be lost for it


class Address(Model):
    """One partner as the channel knows them.

    `channel` is the channel's type, `account` our end of it (bot, number, mailbox, site), `peer` the partner within the
    scope in which the provider gives out ids, `thread` a matter of its own where the channel has such (mail).
    """

    channel: str
    account: Str
    peer: Str = Field(min_length=1)
    thread: Str | None = None


class Sender(Model):
    """What the provider says of the partner. A name proves nothing.

    `phone` is in E.164, told by the provider. `aliases` are further peers by which the same account knows this person
    for certain: whoever is met under one of them is met again under the others. `lent` are those of the peer and the
    aliases that may pass on to somebody else, as phone numbers do: they never lead to who has a lasting id besides.
    `group` is the title of the group that is the partner; everything else then is of the member who wrote.
    """

    name: Str | None = None
    username: Str | None = None
    locale: Str | None = None
    phone: Str | None = None
    aliases: tuple[Str, ...] = ()
    lent: tuple[Str, ...] = ()
    group: Str | None = None

    @property
    def partner(self) -> "Sender":
        """What it says of the partner."""
        return self if self.group is None else Sender(name=self.group or None)


class Status(StrEnum):
    """The ladder of a message of ours, lowest first; FAILED and UNCERTAIN stand beside it."""

    QUEUED = "queued"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


class Evidence(StrEnum):
    """On what a status rests."""

    PROVIDER_ACCEPT = "provider_accept"
    PROVIDER_RECEIPT = "provider_receipt"
    WATERMARK = "watermark"
    DEVICE = "device"
    INFERRED = "inferred"
    BOUNCE = "bounce"
    MDN = "mdn"
    PERSON = "person"
    NONE = "none"


class Reason(Model):
    """Why something failed: a stable code and a sentence for a person, in the provider's words where it has any."""

    code: Str
    detail: Str


class Fate(StrEnum):
    """What becomes of a send that did not work out."""

    NEVER = "never"
    LATER = "later"
    PAUSE = "pause"
    ASK = "ask"


class SendOutcome(Model):
    """How one attempt of ours ended, as the connector saw it. `fate` is None when it went out.

    `external_ids` as in `Sent`; of an attempt that did not go out whole, of the parts before the one where it stopped.
    """

    attempt: int = Field(ge=1)
    external_ids: tuple[Str, ...] = ()
    degraded: tuple[Str, ...] = ()
    fate: Fate | None = None
    retry_after_s: float | None = Field(default=None, ge=0)


class Event(Model):
    """The part all events share. `raw` is the provider's own words, `context` the connector's notes for the reply.

    The notes of the latest message are those of the conversation; None leaves them as they are.
    """

    address: Address
    occurred_at: Time
    raw: bytes = b""
    context: Notes | None = Field(default_factory=dict)


class MailClass(StrEnum):
    """Who wrote a mail: a person, or which kind of machine. A machine is never answered by another."""

    NORMAL = "normal"
    AUTO_REPLY = "auto_reply"
    BOUNCE = "bounce"
    LIST = "list"
    BULK = "bulk"


class Authenticity(StrEnum):
    """What our own mail server found out about the sender (RFC 8601). A typed address is worth what UNKNOWN is."""

    VERIFIED = "verified"
    SUSPICIOUS = "suspicious"
    UNKNOWN = "unknown"


class Bounce(Model):
    """What a delivery report says of one recipient (RFC 3464). `status` is the enhanced code, such as 5.1.1."""

    recipient: Str | None = None
    status: Str | None = None
    action: Literal["failed", "delayed", "delivered", "relayed", "expanded"] = "failed"


class Mail(Model):
    """What a mail tells beside its words.

    `references` are the ids of earlier mails that it names, the nearest first; `ours` are messages of ours among them,
    by our own ids, whose signature was found right. `topic` is the subject without what replies add to it.
    `answers`: whether the subject says that it is a reply. `audience` are those to whom it went as well.
    `fingerprint` tells it from another mail that has the same Message-ID.
    """

    category: MailClass = MailClass.NORMAL
    authenticity: Authenticity = Authenticity.UNKNOWN
    references: tuple[Str, ...] = ()
    ours: tuple[Str, ...] = ()
    topic: Str = ""
    answers: bool = False
    audience: tuple[Str, ...] = ()
    fingerprint: Str = ""
    bounce: Bounce | None = None

    @property
    def automatic(self) -> bool:
        return self.category is not MailClass.NORMAL


class MessageReceived(Event):
    """The partner wrote. `reply_to` is the provider's id of the quoted message, `payload` what a deep link carried."""

    kind: Literal["message_received"] = "message_received"
    external_id: Str = Field(min_length=1)
    sender: Sender = Sender()
    content: Content
    reply_to: Str | None = None
    subject: Str | None = None
    payload: Str | None = None
    mail: Mail | None = None


class MessageEdited(Event):
    """The partner changed a message. `version` tells one edit from the next."""

    kind: Literal["message_edited"] = "message_edited"
    external_id: Str = Field(min_length=1)
    content: Content
    version: Str | None = None


class MessageDeleted(Event):
    kind: Literal["message_deleted"] = "message_deleted"
    external_id: Str = Field(min_length=1)


class ReceiptReported(Event):
    """What became of messages of ours.

    They are named by `external_ids`, or by our own `message_id`, or all up to `up_to` (a time) or `up_to_id` (an
    external id). `outcome` is set when a connector reports its own attempt rather than a provider's receipt.
    """

    kind: Literal["receipt_reported"] = "receipt_reported"
    status: Status
    evidence: Evidence
    external_ids: tuple[Str, ...] = ()
    message_id: Str | None = None
    up_to: Time | None = None
    up_to_id: Str | None = None
    part: int | None = Field(default=None, ge=0)
    reason: Reason | None = None
    outcome: SendOutcome | None = None
    bounce: Bounce | None = None


class TypingReported(Event):
    """The partner types. Live only: never stored, lost without harm."""

    kind: Literal["typing_reported"] = "typing_reported"
    on: bool


class PeerConnected(Event):
    """The partner opened the channel to us; `payload` is what a deep link carried."""

    kind: Literal["peer_connected"] = "peer_connected"
    external_id: Str = Field(min_length=1)
    sender: Sender = Sender()
    payload: Str | None = None


class PeerBlocked(Event):
    kind: Literal["peer_blocked"] = "peer_blocked"
    external_id: Str = Field(min_length=1)


class PeerMoved(Event):
    """The channel knows the partner of `address` by another id from now on: they stay the same person.

    An old id that is `lent` is no longer theirs.
    """

    kind: Literal["peer_moved"] = "peer_moved"
    external_id: Str = Field(min_length=1)
    to: Str = Field(min_length=1)
    sender: Sender = Sender()


class ChannelReported(Event):
    """The provider says something of our end rather than of a partner. `address.peer` is the account itself.

    `templates`: its approved texts have changed; `account`: it works, or it does not and `problem` says why.
    """

    kind: Literal["channel_reported"] = "channel_reported"
    external_id: Str = Field(min_length=1)
    topic: Literal["templates", "account"]
    problem: Reason | None = None


class Echo(Event):
    """Our side's message that was sent from elsewhere; `origin` says from where. `recipient` is the partner."""

    kind: Literal["echo"] = "echo"
    external_id: Str = Field(min_length=1)
    recipient: Sender = Sender()
    content: Content
    origin: Literal["provider_app", "provider_ai", "other_api"]
    reply_to: Str | None = None
    subject: Str | None = None
    mail: Mail | None = None


class Undigested(Event):
    """An authentic payload that the connector could not take apart: kept whole, for a person and a later fix."""

    kind: Literal["undigested"] = "undigested"
    external_id: Str = Field(min_length=1)
    headers: dict[Str, Str] = Field(default_factory=dict)
    reason: Reason


def told_of(event: "InboundEvent") -> Sender:
    """What an event says of its partner beside the peer."""
    match event:
        case MessageReceived() | PeerConnected() | PeerMoved():
            return event.sender.partner
        case Echo():
            return event.recipient.partner
        case _:
            return Sender()


InboundEvent = Annotated[
    MessageReceived
    | MessageEdited
    | MessageDeleted
    | ReceiptReported
    | TypingReported
    | PeerConnected
    | PeerBlocked
    | PeerMoved
    | ChannelReported
    | Echo
    | Undigested,
    Field(discriminator="kind"),
]


def dedupe_key(event: InboundEvent) -> str:
    """The same fact has the same key, however often and in whatever batch it is told. Unique within a channel."""
    peer = event.address.peer
    match event:
        case MessageReceived() | Echo():
            # one key for both: an echo and a receipt of the same provider id are the same message
            told_apart = (event.mail.fingerprint,) if event.mail and event.mail.fingerprint else ()
            return join_key("m", peer, event.external_id, *told_apart)
        case MessageEdited():
            return join_key("e", peer, event.external_id, event.version or event.occurred_at.isoformat())
        case MessageDeleted():
            return join_key("d", peer, event.external_id)
        case ReceiptReported():
            return receipt_key(event)
        case TypingReported():
            return join_key("t", peer, str(event.on), event.occurred_at.isoformat())
        case PeerConnected():
            return join_key("c", peer, event.external_id)
        case PeerBlocked():
            return join_key("b", peer, event.external_id)
        case PeerMoved():
            return join_key("p", peer, event.external_id)
        case ChannelReported():
            return join_key("a", peer, event.external_id)
        case Undigested():
            return join_key("u", event.external_id)


def receipt_key(event: ReceiptReported) -> str:
    up_to = event.up_to.isoformat() if event.up_to else ""
    attempt = str(event.outcome.attempt) if event.outcome else ""
    code = event.reason.code if event.reason else ""
    part = "" if event.part is None else str(event.part)
    ours, theirs = event.message_id or "", event.up_to_id or ""
    return join_key(
        "r", event.address.peer, event.status, ours, theirs, up_to, part, attempt, code, *event.external_ids
    )


def join_key(*facts: str) -> str:
    """The facts in one text, from which no other facts give the same: providers and visitors choose their ids."""
    return "|".join(fact.replace("%", "%25").replace("|", "%7C") for fact in facts)
