"""The screen at 80 by 24 against a shop on a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shopbell_client import Client
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import Input

from services.terminal.screen import AgentScreen
from tests.gateway.client.serving import served
from tests.services.terminal.clock import Clock
from tests.services.terminal.fake_api import FakeShop, mail


@dataclass
class Sitting:
    shop: FakeShop
    app: AgentScreen
    pilot: Pilot[None]
    clock: Clock

    def lines(self) -> list[str]:
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    def shown(self) -> str:
        return "\n".join(self.lines())

    async def see(self, *words: str) -> None:
        await self.until(lambda: all(word in self.shown() for word in words))

    async def until(self, true: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(20):
                while not true():
                    await self.pilot.pause(0.03)
        except TimeoutError:
            raise AssertionError(f"It did not come true; the screen:\n{self.shown()}") from None

    async def choose(self, conversation: str) -> None:
        self.app.choose(conversation)
        await self.until(lambda: conversation in self.app.desk.inbox.threads)
        await self.pilot.pause(0.05)

    async def to_the_top(self) -> None:
        """Page by page, to the first of the messages that are loaded."""
        thread = self.app.query_one("#thread", VerticalScroll)

        def above(place: float) -> Callable[[], bool]:
            return lambda: thread.scroll_y < place

        while (place := thread.scroll_y) > 0:
            await self.pilot.press("pageup")
            await self.until(above(place))


@asynccontextmanager
async def sitting(shop: FakeShop, *, dwell_s: float = 0.02) -> AsyncIterator[Sitting]:
    async with served(shop.app) as url, Client(url, "sb_agent_x", backoff_s=0.02, retries=1) as client:
        clock = Clock()
        app = AgentScreen(client, now=clock, dwell_s=dwell_s)
        async with app.run_test(size=(80, 24)) as pilot:
            yield Sitting(shop, app, pilot, clock)


async def test_the_list_shows_who_wrote_what_and_the_foot_what_the_keys_do() -> None:
    shop = FakeShop()
    shop.add("Anna", "Is the kettle in stock?")
    shop.add(None, "Hello")
    async with sitting(shop) as at:
        await at.see("Anna", "web Is the kettle", "Anonymous", "2 waiting", "● live", "^Q quit")
        assert len(at.lines()) == 24
        assert shop.asked("read") == []  # nothing was opened


async def test_an_opened_conversation_is_marked_read_and_an_answer_gets_its_ticks() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One", "Two")
    async with sitting(shop) as at:
        await at.see("● live")
        await at.pilot.press("down")
        await at.see("Two", "Anna · Shop window")
        await at.until(lambda: shop.asked("read") == [{"id": first, "up_to": "msg_2"}])
        await at.pilot.press("H", "i", "enter")
        await at.see("Ann ◷")
        sent = shop.messages[-1]
        assert sent["content"] == {"kind": "text", "text": "Hi"}
        for status, looks in (("sent", "Ann ✓ "), ("delivered", "Ann ✓✓ "), ("read", "Ann ✓✓ read")):
            await shop.status(sent, status)
            await at.see(looks)
        await at.until(lambda: len(shop.asked("typing")) == 1)


async def test_walking_over_the_list_tells_no_customer_anything() -> None:
    shop = FakeShop()
    for number in range(3):
        shop.add(f"Customer {number}", "Hello")
    async with sitting(shop, dwell_s=3600) as at:
        await at.see("● live")
        await at.pilot.press("down", "down", "down")
        await at.until(lambda: at.app.selected == "cnv_1")
        at.app.dwell_s = 0.02  # on the next one somebody stays
        await at.pilot.press("up")
        await at.until(lambda: shop.asked("read"))
        assert [call["id"] for call in shop.asked("read")] == ["cnv_2"]


async def test_a_look_that_was_broken_off_does_not_count_for_the_next_one() -> None:
    shop, dwell_s = FakeShop(), 0.5
    first, second = shop.add("Anna", "One"), shop.add("Boris", "Two")
    clock = asyncio.get_running_loop().time
    async with sitting(shop, dwell_s=dwell_s) as at:
        await at.see("● live")
        await at.choose(first)
        await at.pilot.pause(0.6 * dwell_s)
        at.app.choose(second)
        at.app.choose(first)
        back_at = clock()
        await at.until(lambda: shop.asked("read"))
        assert clock() - back_at >= dwell_s
        assert shop.asked("read") == [{"id": first, "up_to": "msg_1"}]


async def test_what_happens_shows_up_by_itself() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    async with sitting(shop) as at:
        await at.see("● live")
        await at.choose(first)
        await shop.emit("typing", {"conversation": first, "on": True, "by": "contact"}, live_only=True)
        await at.see("Anna is writing...")
        await shop.receive(first, "Two")
        await at.see("  Two")
        await at.until(lambda: shop.asked("read")[-1:] == [{"id": first, "up_to": "msg_2"}])
        assert "Anna is writing..." not in at.shown()
        await shop.receive(shop.add("Boris"), "I am new")
        await at.see("Boris", "I am new")


async def test_of_a_mail_the_subject_the_files_and_what_is_doubtful_show() -> None:
    shop = FakeShop()
    first = shop.add_mails("Anna", "Order 7", "Where is it?")
    async with sitting(shop) as at:
        await at.see("● live", "@ Order 7 · Where is")
        await at.choose(first)
        await at.see("Anna · Order 7 · help@shop.example")
        file = {"kind": "media", "media": "file", "name": "invoice.pdf", "size": 24_000}
        content = {"kind": "text", "text": "I am away.", "attachments": [file]}
        told = mail(**{"class": "auto_reply"}, authenticity="suspicious")
        await shop.receive(first, "", content=content, mail=told)
        await at.see("Anna suspicious auto", "  I am away.", "  + invoice.pdf 24 kB", "@ suspicious auto Order 7")


async def test_failed_and_uncertain_say_so_in_words() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    async with sitting(shop) as at:
        await at.see("● live")
        await at.choose(first)
        await at.pilot.press("a", "enter", "b", "enter")
        await at.until(lambda: len(shop.messages) == 3)
        failure = {"code": "blocked", "detail": "Blocked.", "retryable": False}
        await shop.status(shop.messages[1], "failed", failure=failure)
        await shop.status(shop.messages[2], "uncertain")
        await at.see("✗ failed: Blocked.", "? maybe sent")


async def test_markup_and_escapes_in_a_message_stay_text() -> None:
    shop = FakeShop()
    text = "[bold red]50%[/] [link='x'] [/nothing] [@click=app.quit]x[/] $primary \x1b[2J\x1b]0;x\x07end"
    first = shop.add("[b]Eve[/b] \x1b[31m", text)
    async with sitting(shop) as at:
        await at.see("[b]Eve[/b]")
        await at.choose(first)
        shown = "[bold red]50%[/] [link='x'] [/nothing]"
        await at.see(shown, "[@click=app.quit]x[/] $primary end")
        assert "\x1b" not in at.shown()
        await shop.emit("typing", {"conversation": first, "on": True, "by": "contact"}, live_only=True)
        await at.see("[b]Eve[/b] is writing...")
        shop.refuse["send"] = (422, "[red]No[/red] [/")
        await at.pilot.press("[", "b", "]", "enter")
        await at.see("Not sent: [red]No[/red] [/")


async def test_a_refused_answer_shows_the_sentence_and_comes_back_to_the_composer() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    shop.refuse["send"] = (503, "Busy, try again.")
    async with sitting(shop) as at:
        await at.see("● live")
        await at.choose(first)
        await at.pilot.press("H", "i", "enter")
        await at.see("Not sent: Busy, try again.")
        assert at.app.query_one(Input).value == "Hi"
        shop.refuse.clear()
        await at.pilot.press("enter")
        await at.see("Ann ◷")
        # However often it is tried, it is one message.
        assert len({body["client_ref"] for body in shop.asked("send")}) == 1


async def test_a_draft_stays_with_its_conversation() -> None:
    shop = FakeShop()
    first, second = shop.add("Anna", "One"), shop.add("Boris", "Two")
    async with sitting(shop) as at:
        await at.see("● live")
        await at.choose(first)
        await at.pilot.press("s", "e", "c")
        await at.until(lambda: at.app.query_one(Input).value == "sec")
        await at.choose(second)
        assert at.app.query_one(Input).value == ""
        await at.choose(first)
        assert at.app.query_one(Input).value == "sec"


async def test_errors_of_every_call_are_sentences_and_nothing_crashes() -> None:
    shop = FakeShop()
    first = shop.add("Anna", "One")
    shop.refuse = {
        "read": (500, "No reading."),
        "typing": (422, "No typing."),
        "messages": (403, "No messages."),
        "events": (503, "No events."),
    }
    async with sitting(shop) as at:
        await at.see("Anna", "no connection")
        at.app.choose(first)
        await at.see("No messages.")
        shop.refuse = {"read": (500, "No reading."), "typing": (422, "No typing.")}
        await at.see("● live")
        await at.pilot.press("ctrl+r", "x")
        await at.app.desk.open(first)
        await at.see("Not marked read: No reading.")
        shop.refuse.clear()
        at.clock.pass_by(60)
        await at.until(lambda: at.app.desk.inbox.unread_up_to(first) is None)  # tried again by itself


async def test_a_token_that_does_not_serve_is_said_and_not_tried_for_ever() -> None:
    shop = FakeShop()
    shop.refuse["me"] = (401, "The token expired. Ask for a new one.")
    async with sitting(shop) as at:
        await at.see("The token expired.", "no connection")


async def test_f2_goes_to_whoever_waits_longest() -> None:
    shop = FakeShop()
    first, second = shop.add("Anna", "One"), shop.add("Boris", "Two")
    async with sitting(shop) as at:
        await at.see("● live")
        await at.pilot.press("f2")
        assert at.app.selected == first
        await at.pilot.press("ctrl+n")
        assert at.app.selected == second


async def test_a_long_thread_shows_its_end_and_pages_back() -> None:
    shop = FakeShop()
    first = shop.add("Anna", *(f"line {number} " + "word " * 20 for number in range(40)))
    async with sitting(shop) as at:
        await at.see("● live")
        await at.choose(first)
        await at.see("line 39")
        await at.pilot.press("pageup", "pageup", "pageup")
        await at.see("  line 25 word")
        assert all(len(line) == 80 for line in at.lines())


async def test_paging_back_fetches_what_was_not_loaded() -> None:
    shop = FakeShop()
    first = shop.add("Anna", *(f"line {number}." for number in range(130)))
    async with sitting(shop) as at:
        await at.see("● live")
        await at.choose(first)
        await at.see("line 129.")
        assert len(at.app.desk.inbox.messages(first)) == 100
        await at.to_the_top()
        await at.pilot.press("pageup")
        await at.until(lambda: len(at.app.desk.inbox.messages(first)) == 130)
        await at.see("line 28.", "line 29.")  # what was on top stays in sight
        await at.to_the_top()
        await at.see("line 0.")
