"""A shopper as a program: speaks the web chat's protocol over a real socket, and keeps what was not acknowledged."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect


@dataclass
class Visitor:
    """One browser. `messages` is the thread as folded from the sync frames, by id."""

    url: str
    channel: str
    token: str
    visitor: str
    cursor: str | None = None
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: str | None = None
    acked: set[str] = field(default_factory=set)
    nacks: list[dict[str, Any]] = field(default_factory=list)
    typing: list[dict[str, Any]] = field(default_factory=list)

    @property
    def thread(self) -> list[dict[str, Any]]:
        return sorted(self.messages.values(), key=lambda m: (m["conversation"], m["seq"]))

    @property
    def texts(self) -> list[str]:
        return [message["content"]["text"] for message in self.thread]

    @contextlib.asynccontextmanager
    async def online(self) -> AsyncIterator["Line"]:
        """Connected, greeted, and caught up."""
        address = self.url.replace("http", "ws", 1) + f"/chat/{self.channel}/socket"
        async with connect(address, max_size=2**20, ping_interval=None) as socket:
            line = Line(self, socket)
            hello = {"token": self.token} | ({"cursor": self.cursor} if self.cursor else {})
            await line.say("hello", hello)
            reader = asyncio.create_task(line.listen())
            try:
                yield line
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await reader

    async def post(self, http: httpx.AsyncClient, text: str, cmid: str | None = None) -> httpx.Response:
        """The same line over HTTP."""
        return await http.post(
            f"{self.url}/chat/{self.channel}/messages",
            headers={"Authorization": f"Bearer {self.token}"},
            json={"cmid": cmid or uuid.uuid4().hex, "text": text},
        )


class Line:
    """An open socket of a visitor."""

    def __init__(self, visitor: Visitor, socket: ClientConnection) -> None:
        self.visitor = visitor
        self.socket = socket
        self._news = asyncio.Condition()
        self.frames: list[dict[str, Any]] = []
        self._lost = False

    async def say(self, kind: str, data: dict[str, Any] | None = None, frame_id: str | None = None) -> None:
        frame: dict[str, Any] = {"t": kind}
        if data is not None:
            frame["d"] = data
        if frame_id is not None:
            frame["id"] = frame_id
        await self.socket.send(json.dumps(frame))

    async def send(self, text: str, cmid: str | None = None) -> str:
        """Write a line and wait until the server says that it is safe."""
        cmid = cmid or uuid.uuid4().hex
        await self.say("send", {"cmid": cmid, "text": text}, cmid)
        await self.until(lambda: cmid in self.visitor.acked)
        return cmid

    async def until(self, condition: Any, timeout_s: float = 10) -> None:
        """Wait until what came makes the condition true; raises `ConnectionError` if the socket ends before."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: condition() or self._lost)
        if not condition():
            raise ConnectionError("the socket ended")

    async def ended(self, timeout_s: float = 10) -> int | None:
        """Wait until the server has ended the socket; with which code."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: self._lost)
        return self.socket.close_code

    async def listen(self) -> None:
        try:
            async for text in self.socket:
                self.take(json.loads(text))
                async with self._news:
                    self._news.notify_all()
        finally:
            self._lost = True
            async with self._news:
                self._news.notify_all()

    def take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        visitor, data = self.visitor, frame.get("d", {})
        match frame["t"]:
            case "sync":
                if data["reset"]:
                    visitor.messages.clear()
                visitor.messages |= {message["id"]: message for message in data["messages"]}
                visitor.cursor, visitor.seen = data["cursor"], data["seen"]["up_to"]
            case "ack":
                visitor.acked.add(data["cmid"])
            case "nack":
                visitor.nacks.append(data | {"cmid": frame.get("id")})
            case "typing":
                visitor.typing.append(data)


async def new_visitor(url: str, channel: str, http: httpx.AsyncClient | None = None) -> Visitor:
    """Someone who opens the chat for the first time."""
    async with httpx.AsyncClient() if http is None else contextlib.nullcontext(http) as client:
        answer = await client.post(f"{url}/chat/{channel}/session", json={})
    answer.raise_for_status()
    told = answer.json()
    return Visitor(url, channel, told["token"], told["visitor"])
