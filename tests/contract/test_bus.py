"""What every bus has to keep. A new engine adds its case to `BUSES`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pytest

from shared.bus import Bus, Hint, Query, Topic, local_bus
from shared.content import Text
from shared.errors import BusUnavailable, NoAnswer
from shared.events import Address, MessageReceived
from shared.model import Model
from shared.subjects import INBOUND, InboundBatch


@dataclass(frozen=True)
class BusCase:
    """`handled`: publish returns once the message is handled, and the handler's error reaches the publisher.

    Across processes it returns once the message is safe, and an error leads to redelivery instead.
    """

    name: str
    open: Callable[[], AbstractAsyncContextManager[Bus]]
    handled: bool


BUSES: Final = (BusCase("local", local_bus, handled=True),)


class Note(Model):
    by: str
    number: int


class Echoed(Model):
    text: str


NOTES: Final = Topic("contract_notes", Note)
OTHER_NOTES: Final = Topic("contract_other_notes", Note)
ECHO: Final = Query("contract_echo", Note, Echoed)
WAKE: Final = Hint("contract_wake", Note)
OTHER_WAKE: Final = Hint("contract_other_wake", Note)


class Refused(Exception):
    """What a handler raises."""


class Recorder:
    """A handler that keeps what it gets and says when there is enough."""

    def __init__(self, *, enough: int = 1) -> None:
        self.got: list[Note] = []
        self._enough = enough
        self._full = asyncio.Event()

    async def handle(self, note: Note) -> None:
        await asyncio.sleep(0)
        self.hear(note)

    def hear(self, note: Note) -> None:
        self.got.append(note)
        if len(self.got) >= self._enough:
            self._full.set()

    async def full(self) -> list[Note]:
        async with asyncio.timeout(10):
            await self._full.wait()
        return self.got


@pytest.fixture(params=BUSES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> BusCase:
    assert isinstance(request.param, BusCase)
    return request.param


@pytest.fixture
async def bus(case: BusCase) -> AsyncIterator[Bus]:
    async with case.open() as opened:
        yield opened


# Publish


async def test_a_published_message_reaches_the_consumer(bus: Bus) -> None:
    recorder = Recorder()
    bus.consume(NOTES, recorder.handle)
    await bus.publish(NOTES, Note(by="ann", number=1))
    assert await recorder.full() == [Note(by="ann", number=1)]


async def test_publish_returns_after_the_message_was_handled(bus: Bus, case: BusCase) -> None:
    if not case.handled:
        pytest.skip("this bus promises only that the message is safe")
    recorder = Recorder()
    bus.consume(NOTES, recorder.handle)
    await bus.publish(NOTES, Note(by="ann", number=1))
    assert recorder.got


async def test_an_error_of_the_handler_reaches_the_publisher_or_leads_to_redelivery(bus: Bus, case: BusCase) -> None:
    recorder, tries = Recorder(), []

    async def refuse_once(note: Note) -> None:
        tries.append(note)
        if len(tries) == 1:
            raise Refused
        await recorder.handle(note)

    bus.consume(NOTES, refuse_once)
    if case.handled:
        with pytest.raises(Refused):
            await bus.publish(NOTES, Note(by="ann", number=1))
        assert not recorder.got
    await bus.publish(NOTES, Note(by="ann", number=1))
    assert Note(by="ann", number=1) in await recorder.full()


async def test_what_each_publisher_says_arrives_in_its_order(bus: Bus) -> None:
    names, last = ("ann", "bob", "cid"), 20
    recorder = Recorder(enough=len(names) * last)
    bus.consume(NOTES, recorder.handle)

    async def say(name: str) -> None:
        for number in range(last):
            await bus.publish(NOTES, Note(by=name, number=number))

    await asyncio.gather(*(say(name) for name in names))
    got = await recorder.full()
    for name in names:
        assert [note.number for note in got if note.by == name] == list(range(last))


async def test_publishing_what_nobody_consumes_is_refused(bus: Bus) -> None:
    with pytest.raises(BusUnavailable, match="contract_notes"):
        await bus.publish(NOTES, Note(by="ann", number=1))


async def test_a_topic_is_consumed_by_its_consumer_alone(bus: Bus) -> None:
    recorder, other = Recorder(), Recorder()
    bus.consume(NOTES, recorder.handle)
    bus.consume(OTHER_NOTES, other.handle)
    await bus.publish(NOTES, Note(by="ann", number=1))
    await recorder.full()
    assert not other.got


async def test_a_topic_has_one_consumer(bus: Bus) -> None:
    bus.consume(NOTES, Recorder().handle)
    with pytest.raises(ValueError, match="contract_notes"):
        bus.consume(NOTES, Recorder().handle)


async def test_a_handler_may_publish(bus: Bus) -> None:
    recorder = Recorder()

    async def pass_on(note: Note) -> None:
        await bus.publish(OTHER_NOTES, note)

    bus.consume(NOTES, pass_on)
    bus.consume(OTHER_NOTES, recorder.handle)
    await bus.publish(NOTES, Note(by="ann", number=1))
    assert await recorder.full() == [Note(by="ann", number=1)]


async def test_a_message_arrives_as_it_was_published(bus: Bus) -> None:
    batch = InboundBatch(
        channel_id="chn_1",
        events=(
            MessageReceived(
                address=Address(channel="parrot", account="a", peer="ann"),
                occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
                raw=b"\x00\xff",
                context={"a": [1, None, {"b": 1.5}]},
                external_id="x\x00\ud800y",
                content=Text(text="👍\x00"),
            ),
        ),
    )
    got: asyncio.Queue[InboundBatch] = asyncio.Queue()
    bus.consume(INBOUND, got.put)
    await bus.publish(INBOUND, batch)
    async with asyncio.timeout(10):
        assert await got.get() == batch


# Request


async def test_a_question_is_answered(bus: Bus) -> None:
    async def answer(note: Note) -> Echoed:
        await asyncio.sleep(0)
        return Echoed(text=f"{note.by} {note.number}")

    bus.serve(ECHO, answer)
    answers = await asyncio.gather(*(bus.request(ECHO, Note(by="ann", number=number)) for number in range(5)))
    assert [answered.text for answered in answers] == [f"ann {number}" for number in range(5)]


async def test_a_question_that_nobody_serves_has_no_answer(bus: Bus) -> None:
    with pytest.raises(NoAnswer, match="contract_echo"):
        await bus.request(ECHO, Note(by="ann", number=1))


async def test_a_question_is_served_once(bus: Bus) -> None:
    async def answer(note: Note) -> Echoed:
        return Echoed(text=note.by)

    bus.serve(ECHO, answer)
    with pytest.raises(ValueError, match="contract_echo"):
        bus.serve(ECHO, answer)


# Signal


async def test_a_signal_reaches_everyone_who_listens(bus: Bus) -> None:
    listeners = [Recorder(), Recorder()]
    other = Recorder()
    for listener in listeners:
        bus.listen(WAKE, listener.hear)
    bus.listen(OTHER_WAKE, other.hear)
    bus.signal(WAKE, Note(by="ann", number=1))
    for listener in listeners:
        assert await listener.full() == [Note(by="ann", number=1)]
    assert not other.got


async def test_a_signal_that_nobody_hears_is_lost_in_silence(bus: Bus) -> None:
    bus.signal(WAKE, Note(by="ann", number=1))


async def test_a_listener_that_fails_hurts_neither_the_others_nor_the_signaller(bus: Bus) -> None:
    def fail(note: Note) -> None:
        raise Refused

    before, after = Recorder(), Recorder()
    bus.listen(WAKE, before.hear)
    bus.listen(WAKE, fail)
    bus.listen(WAKE, after.hear)
    bus.signal(WAKE, Note(by="ann", number=1))
    assert await before.full() == await after.full()


async def test_who_stopped_listening_hears_nothing_more(bus: Bus) -> None:
    gone, here = Recorder(), Recorder()
    stop = bus.listen(WAKE, gone.hear)
    bus.listen(WAKE, here.hear)
    stop()
    bus.signal(WAKE, Note(by="ann", number=1))
    await here.full()
    assert not gone.got


async def test_stopping_twice_does_not_stop_another_who_listens_alike(bus: Bus) -> None:
    recorder = Recorder()
    stop = bus.listen(WAKE, recorder.hear)
    bus.listen(WAKE, recorder.hear)
    stop()
    stop()
    bus.signal(WAKE, Note(by="ann", number=1))
    assert len(await recorder.full()) == 1


async def test_a_listener_may_stop_while_it_hears(bus: Bus) -> None:
    first, second = Recorder(), Recorder(enough=2)

    def once(note: Note) -> None:
        first.hear(note)
        stop()

    stop = bus.listen(WAKE, once)
    bus.listen(WAKE, second.hear)
    bus.signal(WAKE, Note(by="ann", number=1))
    bus.signal(WAKE, Note(by="ann", number=2))
    assert len(await second.full()) == 2
    assert len(first.got) == 1
