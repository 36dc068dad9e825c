"""The host finds a channel's connector, made of its present settings, and attends to those that must be listened to."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from connectors.host import ConnectorHost
from connectors.kinds import loaded
from shared.bus import LocalBus
from shared.capabilities import Capabilities
from shared.clock import system_clock
from shared.connector import ChannelType, Connector
from shared.errors import AuthExpired, NoAnswer, Unavailable, UnknownChannel
from shared.events import ChannelReported, InboundEvent
from shared.files import local_files
from shared.model import StrictModel
from shared.outgoing import outgoing_socket
from shared.subjects import (
    CHANNEL,
    CHANNEL_CHANGED,
    CHANNELS,
    INBOUND,
    LISTEN,
    ChannelAnswer,
    ChannelChanged,
    ChannelQuestion,
    ChannelRecord,
    ChannelsAnswer,
    ChannelsQuestion,
    InboundBatch,
    ListenAnswer,
    ListenRequest,
)


class Words(StrictModel):
    word: str = "old"


@dataclass
class Directory:
    """What the gateway would know."""

    words: dict[str, str] = field(default_factory=lambda: {"chn_1": "old"})
    held: asyncio.Event | None = None
    asked: int = 0
    told: list[InboundEvent] = field(default_factory=list)
    listened: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, question: ChannelQuestion) -> ChannelAnswer:
        self.asked += 1
        self.news.set()
        word = self.words.get(question.channel_id)
        if self.held is not None:
            await self.held.wait()
        if word is None:
            return ChannelAnswer(channel=None)
        if word == "silent":
            raise NoAnswer("not now")
        record = ChannelRecord(id=question.channel_id, type="radio", active=True, config={"word": word})
        return ChannelAnswer(channel=record)

    async def list(self, _: ChannelsQuestion) -> ChannelsAnswer:
        return ChannelsAnswer(channel_ids=tuple(self.words))

    async def listen(self, request: ListenRequest) -> ListenAnswer:
        return ListenAnswer(token=1)

    async def take(self, batch: InboundBatch) -> None:
        self.told += batch.events
        self.news.set()

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not happened():
                self.news.clear()
                await self.news.wait()


DIRECTORY = Directory()


class Radio(Connector):
    """Listens until it is switched off."""

    channel_type: ClassVar[ChannelType] = ChannelType("radio", "Radio", Capabilities(), Words)
    closed = False

    async def listen(self) -> None:
        assert isinstance(self.port.config, Words)
        DIRECTORY.listened.append(self.port.config.word)
        DIRECTORY.news.set()
        if DIRECTORY.failures:
            raise DIRECTORY.failures.pop(0)
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def directory() -> Directory:
    global DIRECTORY
    DIRECTORY = Directory()
    return DIRECTORY


@pytest.fixture
async def bus(directory: Directory) -> LocalBus:
    bus = LocalBus()
    bus.serve(CHANNEL, directory.answer)
    bus.serve(CHANNELS, directory.list)
    bus.serve(LISTEN, directory.listen)
    bus.consume(INBOUND, directory.take)
    return bus


@pytest.fixture
async def host(bus: LocalBus, tmp_path: Path) -> AsyncIterator[ConnectorHost]:
    kinds = {"radio": loaded(Radio, listens=True)}
    transport = httpx.ASGITransport(app=nobody)
    async with httpx.AsyncClient(transport=transport) as http:
        host = ConnectorHost(
            kinds,
            bus=bus,
            http=http,
            clock=system_clock,
            files=local_files(tmp_path),
            dial=outgoing_socket(private=True),
        )
        yield host
        await host.close()


async def nobody(*_: object) -> None:
    raise AssertionError("nobody is to be asked")


def word_of(connector: Connector) -> str:
    assert isinstance(connector.port.config, Words)
    return connector.port.config.word


async def test_everyone_who_asks_at_once_gets_the_same_connector(host: ConnectorHost, directory: Directory) -> None:
    found: Sequence[Connector] = await asyncio.gather(*(host.find("radio", "chn_1") for _ in range(9)))
    assert len({id(connector) for connector in found}) == 1
    assert directory.asked == 1


async def test_settings_that_change_while_they_are_read_are_read_again(
    host: ConnectorHost, bus: LocalBus, directory: Directory
) -> None:
    directory.held = asyncio.Event()
    finding = asyncio.create_task(host.find("radio", "chn_1"))
    await directory.until(lambda: directory.asked > 0)
    directory.words["chn_1"] = "new"
    bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id="chn_1"))
    directory.held.set()
    assert word_of(await finding) == "new"
    assert word_of(await host.find("radio", "chn_1")) == "new"


async def test_a_changed_channel_gets_a_new_connector_and_the_old_one_is_closed(
    host: ConnectorHost, bus: LocalBus, directory: Directory
) -> None:
    old = await host.find("radio", "chn_1")
    directory.words["chn_1"] = "new"
    bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id="chn_1"))
    new = await host.find("radio", "chn_1")
    assert (word_of(new), new is old) == ("new", False)
    await asyncio.sleep(0)
    assert isinstance(old, Radio)
    assert old.closed


async def test_nothing_is_kept_of_channels_that_are_not_there(host: ConnectorHost, directory: Directory) -> None:
    directory.words["chn_2"] = "silent"
    for _ in range(3):
        with pytest.raises(UnknownChannel):
            await host.find("radio", "chn_9")
        with pytest.raises(NoAnswer):
            await host.find("radio", "chn_2")
    await asyncio.sleep(0)
    assert host._making == {}
    assert host._changed == set()


async def test_every_active_channel_is_listened_to_and_a_changed_one_anew(
    host: ConnectorHost, bus: LocalBus, directory: Directory
) -> None:
    async with host.listening():
        await directory.until(lambda: directory.listened == ["old"])
        directory.words["chn_1"] = "new"
        bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id="chn_1"))
        await directory.until(lambda: directory.listened == ["old", "new"])
        del directory.words["chn_1"]
        directory.words["chn_2"] = "other"
        bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id="chn_1"))
        await directory.until(lambda: directory.listened == ["old", "new", "other"])


async def test_listening_that_fails_is_tried_again(host: ConnectorHost, directory: Directory) -> None:
    error = Unavailable("no aerial")
    error.retry_after_s = 0.01
    directory.failures = [error, error]
    async with host.listening():
        await directory.until(lambda: directory.listened == ["old"] * 3)


async def test_credentials_that_no_longer_work_are_reported_and_not_tried_again(
    host: ConnectorHost, directory: Directory
) -> None:
    directory.failures = [AuthExpired("The licence has run out.")]
    async with host.listening():
        await directory.until(lambda: bool(directory.told))
        await asyncio.sleep(0)
    (event,) = directory.told
    assert isinstance(event, ChannelReported)
    assert event.problem is not None
    assert (event.topic, event.problem.code, event.problem.detail) == (
        "account",
        "auth_expired",
        "The licence has run out.",
    )
    assert directory.listened == ["old"]
