"""The resources as the API shows them; the feed carries the same."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.content import Content
from shared.events import Authenticity, Bounce, Evidence, MailClass, Status
from shared.model import Time


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ref(View):
    """Another resource, with the name to show."""

    id: str
    name: str | None


class ChannelRef(Ref):
    type: str


class Author(View):
    type: Literal["contact", "agent", "bot", "shop", "system"]
    id: str | None
    name: str | None


class Failure(View):
    """Why a message did not arrive; `retryable` if `POST .../retry` may help."""

    code: str
    detail: str
    retryable: bool


class Part(View):
    """One of the provider's messages that carry ours, and how far it has come."""

    part: int
    external_id: str
    status: Status | None = None


class Placement(View):
    """Why a mail is in the conversation where it is. `message` is the one that led there, or would have."""

    code: str
    detail: str
    message: str | None


class MailView(View):
    """What a mail tells beside its words.

    `class` says who wrote: `normal` is a person, everything else a machine, whom nothing answers by itself.
    `authenticity` is what our mail server found out about the sender. `bounce` is what a delivery report says.
    """

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    subject: str | None
    category: MailClass = Field(alias="class")
    authenticity: Authenticity
    placement: Placement | None
    bounce: Bounce | None


class MessageView(View):
    id: str
    conversation: str
    seq: int
    direction: Literal["in", "out"]
    visibility: Literal["public", "internal"]
    author: Author
    content: Content
    status: Status
    status_evidence: Evidence
    parts: tuple[Part, ...]
    degraded: tuple[str, ...]
    """What was lost on the way to the channel, in words."""
    reply_to: str | None
    client_ref: str | None
    created_at: Time
    occurred_at: Time
    edited_at: Time | None
    deleted_at: Time | None
    failure: Failure | None
    mail: MailView | None
    """Of mails only."""


class Window(View):
    """Whether a free answer is possible now, until when, and what is left afterwards."""

    state: Literal["free", "template", "closed"]
    closes_at: Time | None


class ConversationView(View):
    id: str
    contact: Ref
    subject: str | None
    """Of mails: what the first one says it is about."""
    status: Literal["open", "pending", "snoozed", "closed"]
    channel: ChannelRef
    assignee: Ref | None
    team: Ref | None
    priority: int
    tags: tuple[str, ...]
    unread: int
    waiting_since: Time | None
    reply_window: Window
    last_message: MessageView | None
    last_seq: int
    agent_read_seq: int
    contact_read_seq: int
    created_at: Time
    updated_at: Time
    closed_at: Time | None


class IdentityView(View):
    id: str
    channel_type: str
    account: str
    peer: str
    name: str | None
    username: str | None
    proof: Literal["provider", "signed", "code", "agent", "guess"]
    blocked_at: Time | None


class ContactView(View):
    id: str
    name: str | None
    email: str | None
    phone: str | None
    locale: str | None
    attributes: dict[str, Any]
    identities: tuple[IdentityView, ...]
    created_at: Time
    updated_at: Time


class ChannelView(View):
    """Secrets are never shown."""

    id: str
    type: str
    name: str
    state: Literal["active", "paused"]
    state_reason: dict[str, Any] | None
    capabilities: dict[str, Any]
    settings: dict[str, Any]
    hook_url: str | None
    created_at: Time


class AttachmentView(View):
    """A file. `url` serves it without a token and runs out; ask again for a new one. `size` in bytes."""

    id: str
    state: Literal["expected", "kept", "lost"]
    mime: str | None
    name: str | None
    size: int | None
    sha256: str | None
    failure: str | None
    url: str | None
    created_at: Time


class CheckView(View):
    """What the provider says of the channel: each problem is a sentence that says what to do."""

    ok: bool
    problems: tuple[str, ...]


class TemplateView(View):
    """A text that the provider approved beforehand. `status` is the provider's word for how it stands."""

    name: str
    language: str
    status: str
    category: str | None
    body: str
    places: tuple[str, ...]
    usable: bool


class AgentView(View):
    id: str
    name: str
    email: str | None
    type: Literal["human", "bot"]
    created_at: Time


class InboundView(View):
    """A row of the raw journal. `raw` is the provider's own words, as text where they are text."""

    id: str
    channel: str
    state: Literal["processed", "quarantined"]
    kind: str
    reason: dict[str, Any] | None
    received_at: Time
    processed_at: Time | None
    event: dict[str, Any] | None
    raw: str | None
