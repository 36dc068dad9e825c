"""A shop's channel with a simulated provider behind it, as an end-to-end test drives it: over the public API."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shopbell_client import Conversation, Message, Text

from shared.simulator import Simulator
from tests.support.eventually import eventually
from tests.support.product import Shop

Server = TypeVar("Server", bound=Simulator)


@dataclass
class Line(Generic[Server]):
    """One channel of a shop that has no other, and the provider it is on."""

    shop: Shop
    channel: str
    server: Server
    url: str

    async def conversation(self) -> Conversation:
        """The only one."""
        (conversation,) = (await self.shop.client.conversations.list()).items
        return conversation

    async def messages(self) -> list[Message]:
        """Of the first conversation, oldest first."""
        page = await self.shop.client.conversations.list()
        if not page.items:
            return []
        return list((await self.shop.client.messages.list(page.items[0].id, limit=200)).items)

    async def answer(self, text: str = "", **more: Any) -> Message:
        return await self.shop.client.messages.send((await self.conversation()).id, text=text or None, **more)

    async def until_said(self, count: int) -> list[Message]:
        return await eventually(self.messages, lambda said: len(said) >= count)

    async def until(self, message: Message, *statuses: str) -> Message:
        return await eventually(lambda: self.shop.client.messages.get(message.id), lambda seen: seen.status in statuses)


def text_of(message: Message) -> str | None:
    return message.content.text if isinstance(message.content, Text) else None
