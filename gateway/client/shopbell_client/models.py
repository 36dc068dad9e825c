"""The resources of the API as frozen models. Fields of a newer server are ignored, never an error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from shopbell_client.content import Content, UnknownContent

__all__ = ["Agent", "AgentToken", "Author", "Bounce", "Channel", "ChannelRef", "Contact", "Conversation", "Event"]
__all__ += ["EventPage", "Failure", "Identity", "Inbound", "Key", "Me", "Message", "MessageStatus"]
__all__ += ["NewKey", "Page", "Part", "Principal", "ReadResult", "Reason", "Receipt", "Ref", "ReplyWindow"]
__all__ += ["Attachment", "Check", "LinkCode", "Mail", "Placement", "TemplateText", "TypingSignal"]

JsonObject = dict[str, JsonValue]
T_co = TypeVar("T_co", covariant=True)

# Open sets: the names of today, for the reader and the editor; a newer server may say others.
MessageStatus = Literal["queued", "accepted", "sent", "delivered", "read", "failed", "uncertain"] | str
ConversationStatus = Literal["open", "pending", "snoozed", "closed"] | str
AuthorType = Literal["contact", "agent", "bot", "shop", "system"] | str
MailClass = Literal["normal", "auto_reply", "bounce", "list", "bulk"] | str


class Resource(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Ref(Resource):
    """A thing named from elsewhere."""

    id: str
    name: str | None = None


class ChannelRef(Ref):
    type: str = ""


class Editable(Resource):
    """A resource that people edit; pass `etag` as `if_match` to write only over what was read."""

    id: str
    etag: str | None = Field(default=None, exclude=True, repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether both show the same: an event shows what an answer does, without its tag."""
        if not isinstance(other, Editable):
            return NotImplemented
        return BaseModel.__eq__(*(one.model_copy(update={"etag": None}) for one in (self, other)))

    def __hash__(self) -> int:
        return hash((type(self), self.id))


class Channel(Editable):
    """A connected bot, number, mailbox or site. Secrets in `settings` never come out."""

    id: str
    type: str
    name: str
    state: str = "active"
    state_reason: JsonObject | None = None
    capabilities: JsonObject = {}
    settings: JsonObject = {}
    hook_url: str | None = None
    created_at: AwareDatetime | None = None


class Check(Resource):
    """What a provider said of a channel; each problem is a sentence that says what to do."""

    ok: bool
    problems: tuple[str, ...] = ()


class TemplateText(Resource):
    """A text that a provider approved beforehand; `places` are to be filled."""

    name: str
    language: str
    status: str = ""
    category: str | None = None
    body: str = ""
    places: tuple[str, ...] = ()
    usable: bool = True


class Attachment(Resource):
    """A file; `size` in bytes. `url` serves it without a token and runs out: ask again for a new one."""

    id: str
    state: str = "kept"
    mime: str | None = None
    name: str | None = None
    size: int | None = None
    sha256: str | None = None
    failure: str | None = None
    url: str | None = None
    created_at: AwareDatetime | None = None


class LinkCode(Resource):
    """Good once: whoever brings it on another channel is the contact it was made for."""

    code: str = Field(repr=False)
    expires_at: AwareDatetime


class Identity(Resource):
    """One address of a contact on one channel, and why it is believed to be theirs."""

    id: str
    channel_type: str = ""
    account: str | None = None
    peer: str | None = None
    name: str | None = None
    username: str | None = None
    proof: str | None = None


class Contact(Editable):
    """A person."""

    id: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    locale: str | None = None
    attributes: JsonObject = {}
    identities: tuple[Identity, ...] = ()
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None


class Author(Resource):
    type: AuthorType
    id: str | None = None
    name: str | None = None


class Part(Resource):
    """One piece of a message that the provider had to be given in several."""

    part: int
    external_id: str | None = None
    status: MessageStatus | None = None


class Failure(Resource):
    code: str
    detail: str = ""
    retryable: bool = False


class Placement(Resource):
    """Why a mail is in the conversation where it is; `message` led there, or would have."""

    code: str
    detail: str = ""
    message: str | None = None


class Bounce(Resource):
    """What a delivery report says of one recipient; `status` is the enhanced code, such as 5.1.1."""

    recipient: str | None = None
    status: str | None = None
    action: Literal["failed", "delayed", "delivered", "relayed", "expanded"] | str = "failed"


class Mail(Resource):
    """What a mail tells beside its words. `category` is the API's `class`: other than `normal`, a machine wrote.

    `authenticity` is what the shop's own mail server found out about the sender.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    subject: str | None = None
    category: MailClass = Field(default="normal", alias="class")
    authenticity: Literal["verified", "suspicious", "unknown"] | str = "unknown"
    placement: Placement | None = None
    bounce: Bounce | None = None


class Message(Resource):
    """One message. `seq` orders the messages of a conversation, `status` moves only forward."""

    id: str
    conversation: str
    seq: int
    direction: Literal["in", "out"] | str
    visibility: Literal["public", "internal"] | str = "public"
    author: Author
    content: Content = UnknownContent()
    status: MessageStatus
    status_evidence: str = "none"
    parts: tuple[Part, ...] = ()
    degraded: tuple[str, ...] = ()
    reply_to: str | None = None
    client_ref: str | None = None
    created_at: AwareDatetime
    occurred_at: AwareDatetime | None = None
    edited_at: AwareDatetime | None = None
    deleted_at: AwareDatetime | None = None
    failure: Failure | None = None
    mail: Mail | None = None


class ReplyWindow(Resource):
    """Whether the channel lets the shop write now."""

    state: Literal["free", "template", "closed"] | str = "free"
    closes_at: AwareDatetime | None = None


class Conversation(Editable):
    """A thread with one contact on one channel. `waiting_since` is set while the customer waits.

    `subject` is what the first mail says it is about; other channels have none.
    """

    id: str
    contact: Ref
    subject: str | None = None
    status: ConversationStatus
    channel: ChannelRef
    assignee: Ref | None = None
    team: Ref | str | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    unread: int = 0
    waiting_since: AwareDatetime | None = None
    reply_window: ReplyWindow = ReplyWindow()
    last_message: Message | None = None
    last_seq: int = 0
    agent_read_seq: int = 0
    contact_read_seq: int = 0
    created_at: AwareDatetime | None = None
    updated_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None


class ReadResult(Resource):
    """Whether the customer was told that an agent read, and if not, why."""

    told_customer: bool = False
    reason: str | None = None
    up_to: str | None = None


class Receipt(Resource):
    """One line of the ledger of a message."""

    status: MessageStatus
    evidence: str = "none"
    part: int | None = None
    occurred_at: AwareDatetime | None = None
    recorded_at: AwareDatetime
    reason: Failure | None = None


class Agent(Editable):
    id: str
    name: str
    email: str | None = None
    type: Literal["human", "bot"] | str = "human"
    created_at: AwareDatetime | None = None


class AgentToken(Resource):
    """A token for one agent. It is shown once and kept out of the repr."""

    token: str = Field(repr=False)
    expires_at: AwareDatetime
    agent: Ref


class Key(Resource):
    """A shop key without its secret; `prefix` is enough to recognise it."""

    id: str
    name: str
    prefix: str = ""
    scopes: tuple[str, ...] = ()
    mode: Literal["live", "test"] | str = "live"
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    last_used_at: AwareDatetime | None = None


class NewKey(Key):
    """A key just made. `key` is shown once and kept out of the repr."""

    key: str = Field(repr=False)


class Reason(Resource):
    """Why something is as it is: a code for programs, a sentence for people."""

    code: str
    detail: str = ""


class Inbound(Resource):
    """One raw thing a provider sent, and what became of it."""

    id: str
    channel: ChannelRef | Ref | str | None = None
    state: Literal["processed", "quarantined"] | str
    kind: str | None = None
    reason: Reason | None = None
    received_at: AwareDatetime | None = None
    processed_at: AwareDatetime | None = None
    event: JsonObject | None = None
    raw: str | None = None


class Principal(Resource):
    type: Literal["key", "agent"] | str
    id: str
    name: str | None = None


class Me(Resource):
    """Whom the token speaks for."""

    shop: Ref
    principal: Principal
    scopes: tuple[str, ...] = ()


class TypingSignal(Resource):
    """Somebody is writing, or stopped."""

    conversation: str | None = None
    on: bool = True
    by: Literal["contact", "agent"] | str = "contact"


EventData = Message | Conversation | Contact | Inbound | Channel | TypingSignal | JsonObject

_DATA_BY_TYPE: dict[str, type[Resource]] = {
    "message": Message,
    "conversation": Conversation,
    "contact": Contact,
    "inbound": Inbound,
    "channel": Channel,
    "typing": TypingSignal,
}


class Event(Resource):
    """Something that happened. `data` is the resource as it was then; tell it apart with `match`.

    Data of a type, or of a shape, that this client does not know stays a plain dict. `cursor` is
    None for events that are live only (`typing`).
    """

    type: str
    id: str | None = None
    at: AwareDatetime | None = None
    shop: str | None = None
    conversation: str | None = None
    cursor: str | None = None
    data: SerializeAsAny[EventData] = {}

    @field_validator("data", mode="plain")
    @classmethod
    def _by_type(cls, value: Any, info: ValidationInfo) -> Any:
        model = _DATA_BY_TYPE.get(str(info.data.get("type", "")).partition(".")[0])
        if model is None or isinstance(value, BaseModel):
            return value
        try:
            return model.model_validate(value)
        except ValidationError:  # one event of a newer shape must not stop the stream
            return value


class EventPage(Resource):
    """Events in order; pass `next` as `after` for what follows. `next` is set on an empty page too."""

    items: tuple[Event, ...] = ()
    next: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """One page of a list. `next` and `prev` are opaque; None where the list ends."""

    items: tuple[T_co, ...]
    next: str | None = None
    prev: str | None = None
