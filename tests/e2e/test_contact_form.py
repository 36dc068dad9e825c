"""The contact form in a real browser: offered while nobody can answer, and to nobody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect
from shopbell_client import Client, ConnectionState
from shopbell_client.content import Text

from tests.support.browser import new_person, new_tab, skip_without_browser
from tests.support.product import Shop

skip_without_browser()
pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

LEAVE = "Leave a message and how to reach you"


class Panel:
    """The chat's panel, opened as a page of its own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.leave = page.get_by_role("button", name=LEAVE)
        self.composer = page.get_by_role("textbox", name="Message", exact=True)
        self.form = page.get_by_role("form", name="Leave a message")
        self.text = self.form.get_by_label("Your message")

    async def open(self, shop: Shop) -> None:
        await self.page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        await self.page.goto(f"{shop.url}/widget/frame?channel={shop.channel}")
        await self.composer.wait_for()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    async def go_to(self, place: Locator, key: str = "Tab") -> None:
        """By the keyboard alone."""
        for _ in range(12):
            if await place.evaluate("node => node === document.activeElement"):
                return
            await self.page.keyboard.press(key)
        raise AssertionError(f"the keyboard does not lead to {place}")


@contextlib.asynccontextmanager
async def agent_there(shop: Shop) -> AsyncIterator[None]:
    """Somebody of the shop with an open stream."""
    token = (await shop.client.agents.token(shop.agent)).token
    begun = asyncio.Event()

    def note(state: ConnectionState) -> None:
        if state == "connected":
            begun.set()

    async def listen(client: Client) -> None:
        async for _ in client.events(after="now", on_state=note):
            pass

    async with Client(shop.url, token) as client:
        listening = asyncio.create_task(listen(client))
        await begun.wait()
        yield
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def texts_of(shop: Shop) -> list[str]:
    return [
        message.content.text
        async for conversation in shop.client.conversations.iterate()
        async for message in shop.client.messages.iterate(conversation.id)
        if isinstance(message.content, Text)
    ]


async def test_while_nobody_can_answer_a_message_can_be_left_by_the_keyboard_alone(
    browser: Browser, shop: Shop
) -> None:
    async with new_person(browser) as ana:
        tab = await new_tab(ana)
        panel = Panel(tab.page)
        await panel.open(shop)
        await panel.leave.wait_for()
        assert await panel.page.locator("input, select").count() == 0  # nobody is asked for anything
        await panel.composer.press_sequentially("Is the red mug")
        await panel.go_to(panel.leave, "Shift+Tab")
        await panel.page.keyboard.press("Enter")
        await expect(panel.text).to_have_value("Is the red mug")  # what was begun goes on here
        await panel.go_to(panel.text, "Shift+Tab")
        await panel.page.keyboard.press("End")
        await panel.page.keyboard.type(" in stock?")
        await panel.go_to(panel.button("Send message"))
        await panel.page.keyboard.press("Enter")
        await expect(panel.page.get_by_role("alert").filter(has_text="like name@example.com")).to_be_visible()
        address = panel.form.get_by_label("E-mail address")
        await expect(address).to_be_focused()
        await expect(address).to_have_attribute("aria-invalid", "true")
        await panel.page.keyboard.type("ana@nowhere")
        await panel.page.keyboard.press("Enter")
        await expect(address).to_have_attribute("aria-invalid", "true")  # the server says so
        await panel.go_to(panel.form.get_by_role("radio", name="E-mail"), "Shift+Tab")
        await panel.page.keyboard.press("ArrowDown")
        number = panel.form.get_by_label("Phone number")
        await panel.go_to(number)
        await panel.page.keyboard.type("+385 91 234 567")
        await panel.page.keyboard.press("Enter")
        thanks = panel.page.get_by_role("status").filter(
            has_text="Thank you. We answer by phone, usually within 24 hours."
        )
        await expect(thanks).to_be_focused()
        await expect(panel.leave).to_be_hidden()
        await expect(panel.form).to_be_hidden()
        await panel.page.locator("li.line.mine").filter(has_text="red mug").wait_for()
        (text,) = await texts_of(shop)
        assert text.startswith("Is the red mug in stock?\n\nPlease answer by phone: +38591234567\nReference: ")
        assert [said for said in tab.complaints if "422" not in said] == []  # a refusal is told in the console too


async def test_the_chat_works_without_the_form_and_ends_the_offer(browser: Browser, shop: Shop) -> None:
    async with new_person(browser) as ana:
        tab = await new_tab(ana)
        panel = Panel(tab.page)
        await panel.open(shop)
        await panel.leave.click()
        await panel.form.get_by_label("Messenger", exact=True).check()
        await panel.form.get_by_label("Which messenger?").select_option("Viber")
        await panel.text.fill("I would rather chat")
        await panel.button("Back to the chat").click()
        await expect(panel.composer).to_have_value("I would rather chat")
        await expect(panel.leave).to_be_visible()
        await panel.composer.press("Enter")
        await panel.page.locator('li.line[data-status="delivered"]').wait_for()
        await expect(panel.leave).to_be_hidden()
        assert await texts_of(shop) == ["I would rather chat"]
        await panel.page.reload()
        await panel.page.locator('li.line[data-status="delivered"]').wait_for()
        await expect(panel.leave).to_be_hidden()
        assert tab.complaints == []


async def test_while_somebody_is_there_no_form_is_offered(browser: Browser, shop: Shop) -> None:
    async with agent_there(shop), new_person(browser) as ana:
        tab = await new_tab(ana)
        panel = Panel(tab.page)
        async with tab.page.expect_websocket() as opening:
            await panel.open(shop)
        socket = await opening.value
        await socket.wait_for_event("framereceived", lambda frame: '"sync"' in frame)  # what the panel waits for too
        await panel.page.get_by_text("Hello! How can we help you?").wait_for()
        await expect(panel.leave).to_be_hidden()
        assert await panel.page.locator(".away:visible, .contact").count() == 0
        assert tab.complaints == []
