"""An update is taken when it is safe: what Telegram is told, and when, whatever fails in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiogram.methods import TelegramMethod

from connectors.telegram.connector import Telegram
from connectors.telegram.inbound import ALLOWED_UPDATES
from connectors.telegram.polling import GetUpdates, Poller
from connectors.telegram.simulator import TelegramSimulator
from shared.content import Buttons, Choice, Option, Text
from shared.errors import AuthExpired, BusUnavailable, SendError, Unavailable
from shared.events import InboundEvent, MessageReceived, Undigested
from shared.simulator import Fault
from tests.connectors.telegram.given import (
    ANN,
    BOT,
    WEBHOOK_SECRET,
    connect,
    message,
    reply,
    telegram_simulator,
    update,
)


@dataclass
class Taken:
    """What was published, and what the next tries to publish do."""

    events: list[InboundEvent] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    held: asyncio.Event | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, events: Sequence[InboundEvent], /) -> None:
        self.news.set()
        if self.held is not None:
            await self.held.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.events += events

    @property
    def texts(self) -> list[str]:
        said = [event.content for event in self.events if isinstance(event, MessageReceived)]
        return [content.text for content in said if isinstance(content, Text)]

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not happened():
                self.news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await self.news.wait()


@contextlib.asynccontextmanager
async def listening(connector: Telegram) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(connector.listen())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await connector.close()


@pytest.fixture
def server() -> TelegramSimulator:
    return telegram_simulator()


@pytest.fixture
def taken() -> Taken:
    return Taken()


async def test_what_a_customer_does_arrives_in_order(server: TelegramSimulator, taken: Taken) -> None:
    ann = server.customer(ANN)
    ann.writes("one")
    async with listening(connect(server, publish=taken.publish)):
        await taken.until(lambda: taken.texts == ["one"])
        ann.writes("two")
        ann.writes("three")
        await taken.until(lambda: taken.texts == ["one", "two", "three"])
        await taken.until(lambda: not server.waiting)


async def test_nothing_is_confirmed_before_it_is_safe(server: TelegramSimulator, taken: Taken) -> None:
    server.customer(ANN).writes("precious")
    taken.held = asyncio.Event()
    async with listening(connect(server, publish=taken.publish)):
        await taken.until(taken.news.is_set)
        await asyncio.sleep(0.1)
        assert len(server.waiting) == 1
        taken.held.set()
        await taken.until(lambda: not server.waiting)
    assert taken.texts == ["precious"]


async def test_what_could_not_be_kept_comes_again(server: TelegramSimulator, taken: Taken) -> None:
    server.customer(ANN).writes("precious")
    taken.failures = [BusUnavailable("not now")]
    connector = connect(server, publish=taken.publish)
    async with listening(connector):
        await taken.until(lambda: not taken.failures)
        assert len(server.waiting) == 1
        await taken.until(lambda: taken.texts == ["precious"])
        await taken.until(lambda: not server.waiting)


async def test_a_process_that_dies_before_confirming_hears_it_again(server: TelegramSimulator, taken: Taken) -> None:
    server.customer(ANN).writes("precious")
    taken.failures = [RuntimeError("power cut")]
    async with listening(connect(server, publish=taken.publish)) as task:
        await asyncio.wait([task])
    async with listening(connect(server, publish=taken.publish)):
        await taken.until(lambda: taken.texts == ["precious"])


async def test_a_poison_update_is_kept_and_confirmed_and_the_chat_goes_on(
    server: TelegramSimulator, taken: Taken
) -> None:
    ann = server.customer(ANN)
    ann.writes("before")
    server.happen("message", {"text": "whose?"})
    ann.writes("after")
    async with listening(connect(server, publish=taken.publish)):
        await taken.until(lambda: not server.waiting)
    assert taken.texts == ["before", "after"]
    assert isinstance(taken.events[1], Undigested)
    assert b"whose?" in taken.events[1].raw


async def test_a_pressed_button_stops_its_wheel(server: TelegramSimulator, taken: Taken) -> None:
    connector = connect(server, publish=taken.publish)
    await connector.send(reply(Buttons(text="Which?", options=(Option(id="r", label="Red"),))))
    query = server.customer(ANN).presses("Red")
    async with listening(connector):
        await taken.until(lambda: server.answered)
    (event,) = taken.events
    assert isinstance(event, MessageReceived)
    assert event.content == Choice(id="r", label="Red")
    assert server.answered == [query]


async def test_a_webhook_of_earlier_days_is_taken_away(server: TelegramSimulator, taken: Taken) -> None:
    server.webhook = {"url": "https://old.example/hook", "secret_token": WEBHOOK_SECRET}
    server.customer(ANN).writes("hello")
    async with listening(connect(server, publish=taken.publish)):
        await taken.until(lambda: taken.texts == ["hello"])
    assert server.webhook is None


async def test_all_kinds_are_asked_for_by_name(server: TelegramSimulator, taken: Taken) -> None:
    async with listening(connect(server, publish=taken.publish)):
        await taken.until(lambda: server.allowed)
    assert server.allowed == frozenset(ALLOWED_UPDATES)
    assert "message_reaction" in ALLOWED_UPDATES


async def test_a_token_that_is_no_longer_valid_stops_the_channel(server: TelegramSimulator, taken: Taken) -> None:
    server.script([Fault.UNAUTHORIZED])
    with pytest.raises(AuthExpired, match="BotFather"):
        await connect(server, publish=taken.publish).listen()


async def test_a_second_poller_is_named_as_what_it_is(server: TelegramSimulator, taken: Taken) -> None:
    connector = connect(server, publish=taken.publish)
    async with listening(connector):
        await taken.until(lambda: server.allowed)
        async with listening(connect(server, publish=taken.publish)):
            await taken.until(lambda: connector._poller.trouble)
            (problem,) = (await connector.check()).problems
    assert "Another program polls this bot" in problem


# The poller alone


class Answers:
    """Answers to getUpdates, in order, and the offsets that were asked with; then silence."""

    def __init__(self, *answers: list[Any] | SendError) -> None:
        self.answers = list(answers)
        self.offsets: list[int | None] = []
        self.over = asyncio.Event()

    async def __call__(self, method: TelegramMethod[Any], /, *, timeout_s: int = 0) -> Any:
        if not isinstance(method, GetUpdates):
            return True
        self.offsets.append(method.offset)
        if not self.answers:
            self.over.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, SendError):
            raise answer
        return answer


async def poll(answers: Answers, taken: Taken, pauses_s: Sequence[float] = (0,)) -> Poller:
    poller = Poller(answers, taken.publish, account=BOT, pauses_s=pauses_s)
    task = asyncio.create_task(poller.run())
    async with asyncio.timeout(10):
        await answers.over.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return poller


def said(number: int) -> Any:
    return update(number, "message", **message(number, text=str(number)))


async def test_the_offset_follows_what_was_kept_and_is_dropped_when_nothing_waits(taken: Taken) -> None:
    answers = Answers([said(7), said(8)], [said(9)], [], [said(3)])
    await poll(answers, taken)
    assert answers.offsets == [None, 9, 10, None, 4]
    assert taken.texts == ["7", "8", "9", "3"]


async def test_an_update_that_is_of_no_interest_is_confirmed(taken: Taken) -> None:
    answers = Answers([said(7), update(8, "hologram", light="blue")])
    await poll(answers, taken)
    assert answers.offsets == [None, 9]


async def test_an_update_without_a_number_does_not_stop_the_confirming(taken: Taken) -> None:
    answers = Answers([said(7), {"strange": True}, 5])
    await poll(answers, taken)
    assert answers.offsets == [None, 8]
    assert [event.kind for event in taken.events] == ["message_received", "undigested", "undigested"]


async def test_trouble_is_told_while_it_lasts(taken: Taken) -> None:
    taken.failures = [BusUnavailable("The bus is away.")]
    answers = Answers(Unavailable("Telegram is away."), [said(7)], [said(7)], Unavailable("Away again."))
    poller = await poll(answers, taken)
    assert answers.offsets == [None, None, None, 8, 8]
    assert poller.trouble == "Away again."
    assert taken.texts == ["7"]
