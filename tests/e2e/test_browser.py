"""The main job with the real widget in a real browser and the real agent in a terminal, whatever happens to them."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from shared.errors import BusUnavailable
from shared.events import ReceiptReported, Status
from tests.support.browser import new_person, new_tab, skip_without_browser
from tests.support.chat import CHANNEL, of_the_shop, open_chat
from tests.support.eventually import eventually
from tests.support.process import Up, running_up, say, texts_of
from tests.support.terminal_agent import terminal_agent

skip_without_browser()
pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

TRICKS = (
    "<script>window.hacked = 1</script>",
    '<img src=x onerror="window.hacked = 1; parent.hacked = 1">',
    "<svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    "\"><iframe srcdoc='<script>top.hacked=1</script>'></iframe>",
    'https://example.com/"onmouseover="window.hacked=1',
    "{{constructor.constructor('window.hacked=1')()}} ${window.hacked=1}",
)
LONGEST_PAUSE_S = 30  # of browser and agent, before they try again to connect
PAGE_POLICY = "default-src 'none'; script-src {url}; frame-src {url}; require-trusted-types-for 'script'"


@pytest.fixture(scope="module")
async def up(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """A demo shop for every test that does not break it."""
    async with running_up(tmp_path_factory.mktemp("browser") / "data") as product:
        yield product


async def test_a_shopper_writes_an_agent_answers_and_both_see_what_became_of_it(browser: Browser, up: Up) -> None:
    async with terminal_agent(up) as agent, new_person(browser) as ana, new_person(browser) as bruno:
        hers, his = await new_tab(ana), await new_tab(bruno)
        await hers.go(f"{up.url}/demo")
        assert await hers.chat.locator("input, select").count() == 0  # nobody is asked for a name or an address
        await hers.write("Is the red mug in stock?")
        await hers.line("red mug", "delivered").wait_for()
        conversation = await agent.conversation_of("Is the red mug in stock?")
        await his.go(f"{up.url}/demo")
        await his.write("And do you ship to Split?")
        other = await agent.conversation_of("And do you ship to Split?")
        assert other != conversation

        await agent.type(f"/open {conversation}")
        await hers.line("red mug", "read").wait_for()
        await expect(hers.line("red mug")).to_contain_text("Seen")
        assert await his.line("Split", "delivered").count() == 1  # nobody has looked at his yet

        await agent.type("Yes, three left. Bok!")
        await hers.line("three left").wait_for()
        await agent.shows(r"read \(msg_\w+\): Yes, three left")  # what came between may have come at one time
        order = [line for line in agent.lines if "Yes, three left" in line and "(msg_" in line]
        statuses = [re.split(r"[\s(]+", line.partition("] ")[2])[1] for line in order]
        ladder = ["queued", "accepted", "sent", "delivered", "read"]
        assert (statuses, statuses[-1]) == (sorted(statuses, key=ladder.index), "read")

        await agent.type(f"/open {other}")
        await agent.type("Two days to Split.")
        await his.line("Two days").wait_for()
        assert await hers.texts() == ["Is the red mug in stock?", "Yes, three left. Bok!"]
        assert await his.texts() == ["And do you ship to Split?", "Two days to Split."]
        assert hers.complaints + his.complaints == []


@pytest.mark.slow
async def test_a_server_killed_in_mid_conversation_is_hardly_noticed(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with contextlib.AsyncExitStack() as stack:
        up = await stack.enter_async_context(running_up(folder))
        agent = await stack.enter_async_context(terminal_agent(up))
        tab = await new_tab(await stack.enter_async_context(new_person(browser)))
        await tab.go(f"{up.url}/demo")
        await tab.write("first")
        await agent.type(f"/open {await agent.conversation_of('first')}")
        await tab.line("first", "read").wait_for()

        await up.kill()
        await tab.write("second, to nobody")
        await tab.write("third, to nobody")
        await tab.line("third", "sending").wait_for()
        await agent.shows("connection lost")
        before = len(agent.lines)
        await stack.enter_async_context(running_up(folder, port=up.port, alone=False))
        await agent.shows("^-- connected", LONGEST_PAUSE_S + 30, after=before)
        # Open on the agent's screen: read as it comes.
        await tab.line("third", "read").wait_for(timeout=(LONGEST_PAUSE_S + 30) * 1000)
        await agent.conversation_of("third, to nobody")
        await agent.type("Here we are again.")
        await tab.line("again").wait_for()
        assert await tab.texts() == ["first", "second, to nobody", "third, to nobody", "Here we are again."]
        assert [agent.count(text) for text in ("second, to nobody", "third, to nobody")] == [1, 1]
        seen = [line.rpartition("): ")[2] for line in agent.lines if "to nobody" in line]
        assert seen == ["second, to nobody", "third, to nobody"]


async def test_a_reload_and_a_second_tab_show_the_same_thread(browser: Browser, up: Up) -> None:
    async with new_person(browser) as ana:
        tab = await new_tab(ana)
        await tab.go(f"{up.url}/demo")
        await tab.write("kept over a reload")
        await tab.line("kept", "delivered").wait_for()
        await tab.page.reload()
        await tab.open()
        await tab.line("kept", "delivered").wait_for()

        second = await new_tab(ana)
        await second.go(f"{up.url}/demo")
        await second.line("kept", "delivered").wait_for()
        await second.write("from the other tab")
        await tab.line("other tab", "delivered").wait_for()
        assert await tab.texts() == await second.texts() == ["kept over a reload", "from the other tab"]
        assert tab.complaints + second.complaints == []


@pytest.mark.slow
async def test_what_is_written_without_a_network_arrives_once_when_there_is_one_again(browser: Browser, up: Up) -> None:
    async with new_person(browser) as ana:
        tab = await new_tab(ana)
        await tab.go(f"{up.url}/demo")
        await tab.write("before")
        await tab.line("before", "delivered").wait_for()
        await ana.set_offline(True)
        await tab.write("on the train")
        await tab.write("in the tunnel")
        await tab.chat.get_by_text("You are offline.").wait_for()
        await say(up, "Others get through")
        assert not {"on the train", "in the tunnel"} & set(await texts_of(up))
        for text in ("on the train", "in the tunnel"):
            assert await tab.line(text, "sending").count() == 1
        await ana.set_offline(False)
        await tab.line("in the tunnel", "delivered").wait_for()
        await tab.page.reload()
        await tab.open()
        await tab.line("in the tunnel", "delivered").wait_for()
        assert await tab.texts() == ["before", "on the train", "in the tunnel"]


@pytest.mark.slow
async def test_a_line_that_is_refused_for_good_says_so_and_holds_up_nothing(browser: Browser, up: Up) -> None:
    async with new_person(browser) as ana:
        tab = await new_tab(ana)
        await tab.go(f"{up.url}/demo")
        await tab.page.evaluate(
            "([channel, kept]) => localStorage.setItem(`shopbell:${channel}:line:old`, kept)",
            [up.demo.channel, json.dumps({"text": "of an older widget", "reply_to": "y" * 41, "written_at_ms": 1})],
        )
        await tab.page.reload()
        await tab.open()
        await tab.write("the next one")
        await tab.line("the next one", "delivered").wait_for()
        await tab.line("older widget", "failed").wait_for()


@pytest.mark.slow
async def test_what_was_seen_while_nothing_could_be_kept_is_said_again(browser: Browser) -> None:
    async with open_chat() as chat, new_person(browser) as ana:
        chat.page = of_the_shop("Hello!")
        chat.refusals.extend([BusUnavailable("not now")] * 2)
        page = await ana.new_page()
        await page.goto(f"{chat.url}/widget/frame?channel={CHANNEL}")

        async def kept() -> set[Status]:
            return {one.status for one in chat.published if isinstance(one, ReceiptReported)}

        assert await eventually(kept, lambda seen: len(seen) == 2, timeout_s=30) == {Status.DELIVERED, Status.READ}
        assert not chat.refusals


async def test_nothing_in_a_message_runs_on_either_side(browser: Browser, up: Up) -> None:
    async with new_person(browser) as ana, up.client() as client:
        tab = await new_tab(ana)
        dialogs: list[str] = []
        tab.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        await tab.go(f"{up.url}/demo")
        for trick in TRICKS:
            await tab.write(trick)
        await tab.chat.locator('li.line[data-status="delivered"]').nth(len(TRICKS) - 1).wait_for()
        conversation = (await client.conversations.list()).items[0]
        for trick in TRICKS:
            await client.messages.send(conversation.id, text=trick)
        await tab.chat.locator("li.line.theirs").nth(len(TRICKS) - 1).wait_for()
        await tab.chat.locator("li.line.theirs").last.hover()
        await asyncio.sleep(0.5)
        assert await tab.texts() == [*TRICKS, *TRICKS]
        assert [await frame.evaluate("window.hacked") for frame in tab.page.frames] == [None] * len(tab.page.frames)
        links = await tab.chat.locator("li.line a").evaluate_all("links => links.map(link => link.protocol)")
        assert set(links) <= {"https:", "http:", "mailto:"}
        assert await tab.chat.locator("li.line :is(script, img, iframe)").count() == 0
        assert (dialogs, tab.complaints) == ([], [])


async def test_a_shop_with_a_strict_policy_on_another_origin_needs_one_line(browser: Browser, up: Up) -> None:
    async with shop_page(up) as url, new_person(browser) as ana:
        tab = await new_tab(ana)
        await tab.go(url)
        await tab.write("from another origin")
        await tab.line("another origin", "delivered").wait_for()
        assert tab.complaints == []


@contextlib.asynccontextmanager
async def shop_page(up: Up) -> AsyncIterator[str]:
    """A page of somebody else's server, with a policy that allows the chat's address and nothing else."""
    script = f'<script async src="{up.url}/widget/embed.js" data-channel="{up.demo.channel}"></script>'
    page = f'<!doctype html><html lang="en"><title>A shop</title>{script}<h1>A shop</h1></html>'.encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n"
        f"Content-Security-Policy: {PAGE_POLICY.format(url=up.url)}\r\n\r\n"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        gone = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + page if request.startswith(b"GET / ") else gone)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
