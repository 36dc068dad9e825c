"""A thousand replies through a provider that fails in every way: each ends known, none is sent twice, order holds.

A person stands by: where the provider refuses our credentials the channel pauses, and the person activates it again.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from shopbell_client import Client, Conversation, Message, ValidationFailed

from connectors.telegram.simulator import TelegramSimulator
from connectors.whatsapp.simulated_customer import texts
from connectors.whatsapp.simulator import WhatsAppSimulator
from shared.simulator import Fault, FaultPlan, HookPlan, Simulator
from tests.support.product import Running, Shop, new_shop, settings_for
from tests.support.simulated import simulated_product

CUSTOMERS, REPLIES = 100, 10
FAILING = 0.05
FAULTS = [fault for fault in Fault if fault not in (Fault.OK, Fault.SLOW)]
OVER = ("sent", "delivered", "read", "failed", "uncertain")


class Provider(Protocol):
    """A simulated provider with customers who have written."""

    type: str
    host: str
    settings: dict[str, str]

    @property
    def simulator(self) -> Simulator: ...

    async def write(self, running: Running, channel: str) -> None:
        """Have every customer write once."""

    def seen_by_each(self) -> list[list[str]]:
        """What every customer sees of ours, in order."""

    async def tell(self, running: Running, channel: str) -> bool:
        """Tell what the provider knows by now; whether there is more that could not be told."""


@dataclass
class OnTelegram:
    simulator: TelegramSimulator
    type: str = "telegram"
    host: str = "telegram.example"

    def __post_init__(self) -> None:
        self.settings = {"token": "777000:canary-telegram", "api_url": f"https://{self.host}"}
        self.customers = [self.simulator.customer(1000 + number) for number in range(CUSTOMERS)]

    async def write(self, running: Running, channel: str) -> None:
        for customer in self.customers:
            customer.writes("Hello?")

    def seen_by_each(self) -> list[list[str]]:
        return [[seen.text for seen in customer.sees] for customer in self.customers]

    async def tell(self, running: Running, channel: str) -> bool:
        """A bot never learns more."""
        return False


@dataclass
class OnWhatsApp:
    simulator: WhatsAppSimulator
    type: str = "whatsapp"
    host: str = "graph.example"

    def __post_init__(self) -> None:
        self.settings = {
            "phone_number_id": self.simulator.phone_number_id,
            "waba_id": self.simulator.waba_id,
            "access_token": "canary-access",
            "app_secret": "canary-app-secret",
            "verify_token": "canary-verify",
            "graph_url": f"https://{self.host}",
        }
        self.customers = [self.simulator.customer(str(385_911_000_000 + number)) for number in range(CUSTOMERS)]

    async def write(self, running: Running, channel: str) -> None:
        for customer in self.customers:
            customer.writes("Hello?")
        await self.tell(running, channel)

    def seen_by_each(self) -> list[list[str]]:
        return [texts(customer.sees) for customer in self.customers]

    async def tell(self, running: Running, channel: str) -> bool:
        """Every status, doubled, out of order and in batches; while the channel is paused they are not taken."""
        url, badly = f"{running.url}/hooks/whatsapp/{channel}", HookPlan(seed=3, duplicate=0.3, reorder=0.3, batch=50)
        async with httpx.AsyncClient() as http:
            await self.simulator.tell(http, url, badly, tries=1)
        return bool(self.simulator.waiting)


def whatsapp() -> Provider:
    simulator = WhatsAppSimulator(
        phone_number_id="106", waba_id="207", access_token="canary-access", app_secret="canary-app-secret",
        retry_after_s=1,
    )  # fmt: skip
    return OnWhatsApp(simulator)


def telegram() -> Provider:
    return OnTelegram(TelegramSimulator(token="777000:canary-telegram", retry_after_s=1))


@contextlib.asynccontextmanager
async def keeping_active(client: Client, channel: str) -> AsyncIterator[None]:
    """Somebody who mends the credentials whenever the channel has paused."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.2)
            if (await client.channels.get(channel)).state == "paused":
                await client.channels.update(channel, state="active")

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@contextlib.asynccontextmanager
async def telling(provider: Provider, running: Running, channel: str) -> AsyncIterator[None]:
    """The provider tells all the while what has become of messages."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(0.3)
            await provider.tell(running, channel)

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def conversations_of(client: Client, count: int) -> list[Conversation]:
    async with asyncio.timeout(60):
        while True:
            found = [conversation async for conversation in client.conversations.iterate(limit=200)]
            if len(found) == count:
                return found
            await asyncio.sleep(0.1)


async def all_over(client: Client, conversations: list[Conversation]) -> list[list[Message]]:
    """Our messages of each conversation, once every one has come to an end."""
    async with asyncio.timeout(420):
        while True:
            pages = [(await client.messages.list(conversation.id, limit=200)).items for conversation in conversations]
            ours = [[message for message in page if message.direction == "out"] for page in pages]
            if all(message.status in OVER for messages in ours for message in messages):
                return ours
            await asyncio.sleep(1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("provider_of", [telegram, whatsapp], ids=["telegram", "whatsapp"])
async def test_a_thousand_replies_end_known_none_twice_and_in_order(
    fresh_database: str, tmp_path: Path, provider_of: Any
) -> None:
    provider: Provider = provider_of()
    settings = settings_for(fresh_database, tmp_path)
    async with simulated_product(settings, {provider.host: provider.simulator}) as running, new_shop(running) as shop:
        channel = (await shop.client.channels.create(type=provider.type, name="Ours", settings=provider.settings)).id
        await provider.write(running, channel)
        conversations = await conversations_of(shop.client, CUSTOMERS)
        provider.simulator.plan = FaultPlan(seed=7, rates=dict.fromkeys(FAULTS, FAILING / len(FAULTS)))
        async with keeping_active(shop.client, channel):
            async with telling(provider, running, channel):
                await answer_everyone(shop, conversations)
                await all_over(shop.client, conversations)
            provider.simulator.plan = FaultPlan()
            while await provider.tell(running, channel):  # noqa: ASYNC110 - it waits for the channel to be active
                await asyncio.sleep(0.2)
            ours = await all_over(shop.client, conversations)
    flat = [message for messages in ours for message in messages]
    told = Counter(message.status for message in flat)
    faults = Counter(entry.fault for entry in provider.simulator.ledger if entry.fault is not Fault.OK)
    print(f"\n{provider.type}: {dict(told)}; {sum(faults.values())} faults of {len(faults)} kinds")
    assert len(flat) == CUSTOMERS * REPLIES
    assert len(faults) > len(FAULTS) // 2
    for message in flat:
        if message.status in ("failed", "uncertain"):
            assert message.failure is not None, message
            assert message.failure.detail
    provider.simulator.assert_nothing_taken_twice()
    for seen in provider.seen_by_each():
        assert seen == sorted(seen, key=lambda text: int(text.split()[-1]))
    arrived = {text for seen in provider.seen_by_each() for text in seen}
    for message in flat:
        text = message.content.text  # type: ignore[union-attr]
        if message.status in ("sent", "delivered", "read"):
            assert text in arrived, f"{text} was said to have been sent"
        if message.status == "failed":
            assert text not in arrived, f"{text} was said to have failed: {message.failure}"


async def answer_everyone(shop: Shop, conversations: list[Conversation]) -> None:
    """Ten answers to each, every customer's in order, the customers side by side."""

    async def answer(place: int, conversation: Conversation) -> None:
        for number in range(REPLIES):
            await said(shop.client, conversation, f"reply to {place} number {number}")

    for start in range(0, len(conversations), 20):
        await asyncio.gather(*(answer(start + n, c) for n, c in enumerate(conversations[start : start + 20])))


async def said(client: Client, conversation: Conversation, text: str) -> None:
    """Say it as soon as the channel is not paused."""
    while True:
        try:
            await client.messages.send(conversation.id, text=text)
        except ValidationFailed as refused:
            if refused.code != "channel_paused":
                raise
            await asyncio.sleep(0.1)
        else:
            return
