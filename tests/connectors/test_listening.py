"""One process listens to a channel at a time: leases of the real gateway, with a way there that fails and lags."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from connectors.listening import Leases, Lost, Place
from shared.bus import Bus, LocalBus, Query
from shared.errors import NoAnswer, Unavailable
from shared.model import Model
from tests.support.eventually import eventually
from tests.support.product import Running, Shop

TTL_S, RENEW_S, ASK_S = 0.6, 0.1, 0.02
LONG_S = 60.0

Q = TypeVar("Q", bound=Model)
A = TypeVar("A", bound=Model)


class Way(LocalBus):
    """How one process reaches the gateway: not at all while it is `cut`, and late while it is not `open`."""

    def __init__(self, to: Bus) -> None:
        super().__init__()
        self._to = to
        self.cut = False
        self.open = asyncio.Event()
        self.open.set()
        self.asked = 0

    async def request(self, query: Query[Q, A], question: Q) -> A:
        self.asked += 1
        if self.cut:
            raise NoAnswer("The gateway cannot be reached.")
        await self.open.wait()
        return await self._to.request(query, question)


@dataclass
class Process:
    """One that listens until it is told to end; `cleaned` is what it waits for before it goes.

    `cancelling` is what is left of requests to cancel its task when it is over.
    """

    way: Way
    leases: Leases
    place: Place
    began: asyncio.Event = field(default_factory=asyncio.Event)
    end: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    cleaned: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    cancelling: int = -1

    async def listen(self) -> None:
        try:
            async with self.leases.held(self.place):
                self.began.set()
                try:
                    await self.end.wait()
                finally:
                    self.leaving.set()
                    await self.cleaned.wait()
                if self.error is not None:
                    raise self.error
        finally:
            task = asyncio.current_task()
            self.cancelling = task.cancelling() if task else -1

    async def has_asked(self, times: int) -> None:
        """Wait until it has asked that often from now on."""
        before = self.way.asked
        await eventually(lambda: counted(self.way), lambda asked: asked >= before + times)


async def counted(way: Way) -> int:
    return way.asked


class Line:
    """Processes on the same channel, each begun by `start`."""

    def __init__(self, bus: Bus, channel: str) -> None:
        self._bus = bus
        self._channel = channel
        self.tasks: list[asyncio.Task[None]] = []

    def process(self, leases: Leases | None = None, *, ttl_s: float = TTL_S) -> Process:
        """Of the process that has these leases, or of a further one."""
        way = Way(self._bus)
        leases = leases or Leases(way, ttl_s=ttl_s, renew_s=RENEW_S, ask_s=ASK_S)
        process = Process(way, leases, Place(way, self._channel))
        process.cleaned.set()
        return process

    def start(self, process: Process) -> "asyncio.Task[None]":
        task = asyncio.create_task(process.listen())
        self.tasks.append(task)
        return task

    async def started(self, *, ttl_s: float = TTL_S) -> tuple[Process, "asyncio.Task[None]"]:
        """One that listens already."""
        process = self.process(ttl_s=ttl_s)
        task = self.start(process)
        async with asyncio.timeout(5):
            await process.began.wait()
        return process, task


@pytest.fixture
async def line(running: Running, shop: Shop) -> AsyncIterator[Line]:
    line = Line(running.core.bus, shop.channel)
    yield line
    for task in line.tasks:
        task.cancel()
    await asyncio.gather(*line.tasks, return_exceptions=True)


async def test_the_next_process_begins_when_the_one_before_it_has_ended_and_where_it_was(line: Line) -> None:
    first, listening = await line.started()
    await first.place.keep({"uid": 7})
    second = line.process()
    line.start(second)
    await second.has_asked(5)
    assert not second.began.is_set()
    first.end.set()
    await listening
    async with asyncio.timeout(5):
        await second.began.wait()
    assert second.place.last() == {"uid": 7}
    await second.place.keep({"uid": 8})
    with pytest.raises(Lost, match="Nobody has asked"):
        await first.place.keep({"uid": 9})
    assert first.place.last() == {"uid": 7}


async def test_a_lease_is_held_for_as_long_as_it_is_renewed(line: Line) -> None:
    first, listening = await line.started()
    second = line.process()
    line.start(second)
    await first.has_asked(int(2 * TTL_S / RENEW_S))  # beyond the time of one lease
    assert (listening.done(), second.began.is_set()) == (False, False)


async def test_of_a_process_that_vanishes_the_channel_is_taken_over_when_its_time_is_over(line: Line) -> None:
    first, listening = await line.started()
    await first.place.keep({"uid": 7})
    first.way.cut = True
    second, _ = await line.started()
    assert second.place.last() == {"uid": 7}
    with pytest.raises(Lost):
        await listening
    first.way.cut = False
    with pytest.raises(Lost):
        await first.place.keep({"uid": 1})
    await second.place.keep({"uid": 8})


async def test_a_gateway_that_is_away_for_a_moment_ends_nothing(line: Line) -> None:
    first, listening = await line.started()
    first.way.cut = True
    await first.has_asked(2)
    first.way.cut = False
    await first.has_asked(3)
    assert not listening.done()
    await first.place.keep({"uid": 7})


async def test_who_sleeps_beyond_the_lease_has_lost_it_to_another(line: Line) -> None:
    first, listening = await line.started()
    first.way.open.clear()
    await first.has_asked(1)
    second, _ = await line.started()
    assert not listening.done(), "it does not know yet"
    keeping = asyncio.create_task(first.place.keep({"uid": 1}))
    await second.place.keep({"uid": 2})
    first.way.open.set()
    with pytest.raises(Lost, match="Another process"):
        await keeping
    with pytest.raises(Lost, match="Another process"):
        await listening
    assert first.cancelling == 0, "whoever listens on in the same task is not cancelled any more"
    await second.has_asked(3)
    await second.place.keep({"uid": 3})


async def test_who_sleeps_beyond_the_lease_begins_anew_although_nobody_took_it(line: Line) -> None:
    first, listening = await line.started()
    first.way.open.clear()
    await first.has_asked(1)
    await eventually(lambda: another_could(line))
    first.way.open.set()
    with pytest.raises(Lost):
        await listening
    again = line.process(first.leases)
    line.start(again)
    async with asyncio.timeout(5):
        await again.began.wait()
    await again.place.keep({"uid": 4})


async def another_could(line: Line) -> bool:
    """Whether the lease is free, found out by having it for a moment."""
    other = line.process()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ASK_S / 2), other.leases.held(other.place):
            return True
    return False


async def test_whoever_is_told_to_stop_gives_the_channel_back(line: Line) -> None:
    _, listening = await line.started(ttl_s=LONG_S)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    await line.started()


async def test_what_goes_wrong_while_listening_is_told_as_it_is_and_the_channel_given_back(line: Line) -> None:
    first, listening = await line.started(ttl_s=LONG_S)
    first.error = Unavailable("The mailbox cannot be reached.")
    first.end.set()
    with pytest.raises(Unavailable, match="The mailbox"):
        await listening
    await line.started()


async def test_whoever_loses_a_channel_while_being_told_to_stop_stops(line: Line) -> None:
    """Else the one that attends to it would begin anew, and never end."""
    first, listening = await line.started()
    first.cleaned.clear()
    first.way.open.clear()
    await first.has_asked(1)
    await eventually(lambda: another_could(line))
    first.way.open.set()
    await first.leaving.wait()  # it has lost the channel, and cleans up
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_one_that_takes_long_to_end_does_not_take_the_channel_from_the_next(line: Line) -> None:
    """As when settings change: the same process ends one listening and begins another."""
    first, listening = await line.started()
    first.cleaned.clear()
    first.end.set()
    await first.leaving.wait()
    second = line.process(first.leases)
    beginning = line.start(second)
    await first.has_asked(3)
    assert not second.began.is_set()
    first.cleaned.set()
    await listening
    async with asyncio.timeout(5):
        await second.began.wait()
    await first.has_asked(5)  # the way of both
    assert not beginning.done()
    await second.place.keep({"uid": 5})


async def test_without_a_lease_nothing_is_kept(line: Line) -> None:
    process = line.process()
    with pytest.raises(Lost, match="Nobody has asked"):
        await process.place.keep({"uid": 1})
    assert process.place.last() == {}
