"""A person at a browser: the demo shop's page with the real widget, and what the console said."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, FrameLocator, Locator, Page

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
QUIET: Final = [  # the sandbox does not work for root, and nothing may be asked of the network
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


NO_BROWSER: Final = f"no browser: none of {', '.join(NAMES)} is on the PATH"


def find_chromium() -> str | None:
    return next((path for path in map(shutil.which, NAMES) if path), None)


def skip_without_browser() -> None:
    """For a whole module, so that it is one line of the summary. Where everything has to be proven it fails instead."""
    if find_chromium() is None and not os.environ.get("CI"):
        pytest.skip(NO_BROWSER, allow_module_level=True)


@dataclass
class Tab:
    """One tab with the chat. `complaints`: errors and warnings of the console, and scripts that failed."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @property
    def chat(self) -> FrameLocator:
        return self.page.frame_locator("shopbell-chat iframe")

    @property
    def own(self) -> Locator:
        return self.chat.locator("li.line.mine")

    async def go(self, url: str) -> None:
        await self.page.goto(url)
        await self.open()

    async def open(self) -> None:
        await self.page.get_by_role("button", name="Open chat").click()
        await self.composer.wait_for()

    @property
    def composer(self) -> Locator:
        return self.chat.get_by_role("textbox", name="Message")

    async def write(self, text: str) -> None:
        await self.composer.fill(text)
        await self.composer.press("Enter")

    def line(self, text: str, status: str | None = None) -> Locator:
        """The bubble with this text."""
        kind = "li.line" if status is None else f'li.line[data-status="{status}"]'
        return self.chat.locator(kind).filter(has_text=text)

    async def texts(self) -> list[str]:
        return await self.chat.locator("li.line .words").all_inner_texts()


@contextlib.asynccontextmanager
async def new_person(browser: Browser) -> AsyncIterator[BrowserContext]:
    """Somebody with a browser of their own: no cookies, no storage."""
    context = await browser.new_context(locale="en-GB")
    context.set_default_timeout(15_000)
    try:
        yield context
    finally:
        await context.close()


async def new_tab(person: BrowserContext) -> Tab:
    tab = Tab(await person.new_page())
    tab.page.on("console", lambda said: tab.complaints.append(said.text) if said.type in ("error", "warning") else None)
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    return tab
