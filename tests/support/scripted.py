"""A product with two more kinds of channel, whose sends do what a test tells them to."""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

import httpx

from connectors.host import ConnectorHost
from connectors.kinds import loaded
from gateway.app import build_gateway
from gateway.core import Core
from gateway.events.tail import FeedTail
from services.standalone import Product, by_path
from services.wiring import CONNECTORS, master_key, open_database
from shared.bus import LocalBus
from shared.capabilities import Capabilities, Level, Receipts, ReplyWindow
from shared.clock import system_clock
from shared.commands import SendMessage, Sent
from shared.connector import ChannelType, Connector
from shared.content import Text
from shared.errors import SendError
from shared.files import local_files
from shared.model import StrictModel
from shared.outgoing import outgoing_socket
from shared.settings import Settings
from tests.support.product import Running, Shop, served
from tests.support.wordy import Wordy

EXTERNAL_IDS: Final = itertools.count(1)


class NoSettings(StrictModel):
    """There is nothing to set."""


class Held:
    """A send that stays on its way until `let_go`."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self._end = asyncio.Event()

    async def wait(self) -> None:
        self.begun.set()
        await self._end.wait()

    def let_go(self) -> None:
        self._end.set()


Step = SendError | Exception | Held | Sent


@dataclass
class Script:
    """What the next sends of one channel do, in order; afterwards each goes out. `calls` counts every send."""

    steps: deque[Step] = field(default_factory=deque)
    calls: list[SendMessage] = field(default_factory=list)

    def then(self, *steps: Step) -> None:
        self.steps.extend(steps)

    @property
    def texts(self) -> list[str]:
        return [call.content.text for call in self.calls if isinstance(call.content, Text)]


SCRIPTS: Final[dict[str, Script]] = {}


def script_of(channel_id: str) -> Script:
    return SCRIPTS.setdefault(channel_id, Script())


class Scripted(Connector):
    """A provider that does not know a repeat when it sees one."""

    channel_type: ClassVar[ChannelType] = ChannelType(
        "scripted",
        "Scripted",
        Capabilities(
            text=Level.FULL,
            quote=Level.FULL,
            receipts=Receipts(delivered_in="message", read_in="watermark"),
            reply_window=ReplyWindow(hours=24),
        ),
        NoSettings,
    )

    async def send(self, command: SendMessage) -> Sent:
        script = script_of(self.port.channel_id)
        script.calls.append(command)
        step = script.steps.popleft() if script.steps else None
        match step:
            case Sent():
                return step
            case Held():
                await step.wait()
            case Exception():
                raise step
        return Sent(external_ids=(f"ext-{next(EXTERNAL_IDS)}",))


class Repeatable(Scripted):
    """A provider that recognises a repeat: an unknown outcome may simply be sent again."""

    channel_type: ClassVar[ChannelType] = ChannelType(
        "repeatable",
        "Repeatable",
        Scripted.channel_type.capabilities.model_copy(update={"idempotent_send": True}),
        NoSettings,
    )


class MailboxSettings(StrictModel):
    """`address` is the shop's end."""

    address: str


class Mailbox(Scripted):
    """Where each matter has a thread of its own."""

    channel_type: ClassVar[ChannelType] = ChannelType(
        "email", "Mailbox", Scripted.channel_type.capabilities, MailboxSettings, account="address"
    )


@contextlib.asynccontextmanager
async def scripted_product(settings: Settings) -> AsyncIterator[Running]:
    """The product with these channels, assembled of the parts of which the real one is."""
    own = (Scripted, Repeatable, Wordy, Mailbox)
    kinds = {**CONNECTORS} | {one.channel_type.name: loaded(one) for one in own}
    types = {name: kind.channel_type for name, kind in kinds.items()}
    async with contextlib.AsyncExitStack() as stack:
        db = await stack.enter_async_context(open_database(settings))
        bus = LocalBus()
        files = local_files(settings.data_dir)
        core = Core(db, bus, settings, system_clock, types, FeedTail(db, bus), master_key(settings), files)
        gateway = build_gateway(core)
        await stack.enter_async_context(gateway.running())
        http = await stack.enter_async_context(httpx.AsyncClient())
        host = ConnectorHost(
            kinds, bus=bus, http=http, clock=system_clock, files=files, dial=outgoing_socket(private=True)
        )
        stack.push_async_callback(host.close)
        await stack.enter_async_context(host.listening())
        product = Product(by_path(host.app(), gateway.app, None), gateway, None)
        yield await stack.enter_async_context(served(product))


async def new_channel(shop: Shop, type_: str) -> str:
    return (await shop.client.channels.create(type=type_, name=f"A {type_} channel")).id
