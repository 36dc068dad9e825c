"""What a browser can rely on at the site chat's own end, with the gateway's part played by the test."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from connectors.webchat.config import WebChatConfig
from connectors.webchat.socket import SILENCE_MAX_S
from shared.errors import BusUnavailable
from shared.events import MessageReceived, ReceiptReported, Status
from shared.subjects import ThreadSeen
from tests.support.chat import CHANNEL, NOTHING, Chat, of_the_shop, open_chat
from tests.support.eventually import eventually

SHOP, STRANGER = "https://shop.example", "https://evil.example"


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    async with open_chat() as opened:
        yield opened


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["t"] for frame in frames]


# Sockets


async def test_a_socket_that_was_opened_before_the_settings_changed_is_sent_to_the_new_ones(chat: Chat) -> None:
    visitor = chat.visitor()
    address = f"{chat.url.replace('http', 'ws', 1)}/chat/{CHANNEL}/socket"
    async with connect(address) as socket:
        await chat.replace_connector()
        await socket.send(json.dumps({"t": "hello", "d": {"token": visitor.token}}))
        said = []
        with pytest.raises(ConnectionClosedError):
            while True:
                said.append(json.loads(await socket.recv())["t"])
    assert (said[-1], socket.close_code) == ("bye", 1012)
    chat.page = of_the_shop("Hello!")
    async with visitor.online() as line:
        await line.until(lambda: visitor.texts == ["Hello!"])


async def test_a_visitor_is_told_where_they_are_and_then_only_what_changes(chat: Chat) -> None:
    visitor = chat.visitor()

    async def look() -> None:
        """Have the server look once more, and wait until whatever it found has come."""
        asked = len(chat.questions)
        chat.connector.changed(visitor.visitor)
        await eventually(lambda: counted(chat), lambda questions: questions > asked)
        pongs = kinds(line.frames).count("pong")
        await line.say("ping")
        await line.until(lambda: kinds(line.frames).count("pong") > pongs)

    async with visitor.online() as line:
        await line.until(lambda: kinds(line.frames) == ["welcome", "sync"])
        for _ in range(3):
            await look()
        assert kinds(line.frames).count("sync") == 1
        chat.page = NOTHING.model_copy(update={"seen": ThreadSeen(up_to="msg_1")})
        for _ in range(3):
            await look()
        assert kinds(line.frames).count("sync") == 2
        assert visitor.seen == "msg_1"


async def counted(chat: Chat) -> int:
    return len(chat.questions)


@pytest.mark.parametrize("kind", ["recv", "read"])
async def test_a_receipt_that_could_not_be_kept_is_asked_for_again(chat: Chat, kind: str) -> None:
    """The server ends the socket: a browser says both watermarks again once it has caught up, as after every loss."""
    visitor = chat.visitor()
    chat.page = of_the_shop("Hello!")
    chat.refusals.append(BusUnavailable("not now"))
    async with visitor.online() as line:
        await line.until(lambda: visitor.texts == ["Hello!"])
        await line.say(kind, {"up_to": "msg_1"})
        assert await line.ended() == 1013
        assert kinds(line.frames)[-1] == "bye"  # with the pause after which to come back
    chat.page = NOTHING
    async with visitor.online() as line:
        await line.until(lambda: "sync" in kinds(line.frames))  # though nothing is new
        await line.say(kind, {"up_to": "msg_1"})
        await eventually(lambda: receipts(chat), bool)
    wanted = Status.DELIVERED if kind == "recv" else Status.READ
    assert await receipts(chat) == [(wanted, "msg_1")]


async def receipts(chat: Chat) -> list[tuple[Status, str | None]]:
    return [(one.status, one.up_to_id) for one in chat.published if isinstance(one, ReceiptReported)]


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        ('{"t":"send","id":"c1","d":{"cmid":"c1","text":5}}', "c1"),
        ('{"t":"send","id":"c1","d":{"cmid":"c1"}}', "c1"),
        ('{"t":"send","d":{"cmid":"c1","text":"half of a character: \\ud83d"}}', "c1"),
        ('{"t":"send","id":"c1","d":{"cmid":"c 1","text":"a"}}', "c 1"),
        ('{"t":"send","id":"c1","d":{"cmid":7,"text":"a"}}', "c1"),
        ('{"t":"send","id":"c1"}', "c1"),
        ('{"t":"send","id":"c1","d":[]}', "c1"),
        ('{"t":"send","d":{"cmid":"c1","text":"a","reply_to":"' + "y" * 41 + '"}}', "c1"),
        ('{"t":"send"}', None),
        ('{"t":"send","id":"c1"', None),
        ("[" * 60_000, None),
        ("[]", None),
    ],
)
async def test_a_line_that_cannot_be_understood_is_refused_by_its_name(
    chat: Chat, frame: str, named: str | None
) -> None:
    visitor = chat.visitor()
    async with visitor.online() as line:
        await line.socket.send(frame)
        await line.until(lambda: visitor.nacks)
        assert [(nack["cmid"], nack["code"]) for nack in visitor.nacks] == [(named, "malformed")]
        await line.send("The next one goes.")
    assert [one.external_id for one in chat.published if isinstance(one, MessageReceived)] == list(visitor.acked)


def test_a_hidden_tab_whose_timers_fire_once_a_minute_is_not_taken_for_dead() -> None:
    ping_after_s, timers_every_s = 25, 60
    assert ping_after_s + timers_every_s + 60 < SILENCE_MAX_S


# Pages of other origins


@pytest.fixture
async def guarded() -> AsyncIterator[Chat]:
    """A chat that one shop's pages may use."""
    async with open_chat(WebChatConfig(allowed_origins=(SHOP,))) as opened:
        yield opened


def preflight(origin: str, method: str, *headers: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(headers),
    }


def allowed(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_a_page_that_is_allowed_may_open_a_session_write_and_read(guarded: Chat) -> None:
    async with httpx.AsyncClient(base_url=f"{guarded.url}/chat/{CHANNEL}") as http:
        for path, method, *headers in (
            ("/session", "POST", "content-type"),
            ("/messages", "POST", "authorization", "content-type"),
            ("/thread", "GET", "authorization"),
        ):
            asked = await http.options(path, headers=preflight(SHOP, method, *headers))
            assert (asked.status_code, asked.content) == (204, b"")
            assert asked.headers["access-control-allow-origin"] == SHOP
            assert "Origin" in asked.headers["vary"]
            assert asked.headers["access-control-allow-methods"] == method
            assert set(headers) <= set(asked.headers["access-control-allow-headers"].split(", "))
        token = (await http.post("/session", headers={"Origin": SHOP}, json={})).json()["token"]
        said = {"Origin": SHOP, "Authorization": f"Bearer {token}"}
        answers = [
            await http.post("/session", headers=said, json={}),
            await http.post("/messages", headers=said, json={"cmid": "c1", "text": "Hi"}),
            await http.get("/thread", headers=said),
            await http.post("/messages", headers=said, json={"cmid": "c1"}),
            await http.get("/thread", headers={"Origin": SHOP}),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 401]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == SHOP
        assert answer.headers["vary"] == "Origin"


async def test_a_foreign_page_learns_nothing(guarded: Chat) -> None:
    async with httpx.AsyncClient(base_url=f"{guarded.url}/chat/{CHANNEL}") as http:
        for origin in (STRANGER, "null", f"{SHOP}.evil.example", "*"):
            asked = await http.options("/session", headers=preflight(origin, "POST", "content-type"))
            posted = await http.post("/session", headers={"Origin": origin}, json={})
            written = await http.post("/messages", headers={"Origin": origin}, json={"cmid": "c1", "text": "Hi"})
            for answer in (asked, posted, written):
                assert (answer.status_code, allowed(answer)) == (403, {}), origin
                assert answer.headers["vary"] == "Origin"


async def test_any_page_is_named_where_any_page_is_allowed(chat: Chat) -> None:
    async with httpx.AsyncClient(base_url=f"{chat.url}/chat/{CHANNEL}") as http:
        asked = await http.options("/session", headers=preflight(STRANGER, "POST", "content-type"))
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, STRANGER)
        nowhere = await http.options("/nothing", headers=preflight(STRANGER, "POST"))
        assert nowhere.status_code == 404
    async with httpx.AsyncClient(base_url=f"{chat.url}/chat/chn_none") as http:
        unknown = await http.options("/session", headers=preflight(STRANGER, "POST"))
        assert (unknown.status_code, allowed(unknown)) == (404, {})


# The widget's files


async def test_the_widgets_files_are_asked_for_each_time_and_sent_only_when_they_changed(chat: Chat) -> None:
    async with httpx.AsyncClient(base_url=chat.url) as http:
        for name in ("embed.js", "frame.js", "frame.css"):
            first = await http.get(f"/widget/{name}")
            assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
            tag = first.headers["etag"]
            for known in (tag, f'"other", W/{tag}', "*"):
                again = await http.get(f"/widget/{name}", headers={"If-None-Match": known})
                assert (again.status_code, again.content) == (304, b"")
                assert (again.headers["etag"], again.headers["cache-control"]) == (tag, "no-cache")
            changed = await http.get(f"/widget/{name}", headers={"If-None-Match": '"other"'})
            assert (changed.status_code, changed.content) == (200, first.content)
        frame = await http.get("/widget/frame", params={"channel": CHANNEL})
        assert frame.headers["cache-control"] == "no-cache"
