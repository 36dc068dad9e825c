"""A channel that has what the scripted one lacks: accounts, files, templates, reactions, and words about itself."""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

from shared.capabilities import Capabilities, Level, MediaRule, Receipts, ReplyWindow
from shared.commands import SendMessage, Sent
from shared.connector import ChannelType, Connector, Fetched, Health, Sink
from shared.content import Media
from shared.errors import Rejected, SendError
from shared.model import StrictModel
from shared.subjects import KnownTemplate

MAX_BYTES: Final = 1_000


class WordySettings(StrictModel):
    number: str


@dataclass
class Wordings:
    """What the provider of one account has, and what it was asked."""

    sent: list[SendMessage] = field(default_factory=list)
    wait: Callable[[], Awaitable[None]] | None = None
    """What each send waits for."""
    files: dict[str, bytes] = field(default_factory=dict)
    refusals: deque[SendError] = field(default_factory=deque)
    """What the next fetches meet instead of the file."""
    templates: list[KnownTemplate] = field(default_factory=list)
    silent: SendError | None = None
    """What meets whoever asks for the templates."""
    problems: tuple[str, ...] = ()
    asked: int = 0


WORDINGS: Final[dict[str, Wordings]] = {}


def wordings(number: str) -> Wordings:
    return WORDINGS.setdefault(number, Wordings())


class Wordy(Connector):
    """A provider with approved texts and a day for free answers."""

    channel_type: ClassVar[ChannelType] = ChannelType(
        "wordy",
        "Wordy",
        Capabilities(
            text=Level.FULL,
            quote=Level.FULL,
            reaction=Level.FULL,
            template=Level.FULL,
            album=Level.FULL,
            media={
                "image": MediaRule(level=Level.FULL, max_bytes=MAX_BYTES, mimes=frozenset({"image/png"})),
                "file": MediaRule(level=Level.FULL),
            },
            receipts=Receipts(delivered_in="message", read_in="message"),
            reply_window=ReplyWindow(hours=24, template=True),
        ),
        WordySettings,
        account="number",
    )

    @property
    def wordings(self) -> Wordings:
        assert isinstance(self.port.config, WordySettings)
        return wordings(self.port.config.number)

    async def send(self, command: SendMessage) -> Sent:
        self.wordings.sent.append(command)
        if self.wordings.wait is not None:
            await self.wordings.wait()
        return Sent(external_ids=(f"w-{len(self.wordings.sent)}",))

    async def fetch_media(self, media: Media, into: Sink) -> Fetched:
        if self.wordings.refusals:
            raise self.wordings.refusals.popleft()
        body = self.wordings.files.get(media.source or "")
        if body is None:
            raise Rejected("The provider has no such file.")
        for start in range(0, len(body), 100):
            await into(body[start : start + 100])
        return Fetched("image/png", "from-the-provider.png")

    async def templates(self) -> Sequence[KnownTemplate]:
        self.wordings.asked += 1
        if self.wordings.silent is not None:
            raise self.wordings.silent
        return self.wordings.templates

    async def check(self) -> Health:
        return Health(self.wordings.problems)
