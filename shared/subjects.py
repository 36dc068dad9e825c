"""Everything that travels on the bus, in one place."""

from functools import cache

from pydantic import Field, JsonValue

from shared.bus import Hint, Query, Topic
from shared.commands import AnyCommand
from shared.content import Content
from shared.events import Fate, InboundEvent, Reason
from shared.model import Model, Notes, Str, Time


class InboundBatch(Model):
    """Events of one channel, in the order in which the provider handed them over."""

    channel_id: str
    events: tuple[InboundEvent, ...]


class Delivery(Model):
    """One command for one channel. `attempt` counts the tries of a send or a fetch, from 1; other commands have 0."""

    channel_id: str
    command: AnyCommand
    attempt: int = 0


INBOUND = Topic("inbound", InboundBatch)


@cache
def outbound(channel_type: str) -> Topic[Delivery]:
    return Topic(f"outbound.{channel_type}", Delivery)


class MediaReport(Model):
    """How fetching a file ended: it is kept, with its `size` in bytes, or `reason` and `fate` say why it is not."""

    channel_id: str
    message_id: str
    attachment: str
    attempt: int
    size: int | None = None
    mime: Str | None = None
    name: Str | None = None
    sha256: str | None = None
    reason: Reason | None = None
    fate: Fate | None = None
    retry_after_s: float | None = None


MEDIA = Topic("media", MediaReport)


class ChannelQuestion(Model):
    """`beside`: only if it belongs to the same shop as this channel."""

    channel_type: str
    channel_id: str
    beside: str | None = None


class ChannelRecord(Model):
    """A channel as its connector needs it, secrets in clear: only ever on the bus, never in a log.

    `active`: it takes in what the provider tells; what goes out is held back elsewhere.
    """

    id: str
    type: str
    active: bool
    config: dict[str, JsonValue] = Field(repr=False)
    hook_url: str | None = None


class ChannelAnswer(Model):
    """`channel` is None when there is no such channel."""

    channel: ChannelRecord | None


CHANNEL = Query("channel", ChannelQuestion, ChannelAnswer)


class ChannelsQuestion(Model):
    channel_type: str


class ChannelsAnswer(Model):
    """The active channels of the type."""

    channel_ids: tuple[str, ...]


CHANNELS = Query("channels", ChannelsQuestion, ChannelsAnswer)


class ListenRequest(Model):
    """`holder` wants to be the one process that listens to this channel for `ttl_s` seconds, or gives that back with 0.

    To be asked again well before the time is over, by the same name.
    """

    channel_id: str
    holder: str
    ttl_s: float


class ListenAnswer(Model):
    """`token` is None where another process listens. It grows with each new holder: an older one counts no more."""

    token: int | None = None
    place: Notes = Field(default_factory=dict)


LISTEN = Query("listen", ListenRequest, ListenAnswer)


class PlaceRequest(Model):
    """How far the holder of this token has come."""

    channel_id: str
    token: int
    place: Notes


class PlaceAnswer(Model):
    """`kept` is False where the token counts no more: somebody else listens by now."""

    kept: bool


PLACE = Query("place", PlaceRequest, PlaceAnswer)


class CheckRequest(Model):
    """Ask the provider of a channel whether everything is in order."""

    channel_id: str


class CheckAnswer(Model):
    """Sentences that say what is wrong and what to do; none means all is well."""

    problems: tuple[Str, ...]


@cache
def check(channel_type: str) -> Query[CheckRequest, CheckAnswer]:
    return Query(f"check.{channel_type}", CheckRequest, CheckAnswer)


class KnownTemplate(Model):
    """`places` are the names or numbers of what is to be filled in `body`; `status` is the provider's word."""

    name: Str
    language: Str
    status: Str
    category: Str | None = None
    body: Str
    places: tuple[Str, ...] = ()
    usable: bool = True


class TemplatesAnswer(Model):
    """Every template of the account, or the reason why it cannot be told."""

    templates: tuple[KnownTemplate, ...] = ()
    problem: Reason | None = None


@cache
def templates(channel_type: str) -> Query[CheckRequest, TemplatesAnswer]:
    return Query(f"templates.{channel_type}", CheckRequest, TemplatesAnswer)


class ChannelChanged(Model):
    channel_id: str


CHANNEL_CHANGED = Hint("channel_changed", ChannelChanged)


class ReparseRequest(Model):
    """Raw words of a provider that once could not be taken apart."""

    channel_id: str
    body: bytes = Field(repr=False)
    headers: dict[Str, Str] = Field(repr=False)


class ReparseAnswer(Model):
    """The events, or the reason why there are none."""

    events: tuple[InboundEvent, ...] = ()
    problem: str | None = None


@cache
def reparse(channel_type: str) -> Query[ReparseRequest, ReparseAnswer]:
    return Query(f"reparse.{channel_type}", ReparseRequest, ReparseAnswer)


class ThreadQuestion(Model):
    """What has changed for one partner since `after`; without it, the newest `limit` messages."""

    channel_id: str
    peer: str
    after: str | None = None
    limit: int = 50


class ThreadAuthor(Model):
    type: str
    name: str | None


class ThreadMessage(Model):
    """A message as the partner may see it: no notes, no ids of agents."""

    id: str
    conversation: str
    seq: int
    mine: bool
    cmid: str | None
    author: ThreadAuthor
    content: Content
    status: str
    reply_to: str | None
    created_at: Time
    edited_at: Time | None
    deleted: bool


class ThreadSeen(Model):
    """Up to where a person of the shop has read, and when."""

    up_to: Str | None = None
    at: Time | None = None


class ThreadPage(Model):
    """Fold `messages` in by id; `reset`: they are the whole. `more`: ask again after `cursor`."""

    messages: tuple[ThreadMessage, ...]
    seen: ThreadSeen
    cursor: str
    more: bool
    reset: bool


THREAD = Query("thread", ThreadQuestion, ThreadPage)


class StaffedQuestion(Model):
    channel_id: str


class StaffedAnswer(Model):
    """Whether a person of the channel's shop is there to answer."""

    answering: bool


STAFFED = Query("staffed", StaffedQuestion, StaffedAnswer)


class FeedGrew(Model):
    """A shop's feed has new events."""

    shop_id: str


FEED_GREW = Hint("feed_grew", FeedGrew)


class OutboxFilled(Model):
    """There is something to send."""


OUTBOX_FILLED = Hint("outbox_filled", OutboxFilled)


class TypingSeen(Model):
    """Someone types, in a conversation of a shop; live only."""

    shop_id: str
    conversation_id: str
    on: bool
    by: str


TYPING_SEEN = Hint("typing_seen", TypingSeen)
