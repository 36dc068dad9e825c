"""The main job over real HTTP, as the host runs it: a customer asks, someone answers, a button is pressed."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from connectors.host import ConnectorHost
from connectors.kinds import Kind
from connectors.telegram import CHANNEL_TYPE, load_connector
from connectors.telegram.simulator import TelegramSimulator
from shared.bus import LocalBus
from shared.clock import system_clock
from shared.commands import FetchMedia, SendMessage
from shared.content import Buttons, Choice, Media, Option, Text
from shared.events import InboundEvent, MessageReceived, ReceiptReported, Status
from shared.files import local_files
from shared.outgoing import outgoing_socket
from shared.simulator import serve
from shared.subjects import (
    CHANNEL,
    CHANNELS,
    INBOUND,
    LISTEN,
    MEDIA,
    ChannelAnswer,
    ChannelQuestion,
    ChannelRecord,
    ChannelsAnswer,
    ChannelsQuestion,
    Delivery,
    InboundBatch,
    ListenAnswer,
    ListenRequest,
    MediaReport,
    outbound,
)
from tests.connectors.telegram.given import ANN, TOKEN, reply, telegram_simulator
from tests.support.eventually import eventually


class Product:
    """What the gateway is to the host: it knows one channel and keeps what it hears."""

    def __init__(self, base: str, folder: Path, http: httpx.AsyncClient) -> None:
        self.events: list[InboundEvent] = []
        self.kept: list[MediaReport] = []
        self.base = base
        self.bus = LocalBus()
        self.bus.serve(CHANNEL, self._channel)
        self.bus.serve(CHANNELS, self._channels)
        self.bus.serve(LISTEN, self._listen)
        self.bus.consume(INBOUND, self._take)
        self.bus.consume(MEDIA, self._keep)
        self.files = local_files(folder)
        kind = Kind(CHANNEL_TYPE, load_connector, listens=True)
        self.host = ConnectorHost(
            {"telegram": kind},
            bus=self.bus,
            http=http,
            clock=system_clock,
            files=self.files,
            dial=outgoing_socket(private=True),
        )

    async def _channel(self, question: ChannelQuestion) -> ChannelAnswer:
        config = {"token": TOKEN, "api_url": self.base}
        return ChannelAnswer(channel=ChannelRecord(id="chn_1", type="telegram", active=True, config=dict(config)))

    async def _listen(self, _: ListenRequest) -> ListenAnswer:
        return ListenAnswer(token=1)

    async def _channels(self, question: ChannelsQuestion) -> ChannelsAnswer:
        return ChannelsAnswer(channel_ids=("chn_1",))

    async def _take(self, batch: InboundBatch) -> None:
        self.events += batch.events

    async def _keep(self, report: MediaReport) -> None:
        self.kept.append(report)

    async def hears(self, count: int) -> Sequence[InboundEvent]:
        async def look() -> list[InboundEvent]:
            return self.events

        return await eventually(look, lambda events: len(events) >= count)

    async def sends(self, command: SendMessage | FetchMedia) -> None:
        await self.bus.publish(outbound("telegram"), Delivery(channel_id="chn_1", command=command, attempt=1))


@pytest.fixture
def server() -> TelegramSimulator:
    return telegram_simulator()


@pytest.fixture
async def product(server: TelegramSimulator, tmp_path: Path) -> AsyncIterator[Product]:
    async with contextlib.AsyncExitStack() as stack:
        base = await stack.enter_async_context(serve(server))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        product = Product(base, tmp_path, http)
        await stack.enter_async_context(product.host.listening())
        stack.push_async_callback(product.host.close)
        yield product


async def test_a_customer_asks_and_is_answered_and_chooses(server: TelegramSimulator, product: Product) -> None:
    ann = server.customer(ANN)
    ann.writes("Is it in stock?")
    (asked,) = await product.hears(1)
    assert isinstance(asked, MessageReceived)

    options = (Option(id="r", label="Red"), Option(id="b", label="Blue"))
    command = reply(Buttons(text="Which?", options=options), context=asked.context, reply_to=asked.external_id)
    await product.sends(command)
    report = product.events[-1]
    assert isinstance(report, ReceiptReported)
    assert (report.status, report.message_id) == (Status.SENT, "msg_1")

    ann.presses("Blue")
    pressed = (await product.hears(3))[-1]
    assert isinstance(pressed, MessageReceived)
    assert pressed.content == Choice(id="b", label="Blue")

    async def answered() -> list[str]:
        return server.answered

    assert len(await eventually(answered)) == 1


async def test_a_picture_is_fetched_and_kept(server: TelegramSimulator, product: Product) -> None:
    server.customer(ANN).sends_file("photo", b"\x89PNG picture", caption="This one")
    (event,) = await product.hears(1)
    assert isinstance(event, MessageReceived)
    assert isinstance(event.content, Media)
    fetch = FetchMedia(address=event.address, message_id="msg_2", attachment="att_9", media=event.content)
    await product.sends(fetch)
    (report,) = product.kept
    assert (report.mime, report.size, report.reason) == ("image/jpeg", 12, None)
    assert await product.files.read("att_9") == b"\x89PNG picture"


async def test_a_customer_who_blocked_the_bot_is_told_as_unreachable(
    server: TelegramSimulator, product: Product
) -> None:
    server.customer(ANN).blocks()
    (blocked,) = await product.hears(1)
    assert blocked.kind == "peer_blocked"
    await product.sends(reply(Text(text="Hi")))
    report = product.events[-1]
    assert isinstance(report, ReceiptReported)
    assert report.reason is not None
    assert (report.status, report.reason.code) == (Status.FAILED, "unreachable")
