"""The contract of a channel: what every connector promises, and what it is given.

Every default refuses, so a new connector starts honest: it can do what it overrides and declares, and nothing else.
`tests/contract/test_connectors.py` holds every registered connector to it.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, final

import httpx

from shared.bus import Bus
from shared.capabilities import Capabilities, Rate
from shared.clock import Clock
from shared.commands import DeleteMessage, EditMessage, MarkRead, SendMessage, Sent, SetTyping
from shared.content import Media
from shared.errors import BadSignature, Malformed, Unsupported
from shared.events import InboundEvent
from shared.model import Notes, StrictModel
from shared.subjects import KnownTemplate

HOOK_MAX_BYTES: Final = 4 * 1024 * 1024  # Meta documents 3 MB for a webhook's body; no messenger sends more


@dataclass(frozen=True)
class ChannelType:
    """A kind of channel as data. Fields of `config` typed `SecretStr` are kept encrypted and never shown.

    `account` names the field of `config` that tells our end of it, as `Address.account` does; None where every channel
    is its own. `hook_max_bytes` is the largest request that a provider makes.
    """

    name: str
    title: str
    capabilities: Capabilities
    config: type[StrictModel]
    account: str | None = None
    hook_max_bytes: int = HOOK_MAX_BYTES


@dataclass(frozen=True)
class Hook:
    """A provider's request, untouched. Header names are in lower case. Its repr shows no signature and no words."""

    method: str
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class HookReply:
    """What the provider is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Publish(Protocol):
    """Hand events over; returns once they are safe."""

    async def __call__(self, events: Sequence[InboundEvent], /) -> None: ...


class Sink(Protocol):
    """Takes a file piece by piece; raises `Rejected` where it becomes larger than we keep."""

    async def __call__(self, piece: bytes, /) -> None: ...


class Dial(Protocol):
    """Connect to a server that is no web server. Waits, so not for the event loop."""

    def __call__(self, host: str, port: int, timeout_s: float, /) -> socket.socket:
        """A connection; raises `OSError`, also for an address that the operator does not allow."""
        ...


class Place(Protocol):
    """How far a connector that listens has come: kept for whoever listens next."""

    def last(self) -> Notes:
        """What was kept last; empty at the very start."""
        ...

    async def keep(self, place: Notes, /) -> None:
        """Return once it is safe; raises `BusError`, also where another process listens by now."""
        ...


class Files(Protocol):
    """The attachments that we hold."""

    async def keep(self, name: str, content: bytes, /) -> None:
        """Keep something of the provider's under a name of the connector's choice. The same again is harmless."""
        ...

    async def read(self, attachment: str, /) -> bytes:
        """The whole file; raises `Rejected` if there is none."""
        ...


@dataclass(frozen=True)
class Port:
    """What a connector of one channel gets from whoever runs it: no database, no other channel.

    `hook_url` is where the provider can call this channel, if the product has a public address.
    """

    channel_id: str
    config: StrictModel
    publish: Publish
    bus: Bus
    http: httpx.AsyncClient
    clock: Clock
    files: Files
    dial: Dial
    place: Place
    hook_url: str | None = None


@dataclass(frozen=True)
class Health:
    """What `check` found: `problems` are sentences that say what to do; none means all is well."""

    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fetched:
    """What the provider said of a file that was fetched."""

    mime: str | None
    name: str | None = None


ASGIApp = Callable[..., Any]


class Connector:
    """One channel of one type. Translation only: `parse` is pure, the I/O methods know no conversation."""

    channel_type: ClassVar[ChannelType]

    def __init__(self, port: Port) -> None:
        self.port = port

    # Theirs to ours

    def handshake(self, hook: Hook) -> HookReply:
        """Answer the provider's question whether this address is ours; raises `BadSignature` or `Malformed`."""
        raise Malformed("This channel has no handshake.")

    def verify(self, hook: Hook) -> None:
        """Return if the raw bytes are the provider's; compare in constant time; raise `BadSignature` otherwise."""
        raise BadSignature("This channel takes no requests from a provider.")

    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        """Every event of the request; pure. Raises `Malformed` or `Ignored` and nothing else."""
        raise Malformed("This channel takes no requests from a provider.")

    @final
    def receive(self, hook: Hook) -> Sequence[InboundEvent]:
        """Verify, then parse: in no other order."""
        self.verify(hook)
        return self.parse(hook)

    async def publish(self, events: Sequence[InboundEvent]) -> None:
        """Hand over what the provider told; returns once it is safe. Raises a `BusError`."""
        await self.port.publish(events)

    async def listen(self) -> None:
        """Fetch and publish until cancelled, for channels that are polled; a channel that calls us returns."""

    async def taken(self, events: Sequence[InboundEvent]) -> None:
        """What the provider likes to hear once these events of its request are safe; may fail without harm."""

    # Ours to theirs

    @property
    def rate(self) -> Rate:
        """How fast this account may speak."""
        return self.channel_type.capabilities.rate

    async def send(self, command: SendMessage) -> Sent:
        """Return once the provider has taken the message; raises a `SendError`."""
        raise Unsupported("This channel cannot send messages.")

    async def edit(self, command: EditMessage) -> None:
        raise Unsupported("This channel cannot edit messages.")

    async def delete(self, command: DeleteMessage) -> None:
        raise Unsupported("This channel cannot delete messages.")

    async def mark_read(self, command: MarkRead) -> None:
        raise Unsupported("This channel cannot tell a customer that we read.")

    async def set_typing(self, command: SetTyping) -> None:
        raise Unsupported("This channel cannot show that we type.")

    async def fetch_media(self, media: Media, into: Sink) -> Fetched:
        """Hand the file of `media.source` over piece by piece. Raises a `SendError`."""
        raise Unsupported("This channel has no files to fetch.")

    async def templates(self) -> Sequence[KnownTemplate]:
        """Every text that the provider knows for this account. Raises a `SendError`."""
        raise Unsupported("This channel has no templates.")

    async def check(self) -> Health:
        """Ask the provider whether everything is in order and say what is not."""
        return Health()

    async def close(self) -> None:
        """Let go of what the connector holds; nothing is sent afterwards."""

    @classmethod
    def mounts(cls, host: "Host") -> Mapping[str, ASGIApp]:
        """What this type serves beside `/hooks`: by the first part of the path, apps that see the whole path."""
        return {}


class Host(Protocol):
    """Who runs the connectors of a process."""

    async def find(self, channel_type: str, channel_id: str) -> Connector:
        """The running connector of a channel; raises `UnknownChannel`."""
        ...

    def acknowledge(self, connector: Connector, events: Sequence[InboundEvent]) -> None:
        """Let `Connector.taken` be carried out, without waiting for it."""
        ...
