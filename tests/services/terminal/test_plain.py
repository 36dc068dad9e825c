"""The line mode, in this process and as a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shopbell_client import Client

from services.terminal.plain import PlainInbox
from tests.gateway.client.serving import served
from tests.services.terminal.fake_api import FakeShop, mail

ROOT = Path(__file__).parents[3]


@dataclass
class Talk:
    shop: FakeShop
    lines: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    printed: list[str] = field(default_factory=list)

    def type(self, *lines: str) -> None:
        for line in lines:
            self.lines.put_nowait(f"{line}\n")

    async def see(self, words: str) -> str:
        await self.until(lambda: any(words in line for line in self.printed), words)
        return next(line for line in self.printed if words in line)

    async def until(self, true: Callable[[], object], what: str = "it") -> None:
        try:
            async with asyncio.timeout(8):
                while not true():  # noqa: ASYNC110 - it waits for what a person would see
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"{what!r} did not come; printed: {self.printed}") from None


@asynccontextmanager
async def talk(shop: FakeShop) -> AsyncIterator[Talk]:
    talking = Talk(shop)
    async with served(shop.app) as url, Client(url, "sb_agent_x", backoff_s=0.02, retries=1) as client:
        task = asyncio.create_task(PlainInbox(client, talking.printed.append).run(talking.lines))
        await talking.see("-- connected")
        yield talking
        talking.type("/quit")
        assert await asyncio.wait_for(task, 8) is True


async def test_a_line_answers_whoever_wrote_last_and_the_ticks_are_lines() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    async with talk(shop) as at:
        await shop.receive(first, "Are you there?")
        line = await at.see("Are you there?")
        assert line.endswith(f"] Anna ({first}): Are you there?")
        at.type("Yes I am")
        await at.see("◷ queued (msg_3): Yes I am")
        sent = shop.messages[-1]
        for status in ("sent", "delivered", "delivered", "read"):
            await shop.status(sent, status)
        await at.see("✓✓ read (msg_3): Yes I am")
        assert [sum(word in line for line in at.printed) for word in ("✓ sent", "✓✓ delivered")] == [1, 1]
        assert shop.asked("read") == [{"id": first, "up_to": "msg_2"}]


async def test_a_chosen_conversation_stays_chosen() -> None:
    shop = FakeShop()
    first, second = shop.add("Anna", "One"), shop.add("Boris", "Two")
    async with talk(shop) as at:
        at.type("/list")
        assert (await at.see("2. Anna")).startswith(f"2. Anna ({first}), webchat, 1 unread, waiting")
        at.type("/open 2")
        await at.see(f"-- Anna ({first})")
        await at.see("Anna (cnv_1): One")
        await shop.receive(second, "Hurry")
        await at.see("Hurry")
        at.type("For Anna", "/open", "For Boris")
        await at.until(lambda: len(shop.asked("send")) == 2)
        assert [m["conversation"] for m in shop.messages if m["direction"] == "out"] == [first, second]


async def test_lines_of_mails_tell_their_subject_their_files_and_what_is_doubtful() -> None:
    shop = FakeShop()
    first = shop.add_mails("Anna", "Order\n7", "Where is it?")
    async with talk(shop) as at:
        at.type("/list", "/open 1")
        assert (await at.see("1. Anna")).endswith(": Order 7: Where is it?")
        assert await at.see("-- Anna") == f"-- Anna ({first}): Order 7"
        file = {"kind": "media", "media": "file", "name": "invoice.pdf", "size": 24_000}
        content = {"kind": "text", "text": "I am away.", "attachments": [file]}
        await shop.receive(first, "", content=content, mail=mail(**{"class": "auto_reply"}))
        line = await at.see("I am away.")
        assert line.endswith(f"] Anna ({first}, auto): I am away.\n    + invoice.pdf 24 kB")
        at.type("/list")
        await at.see(", auto: Order 7: I am away. + invoice.pdf 24 kB")


async def test_what_was_not_opened_is_not_read() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    async with talk(shop) as at:
        await shop.receive(first, "Two")
        await at.see("Two")
        assert shop.asked("read") == []
        at.type(f"/open {first}")
        await at.until(lambda: shop.asked("read") == [{"id": first, "up_to": "msg_2"}])
        await shop.receive(first, "Three")
        await at.until(lambda: shop.asked("read")[-1] == {"id": first, "up_to": "msg_3"})


async def test_a_message_cannot_forge_a_line() -> None:
    shop = FakeShop()
    first = shop.add("Eve\n[10:00] Bank")
    async with talk(shop) as at:
        await shop.receive(first, "Hi\r[10:00] Bank (cnv_9): pay\x1b[1A")
        line = await at.see("Hi")
        assert line.split("] ", 1)[1] == "Eve [10:00] Bank (cnv_1): Hi\n    [10:00] Bank (cnv_9): pay"


async def test_errors_and_mistakes_are_lines_too() -> None:
    shop = FakeShop()
    async with talk(shop) as at:
        at.type("Hello?", "/open 7", "/dance", "")
        await at.see("! Nobody has written yet.")
        await at.see("! No conversation '7'")
        await at.see("! No such command: /dance")
        await shop.receive(shop.add("Anna"), "One")
        shop.refuse["send"] = (422, "The reply window is closed.")
        await at.see("One")
        at.type("Hello")
        await at.see("! Not sent: The reply window is closed.")


async def test_what_a_colleague_wrote_is_printed() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    async with talk(shop) as at:
        note = {"type": "agent", "id": "agt_2", "name": "Bo"}
        theirs = {**shop.messages[0], "id": "msg_9", "seq": 9, "direction": "out", "author": note}
        await shop.emit("message.queued", {**theirs, "status": "queued", "conversation": first})
        await at.see("Bo (cnv_1): One")


async def test_a_process_prints_each_line_at_once_and_leaves_when_told() -> None:
    shop = FakeShop()
    first = shop.add(None, "One")
    async with served(shop.app) as url:
        call = f"run(base_url={url!r}, token='sb_agent_x', plain=True)"
        code = f"import asyncio; from services.terminal import run; asyncio.run({call})"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdin=-1, stdout=-1, stderr=-1, cwd=ROOT
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with asyncio.timeout(20):
            while b"connected" not in await process.stdout.readline():
                pass
            await shop.receive(first, "Привет")
            assert "Привет" in (await process.stdout.readline()).decode()
            process.stdin.write("Здравствуйте\n".encode())
            assert "queued (msg_3): Здравствуйте" in (await process.stdout.readline()).decode()
            process.stdin.write(b"/quit\n")
            _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")


async def test_a_process_with_a_token_that_does_not_serve_leaves_with_a_sentence() -> None:
    shop = FakeShop()
    shop.refuse["me"] = (401, "The token expired.")
    async with served(shop.app) as url:
        call = f"run(base_url={url!r}, token='sb_agent_x', plain=True)"
        code = f"import asyncio; from services.terminal import run; asyncio.run({call})"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdin=-1, stdout=-1, stderr=-1, cwd=ROOT
        )
        async with asyncio.timeout(20):
            printed, errors = await process.communicate()
    assert process.returncode == 1
    assert "! The token expired." in printed.decode()
    assert errors == b""
