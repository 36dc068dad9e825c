"""Reading a mailbox on real IMAP servers: nothing is lost and nothing is doubled, wherever the line is cut."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from connectors.email.config import EmailConfig
from connectors.email.connector import Email
from connectors.email.ids import Signer
from connectors.email.inbound import TOO_LARGE, Desk, parse_mail
from connectors.email.mailbox import ANSWER_S
from connectors.email.reader import MAIL_MAX_BYTES, SET_MAX
from shared.bus import LocalBus
from shared.clock import system_clock
from shared.connector import Port
from shared.content import Text
from shared.errors import AuthExpired, BusUnavailable, Unavailable
from shared.events import Echo, InboundEvent, MessageReceived, dedupe_key
from shared.files import local_files
from shared.ids import MESSAGE, new_id
from shared.outgoing import outgoing_socket
from tests.connectors.email.imap import (
    PASSWORD,
    Cut,
    Mailbox,
    Server,
    Where,
    free_port,
    line_to,
    running_dovecot,
    running_pymap,
)
from tests.support.eventually import eventually
from tests.support.ports import Remembered

ADDRESS: Final = "help@shop.example"
SIGNING_KEY: Final = "canary-signing-key-5512"
OFFSETS: Final = 60
T = TypeVar("T")


@pytest.fixture(
    scope="module",
    params=[running_pymap, pytest.param(running_dovecot, marks=pytest.mark.slow)],
    ids=["pymap", "dovecot"],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as server:
        yield server


@pytest.fixture
async def box(server: Server) -> Mailbox:
    return await asyncio.to_thread(server.mailbox)


def mail(number: int, *, more: bytes = b"") -> bytes:
    return (
        b"From: Ann <ann@example.org>\r\nTo: help@shop.example\r\nSubject: Size %d\r\nMessage-ID: <a%d@example.org>\r\n"
        b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nIs size %d in stock? * 1 FETCH {3}\r\n%s\r\n"
    ) % (number, number, number, more)


def mails(count: int, start: int = 1) -> list[bytes]:
    return [mail(number) for number in range(start, start + count)]


def keys(raw: Sequence[bytes]) -> list[str]:
    """What each is known by, in their order."""
    return [dedupe_key(event) for one in raw for event in parse_mail(one, Desk(ADDRESS))]


@dataclass
class Reading:
    """A connector that listens. `shelf` keeps files, `place` and `events` outlive it."""

    box: Mailbox
    shelf: Path
    place: Remembered = field(default_factory=Remembered)
    events: list[InboundEvent] = field(default_factory=list)
    refuse: Callable[[], bool] = lambda: False
    on_publish: Callable[[], None] = lambda: None

    @property
    def keys(self) -> list[str]:
        """Of all that was made known, in the order in which it was first."""
        return list(dict.fromkeys(dedupe_key(event) for event in self.events))

    async def publish(self, events: Sequence[InboundEvent], /) -> None:
        if self.refuse():
            raise BusUnavailable("Nobody takes it.")
        self.on_publish()
        self.events += events

    def connector(self, port: int, **settings: Any) -> Email:
        known: dict[str, Any] = {
            "address": ADDRESS,
            "username": self.box.user,
            "password": SecretStr(PASSWORD),
            "imap_host": "127.0.0.1",
            "imap_port": port,
            "imap_security": "none",
            "folder": self.box.folder,
            "poll_s": 1,
            "signing_key": SecretStr(SIGNING_KEY),
        }
        return Email(
            Port(
                channel_id="chn_1",
                config=EmailConfig(**known | settings),
                publish=self.publish,
                bus=LocalBus(),
                http=httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(500))),
                clock=system_clock,
                files=local_files(self.shelf),
                dial=outgoing_socket(private=True),
                place=self.place,
            )
        )

    @contextlib.asynccontextmanager
    async def on(self, port: int | None = None, **settings: Any) -> AsyncIterator["asyncio.Task[None]"]:
        """Listen for as long as the block lasts."""
        connector = self.connector(port or self.box.port, **settings)
        listening = asyncio.create_task(connector.listen())
        try:
            yield listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await connector.close()

    async def begin(self, **settings: Any) -> None:
        """Have it begin: what comes from here on is new to it."""
        async with self.on(**settings):
            await until(lambda: len(self.place.kept) >= (2 if "sent_folder" in settings else 1))

    async def read(self, wanted: int, *, port: int | None = None, **settings: Any) -> None:
        """Listen until so many different mails are there, or until listening fails."""
        async with self.on(port, **settings) as listening:
            await until(lambda: listening.done() or len(self.keys) >= wanted)


@pytest.fixture
def reading(box: Mailbox, tmp_path: Path) -> Reading:
    return Reading(box, tmp_path)


async def until(value: Callable[[], T], *, timeout_s: float = 10) -> T:
    async def look() -> T:
        return value()

    return await eventually(look, timeout_s=timeout_s)


async def deliver(box: Mailbox, *raw: bytes, **more: Any) -> None:
    await asyncio.to_thread(lambda: box.append(*raw, **more))


# What is read


async def test_what_comes_after_the_beginning_is_read_at_once(box: Mailbox, reading: Reading) -> None:
    await deliver(box, mail(1))
    async with line_to(box.port) as line, reading.on(line.port, poll_s=300):
        for number in (2, 3):
            await until(lambda: line.idles >= number - 1)  # noqa: B023 - waited for at once
            await deliver(box, mail(number))
            await until(lambda: len(reading.events) >= number - 1, timeout_s=2)  # noqa: B023 - waited for at once
    assert reading.keys == keys(mails(2, start=2))


async def test_a_server_may_tell_of_a_mail_before_it_says_that_it_waits(box: Mailbox, reading: Reading) -> None:
    async with line_to(box.port) as line:
        line.early = b"* 1 EXISTS\r\n"
        async with reading.on(line.port) as listening:
            await until(lambda: line.idles)
            line.early = b""
            await deliver(box, mail(1))
            await until(lambda: reading.events or listening.done())
    assert reading.keys == keys(mails(1))


async def test_what_the_server_tells_together_with_that_it_waits_is_heard(box: Mailbox, reading: Reading) -> None:
    """Of a mail that came just before."""
    async with line_to(box.port) as line:
        line.joined = b"* 1 EXISTS\r\n"
        async with reading.on(line.port, poll_s=300) as listening:
            await until(lambda: line.idles == 1)
            line.joined = b""
            await until(lambda: line.idles == 2 or listening.done(), timeout_s=3)
            assert not listening.done()


async def test_what_comes_in_pieces_is_put_together(box: Mailbox, reading: Reading) -> None:
    async with line_to(box.port) as line:
        line.halved = True
        async with reading.on(line.port, poll_s=300) as listening:
            for number in (1, 2):
                await until(lambda: line.idles >= number)  # noqa: B023 - waited for at once
                await deliver(box, mail(number))
                await until(lambda: len(reading.events) >= number or listening.done(), timeout_s=3)  # noqa: B023 - waited for at once
            assert not listening.done()
    assert reading.keys == keys(mails(2))


async def test_where_the_server_does_not_tell_it_is_asked(box: Mailbox, reading: Reading) -> None:
    async with line_to(box.port, hidden=[b"IDLE"]) as line, reading.on(line.port, poll_s=1):
        await until(lambda: reading.place.kept)
        await deliver(box, mail(1))
        await until(lambda: reading.events, timeout_s=3)
    assert reading.keys == keys(mails(1))
    assert not any(b"\r\n+ " in said for said in line.said)


async def test_so_many_days_of_older_mail_are_taken_in(box: Mailbox, reading: Reading) -> None:
    now = datetime.now(UTC)
    for number, days in ((1, 12), (2, 8), (3, 1), (4, 0)):
        await deliver(box, mail(number), at=now - timedelta(days=days))
    await reading.read(2, import_days=3)
    assert reading.keys == keys(mails(2, start=3))


async def test_nothing_is_marked_and_marks_do_not_count(box: Mailbox, reading: Reading) -> None:
    await reading.begin()
    await deliver(box, *mails(3))
    await asyncio.to_thread(box.mark, "2")
    await reading.read(3)
    assert reading.keys == keys(mails(3))
    flags = await asyncio.to_thread(box.flags)
    assert [b"\\Seen" in one for one in flags] == [False, True, False]


async def test_what_was_deleted_meanwhile_is_passed_over(box: Mailbox, reading: Reading) -> None:
    await reading.begin()
    await deliver(box, *mails(3))
    await asyncio.to_thread(box.expunge, "2")
    await reading.read(2)
    assert reading.keys == keys([mail(1), mail(3)])


async def test_what_is_deleted_while_it_is_being_read_is_passed_over(box: Mailbox, reading: Reading) -> None:
    """Its size was asked for before, and the mail is no longer there when its turn comes."""
    count = SET_MAX + 5
    await reading.begin()
    await deliver(box, *mails(count))
    gone = iter([str(SET_MAX + 2)])
    reading.on_publish = lambda: box.expunge(which) if (which := next(gone, "")) else None
    await reading.read(count - 1)
    assert reading.keys == keys([mail(n) for n in range(1, count + 1) if n != SET_MAX + 2])


async def test_mails_sent_by_other_programs_are_echoes_and_our_own_are_not(box: Mailbox, reading: Reading) -> None:
    await reading.begin(sent_folder=box.sent)
    token = Signer(SIGNING_KEY.encode()).token(new_id(MESSAGE))
    sent = (
        b"From: help@shop.example\r\nTo: Ann <ann@example.org>\r\nSubject: Re: Size 1\r\nMessage-ID: <%s@shop.example>"
        b"\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\n\r\nIt is.\r\n"
    )
    await deliver(box, sent % token.encode(), sent % b"from-a-phone", folder=box.sent)
    await deliver(box, mail(1))
    await reading.read(2, sent_folder=box.sent)
    echo, message = reading.events
    assert isinstance(echo, Echo)
    assert isinstance(message, MessageReceived)
    assert (echo.external_id, echo.address.peer) == ("from-a-phone@shop.example", "ann@example.org")
    marks = reading.place.last()["folders"]
    assert isinstance(marks, dict)
    assert set(marks) == {box.sent, box.folder}


# Nothing is lost


async def test_what_could_not_be_made_known_is_read_again(box: Mailbox, reading: Reading) -> None:
    await reading.begin()
    kept = list(reading.place.kept)
    await deliver(box, *mails(3))
    reading.refuse = lambda: True
    async with reading.on() as listening:
        await until(listening.done)
        assert isinstance(listening.exception(), BusUnavailable)
    assert reading.place.kept == kept
    reading.refuse = lambda: False
    await reading.read(3)
    assert reading.keys == keys(mails(3))


async def test_a_place_is_kept_only_after_what_is_before_it(box: Mailbox, reading: Reading) -> None:
    await reading.begin()
    count = SET_MAX + 1
    await deliver(box, *mails(count))
    seen: list[tuple[int, int]] = []
    reading.on_publish = lambda: seen.append((len(reading.events), len(reading.place.kept)))
    async with reading.on():
        await until(lambda: len(reading.place.kept) >= 3)
    assert seen == [(0, 1), (SET_MAX, 2)]
    assert reading.keys == keys(mails(count))
    assert len(reading.events) == count
    async with reading.on():  # and nothing of it comes again
        await deliver(box, mail(count + 1))
        await until(lambda: len(reading.events) > count)
    assert len(reading.events) == count + 1


async def test_a_server_that_counts_anew_loses_nothing_and_what_comes_again_is_known(
    box: Mailbox, reading: Reading
) -> None:
    await reading.begin()
    await deliver(box, *mails(3))
    await reading.read(3)
    before = await asyncio.to_thread(box.validity)
    await deliver(box, *mails(2, start=4))
    await asyncio.to_thread(box.renumber)
    assert await asyncio.to_thread(box.validity) != before
    await reading.read(5)
    assert reading.keys == keys(mails(5))
    count = len(reading.events)
    await deliver(box, mail(6))
    await reading.read(6)
    assert reading.keys == keys(mails(6))
    assert len(reading.events) == count + 1  # from here on the new numbers count


@pytest.mark.parametrize("where", ["before", "in", "after", "idle"])
async def test_a_line_that_is_cut_loses_nothing(box: Mailbox, reading: Reading, where: Where) -> None:
    await reading.begin()
    await deliver(box, *mails(6))
    async with line_to(box.port, cuts=[Cut(where, nth=1 if where == "idle" else 3)]) as line:
        async with reading.on(line.port) as listening:
            await until(listening.done)
            assert isinstance(listening.exception(), Unavailable)
        assert line.cut == 1
        await deliver(box, *mails(6, start=7))
        await reading.read(12, port=line.port)
    assert reading.keys == keys(mails(12))


async def test_a_line_that_says_nothing_more_can_be_left_at_once(box: Mailbox, reading: Reading) -> None:
    async with line_to(box.port) as line:
        async with reading.on(line.port):
            await until(lambda: reading.place.kept)
            line.stall()
            began = time.monotonic()
        assert time.monotonic() - began < 5
        await until(lambda: line.open == 0)


# What is wrong


async def test_a_wrong_password_is_a_matter_for_the_shop(box: Mailbox, reading: Reading) -> None:
    async with reading.on(password=SecretStr("canary-wrong")) as listening:
        with pytest.raises(AuthExpired) as refused:
            await listening
    assert box.user in refused.value.detail
    assert "canary" not in refused.value.detail


async def test_a_server_that_is_gone_may_come_back(reading: Reading) -> None:
    async with reading.on(free_port()) as listening:
        with pytest.raises(Unavailable):
            await listening


async def test_a_folder_that_is_not_there_is_said(reading: Reading) -> None:
    async with reading.on(folder="nowhere") as listening:
        with pytest.raises(Unavailable, match="open the folder"):
            await listening


# The longer proofs


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_wherever_the_line_is_cut_nothing_is_lost_and_the_order_stays(box: Mailbox, tmp_path: Path) -> None:
    await deliver(box, *mails(12))
    async with line_to(box.port) as line:
        whole = Reading(box, tmp_path)
        await whole.read(12, port=line.port, import_days=1)
        await until(lambda: line.said)
        for at in places_of(line.said[0]):
            one = Reading(box, tmp_path)
            line.cuts = [Cut(at=at)]
            await one.read(12, port=line.port, import_days=1)
            await one.read(12, port=line.port, import_days=1)
            assert one.keys == keys(mails(12)), f"cut at byte {at} of {len(line.said[0])}"
    assert whole.keys == keys(mails(12))
    assert line.cut >= OFFSETS


def places_of(said: bytes) -> list[int]:
    """Where each answer ends, and as many places again in between."""
    ends = [found.end() for found in re.finditer(rb"\r\n(?=\* |\+ |[A-Z]+\d+ )", said)]
    spread = [len(said) * n // OFFSETS for n in range(OFFSETS)]
    return sorted({*ends, *spread})


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_cut_again_and_again_it_gets_through(box: Mailbox, reading: Reading) -> None:
    await reading.begin()
    wheres: tuple[Where, ...] = ("before", "in", "after", "idle")
    async with line_to(box.port) as line:
        for start in range(1, 37, 3):
            await deliver(box, *mails(3, start=start))
            line.cuts = [Cut(wheres[start % 4], nth=1 + start % 3) for _ in range(2)]
            if start == 19:
                await asyncio.to_thread(box.renumber)
            for _ in range(3):
                await reading.read(start + 2, port=line.port)
    assert reading.keys == keys(mails(36))


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_of_a_mail_beyond_the_limit_the_beginning_is_read(box: Mailbox, reading: Reading) -> None:
    await reading.begin()
    line = b"x" * 76 + b"\r\n"
    huge = mail(1, more=line * (MAIL_MAX_BYTES // len(line) + 10_000))
    large = mail(2, more=line * (MAIL_MAX_BYTES // 2 // len(line)))
    assert len(huge) > 50_500_000
    await deliver(box, huge, large, mail(3))
    async with reading.on():
        await until(lambda: len(reading.events) >= 3, timeout_s=90)
    first, second, third = reading.events
    assert isinstance(first, MessageReceived)
    assert isinstance(second, MessageReceived)
    assert isinstance(first.content, Text)
    assert isinstance(second.content, Text)
    assert [file.failure for file in first.content.attachments] == [TOO_LARGE]
    assert first.content.text.startswith("Is size 1 in stock?")
    assert second.content.attachments == () or second.content.attachments[0].failure is None
    assert dedupe_key(third) == keys([mail(3)])[0]


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_a_server_that_falls_silent_is_given_up(box: Mailbox, reading: Reading) -> None:
    async with line_to(box.port, hidden=[b"IDLE"]) as line, reading.on(line.port, poll_s=1) as listening:
        await until(lambda: reading.place.kept)
        line.stall()
        await until(listening.done, timeout_s=ANSWER_S + 20)
        assert isinstance(listening.exception(), Unavailable)
