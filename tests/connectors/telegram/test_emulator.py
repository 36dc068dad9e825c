"""Against a Bot API emulator that was not written here: `telegram-test-api` from npm (MIT)."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from connectors.telegram.connector import Telegram
from shared.commands import DeleteMessage, EditMessage
from shared.content import Buttons, Choice, Option, Text
from shared.events import Address, InboundEvent, MessageReceived, PeerConnected
from tests.connectors.telegram.given import ANN, BOT, TOKEN, connect, reply, telegram_config
from tests.support.eventually import eventually

PACKAGE: Final = "telegram-test-api@4.2.1"
START: Final = """
const TelegramServer = require('telegram-test-api');
new TelegramServer({ port: Number(process.argv[1]), host: '127.0.0.1' }).start();
"""
PERSON: Final = {"id": ANN, "first_name": "Ann", "username": "annlee", "is_bot": False}
ADDRESS: Final = Address(channel="telegram", account=BOT, peer=str(ANN))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not shutil.which("npm") or not shutil.which("node"), reason="needs npm and node"),
]


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config) -> Path:
    """Where the emulator is installed, kept for the next run."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("telegram_emulator")
    if not (folder / "node_modules" / "telegram-test-api" / "package.json").exists():
        install = [
            "npm",
            "install",
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            str(folder),
        ]
        done = subprocess.run([*install, PACKAGE], capture_output=True, text=True, timeout=240, check=False)
        if done.returncode != 0:
            if os.environ.get("CI"):
                pytest.fail(f"npm could not install {PACKAGE}: {done.stderr[-500:]}")
            pytest.skip(f"npm could not install {PACKAGE}")
    return folder


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def base(folder: Path, http: httpx.AsyncClient) -> AsyncIterator[str]:
    """The address of a running emulator."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = await asyncio.create_subprocess_exec("node", "-e", START, str(port), cwd=folder)
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return (await http.get(f"{url}/bot{TOKEN}/getMe")).is_success
        return False

    try:
        await eventually(answers, timeout_s=30)
        yield url
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


class Shopper:
    """A customer at the emulator, through its own interface for customers."""

    def __init__(self, http: httpx.AsyncClient, base: str) -> None:
        self._http = http
        self._base = base

    async def writes(self, text: str, **more: Any) -> None:
        chat = PERSON | {"type": "private"}
        said = {"botToken": TOKEN, "from": PERSON, "chat": chat, "date": int(time.time()), "text": text, **more}
        (await self._http.post(f"{self._base}/sendMessage", json=said)).raise_for_status()

    async def presses(self, data: str, message: dict[str, Any]) -> None:
        shown = {"chat": PERSON | {"type": "private"}, "from": PERSON, "date": int(time.time()), **message}
        said = {"botToken": TOKEN, "from": PERSON, "message": shown, "data": data}
        (await self._http.post(f"{self._base}/sendCallback", json=said)).raise_for_status()

    async def sees(self) -> list[dict[str, Any]]:
        """Every message of the bot, as it is now."""
        answer = await self._http.post(f"{self._base}/getUpdatesHistory", json={"token": TOKEN})
        history: list[dict[str, Any]] = answer.json()["result"]
        return [one["message"] | {"message_id": one["messageId"]} for one in history if "chat_id" in one["message"]]


class Inbox:
    def __init__(self) -> None:
        self.events: list[InboundEvent] = []

    async def publish(self, events: Sequence[InboundEvent], /) -> None:
        self.events += events

    async def holds(self, count: int) -> list[InboundEvent]:
        async def look() -> list[InboundEvent]:
            return self.events

        return await eventually(look, lambda events: len(events) >= count)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def connector(base: str, http: httpx.AsyncClient, inbox: Inbox) -> AsyncIterator[Telegram]:
    """Connected to the emulator and polling it."""
    connector = connect(publish=inbox.publish, config=telegram_config(api_url=base), http=http)
    task = asyncio.create_task(connector.listen())
    yield connector
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await connector.close()


async def test_a_customer_writes_and_is_answered(
    connector: Telegram, inbox: Inbox, http: httpx.AsyncClient, base: str
) -> None:
    shopper = Shopper(http, base)
    await shopper.writes("/start summer-sale")
    await shopper.writes("Is the red one in stock? 👍", entities=[{"type": "bold", "offset": 7, "length": 3}])
    started, asked = await inbox.holds(2)
    assert isinstance(started, PeerConnected)
    assert started.payload == "summer-sale"
    assert isinstance(asked, MessageReceived)
    assert asked.address == ADDRESS
    assert asked.content == Text(text="Is the red one in stock? 👍", html="Is the <b>red</b> one in stock? 👍")

    sent = await connector.send(reply(Text(text="👍 Yes", html="👍 <b>Yes</b>"), reply_to=asked.external_id))
    (seen,) = await shopper.sees()
    assert (seen["text"], seen["entities"]) == ("👍 Yes", [{"type": "bold", "offset": 3, "length": 3}])
    assert sent.external_ids == (str(seen["message_id"]),)

    ids, better = sent.external_ids, Text(text="Three left")
    await connector.edit(EditMessage(address=ADDRESS, message_id="msg_1", external_ids=ids, content=better))
    assert [one["text"] for one in await shopper.sees()] == ["Three left"]
    await connector.delete(DeleteMessage(address=ADDRESS, message_id="msg_1", external_ids=ids))
    assert await shopper.sees() == []


async def test_a_customer_presses_a_button(
    connector: Telegram, inbox: Inbox, http: httpx.AsyncClient, base: str
) -> None:
    shopper = Shopper(http, base)
    options = (Option(id="r", label="Red"), Option(id="b", label="Blue"))
    await connector.send(reply(Buttons(text="Which?", options=options)))
    (seen,) = await shopper.sees()
    await shopper.presses("b", {"message_id": seen["message_id"], "reply_markup": seen["reply_markup"]})
    (pressed,) = await inbox.holds(1)
    assert isinstance(pressed, MessageReceived)
    assert pressed.content == Choice(id="b", label="Blue")
    assert pressed.reply_to == str(seen["message_id"])


async def test_a_long_answer_arrives_in_parts(connector: Telegram, http: httpx.AsyncClient, base: str) -> None:
    text = "word " * 2000
    sent = await connector.send(reply(Text(text=text)))
    seen = await Shopper(http, base).sees()
    assert sent.external_ids == tuple(str(one["message_id"]) for one in seen)
    assert " ".join(one["text"] for one in seen).split() == text.split()
