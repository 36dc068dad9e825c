"""Many shoppers at once, each stubborn: every line goes out twice, and again on each new socket until it is safe."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from shopbell_client import Client, Message
from shopbell_client.content import Text
from websockets.exceptions import WebSocketException

from tests.support.visitor import Visitor, new_visitor

LOST = (OSError, WebSocketException, TimeoutError)
PAUSE_MAX_S = 0.3  # between sockets, and before the first: they do not come in one instant


@dataclass
class Shopper:
    """Someone with lines to write, in this order."""

    visitor: Visitor
    texts: Sequence[str]

    @property
    def acked(self) -> int:
        return len(self.visitor.acked)

    def cmid(self, number: int) -> str:
        return f"{self.visitor.visitor}-{number}"

    async def write_all(self) -> None:
        """Return when every line is acknowledged, however often the socket is lost."""
        while self.acked < len(self.texts):
            await asyncio.sleep(random.uniform(0, PAUSE_MAX_S))
            try:
                async with self.visitor.online() as line:
                    for number in range(self.acked, len(self.texts)):
                        cmid = self.cmid(number)
                        for _ in range(2):
                            await line.say("send", {"cmid": cmid, "text": self.texts[number]}, cmid)
                        await line.until(lambda cmid=cmid: cmid in self.visitor.acked)
            except LOST:
                continue


async def new_crowd(url: str, channel: str, *, shoppers: int, lines: int) -> list[Shopper]:
    async with httpx.AsyncClient(timeout=30) as http:
        visitors = [await new_visitor(url, channel, http) for _ in range(shoppers)]
    return [Shopper(one, texts_of(one, lines)) for one in visitors]


def texts_of(visitor: Visitor, lines: int) -> list[str]:
    """What this visitor writes; nobody else does."""
    return [f"{visitor.visitor} {number}" for number in range(lines)]


async def assert_all_is_there_once_and_in_order(client: Client, crowd: Sequence[Shopper]) -> None:
    """What the crowd wrote, and nothing else, as contacts, conversations, messages and events."""
    conversations = [one async for one in client.conversations.iterate(limit=200)]
    contacts = [one async for one in client.contacts.iterate(limit=200)]
    assert (len(conversations), len(contacts)) == (len(crowd), len(crowd))
    assert {one.contact.id for one in conversations} == {one.id for one in contacts}

    threads = [await thread(client, one.id) for one in conversations]
    assert sorted(map(texts, threads)) == sorted(list(one.texts) for one in crowd)

    stored = [message.id for message in itertools.chain(*threads)]
    told = Counter(await received(client))
    assert told == Counter(stored)
    assert set(told.values()) == {1}
    assert len(stored) == sum(len(one.texts) for one in crowd)


async def thread(client: Client, conversation_id: str) -> list[Message]:
    """Oldest first, by the order that the API itself gives."""
    return [one async for one in client.messages.iterate(conversation_id, limit=200)][::-1]


def texts(messages: Sequence[Message]) -> list[str]:
    return [one.content.text for one in messages if isinstance(one.content, Text)]


async def received(client: Client) -> list[str]:
    """The id of the message in every `message.received` of the feed."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = await client.events_page(after=after, types=["message.received"], limit=500)
        found += [event.data.id for event in page.items if isinstance(event.data, Message)]
        if not page.items:
            return found
        after = page.next
