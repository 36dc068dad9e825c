"""A site chat by itself: the real connector and what it serves, with the gateway's part said by the test."""

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import httpx
from starlette.types import Receive, Scope, Send

from connectors.webchat.config import WebChatConfig
from connectors.webchat.connector import WebChat
from shared.bus import LocalBus
from shared.clock import system_clock
from shared.connector import Connector, Port
from shared.content import Text
from shared.errors import ShopbellError, UnknownChannel
from shared.events import InboundEvent
from shared.outgoing import outgoing_socket
from shared.subjects import THREAD, ThreadAuthor, ThreadMessage, ThreadPage, ThreadQuestion, ThreadSeen
from tests.support.ports import Remembered
from tests.support.product import on_a_port
from tests.support.visitor import Visitor

CHANNEL: Final = "chn_chat"
NOTHING: Final = ThreadPage(messages=(), seen=ThreadSeen(), cursor="c0", more=False, reset=False)


class NoFiles:
    """No attachment was ever kept."""

    async def keep(self, name: str, content: bytes, /) -> None:
        raise AssertionError("nothing is kept here")

    async def read(self, attachment: str, /) -> bytes:
        raise AssertionError(f"nobody keeps {attachment}")


@dataclass
class Chat:
    """`page` is what every question about the thread is answered with, `published` what was safe, `refusals` what the
    next events meet instead."""

    config: WebChatConfig
    http: httpx.AsyncClient
    url: str = ""
    page: ThreadPage = NOTHING
    published: list[InboundEvent] = field(default_factory=list)
    refusals: deque[ShopbellError] = field(default_factory=deque)
    questions: list[ThreadQuestion] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = LocalBus()
        self.bus.serve(THREAD, self._thread)
        self.connector = self._new_connector()

    async def replace_connector(self) -> None:
        """As when the channel's settings change."""
        old, self.connector = self.connector, self._new_connector()
        await old.close()

    def visitor(self) -> Visitor:
        visitor, token, _ = self.connector.new_token()
        return Visitor(self.url, CHANNEL, token, visitor)

    def _new_connector(self) -> WebChat:
        port = Port(
            CHANNEL,
            self.config,
            self._publish,
            self.bus,
            self.http,
            system_clock,
            NoFiles(),
            outgoing_socket(),
            Remembered(),
        )
        return WebChat(port)

    async def _publish(self, events: Sequence[InboundEvent], /) -> None:
        if self.refusals:
            raise self.refusals.popleft()
        self.published += events

    async def _thread(self, question: ThreadQuestion) -> ThreadPage:
        self.questions.append(question)
        return self.page

    # As the host of this one connector

    async def find(self, channel_type: str, channel_id: str) -> Connector:
        if channel_id != CHANNEL:
            raise UnknownChannel("There is one channel here.")
        return self.connector

    def acknowledge(self, connector: Connector, events: Sequence[InboundEvent]) -> None:
        raise AssertionError("the site chat has no hooks")


def of_the_shop(text: str, seq: int = 1) -> ThreadPage:
    """The thread with one message of the shop in it."""
    message = ThreadMessage(
        id=f"msg_{seq}", conversation="cnv_1", seq=seq, mine=False, cmid=None,
        author=ThreadAuthor(type="agent", name="Iva"), content=Text(text=text), status="sent", reply_to=None,
        created_at=datetime.now(UTC), edited_at=None, deleted=False,
    )  # fmt: skip
    return ThreadPage(messages=(message,), seen=ThreadSeen(), cursor=f"c{seq}", more=False, reset=False)


@contextlib.asynccontextmanager
async def open_chat(config: WebChatConfig | None = None) -> AsyncIterator[Chat]:
    """On a free port of loopback."""
    async with httpx.AsyncClient() as http:
        chat = Chat(config or WebChatConfig(), http)
        mounts = WebChat.mounts(chat)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await mounts["/" + scope["path"].split("/", 2)[1]](scope, receive, send)

        async with on_a_port(app) as url:
            chat.url = url
            try:
                yield chat
            finally:
                await chat.connector.close()
