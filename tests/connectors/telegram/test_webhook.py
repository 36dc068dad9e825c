"""Telegram calls us: set up, proof, order, and what is repeated."""

from collections.abc import AsyncIterator, Sequence
from typing import cast

import httpx
import pytest

from connectors.ingress import ingress_app
from connectors.telegram.connector import Telegram
from connectors.telegram.inbound import ALLOWED_UPDATES
from connectors.telegram.simulator import TelegramSimulator
from shared.connector import Connector, Host
from shared.content import Text
from shared.errors import BusUnavailable, Rejected, Unavailable
from shared.events import InboundEvent, MessageReceived
from shared.simulator import post_hook
from tests.connectors.telegram.given import ANN, TOKEN, WEBHOOK_SECRET, connect, telegram_config, telegram_simulator

URL = "https://shop.example/hooks/telegram/chn_1"


class OneChannel:
    """A host of one connector, which keeps what is published, or not when it is told so."""

    def __init__(self, simulator: TelegramSimulator) -> None:
        self.events: list[InboundEvent] = []
        self.refuse_next = 0
        self.acknowledged: list[InboundEvent] = []
        config = telegram_config(mode="webhook")
        self.connector: Telegram = connect(simulator, publish=self.publish, config=config, hook_url=URL)

    async def publish(self, events: Sequence[InboundEvent], /) -> None:
        if self.refuse_next:
            self.refuse_next -= 1
            raise BusUnavailable("not now")
        self.events += events

    async def find(self, channel_type: str, channel_id: str) -> Connector:
        return self.connector

    def acknowledge(self, connector: Connector, events: Sequence[InboundEvent]) -> None:
        self.acknowledged += events

    @property
    def texts(self) -> list[str]:
        said = [event.content for event in self.events if isinstance(event, MessageReceived)]
        return [content.text for content in said if isinstance(content, Text)]


@pytest.fixture
def server() -> TelegramSimulator:
    return telegram_simulator()


@pytest.fixture
def host(server: TelegramSimulator) -> OneChannel:
    return OneChannel(server)


@pytest.fixture
async def http(host: OneChannel) -> AsyncIterator[httpx.AsyncClient]:
    app = ingress_app(cast(Host, host), {})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        yield client


async def test_listening_sets_the_webhook_and_is_done(server: TelegramSimulator, host: OneChannel) -> None:
    await host.connector.listen()
    assert server.webhook == {"url": URL, "secret_token": WEBHOOK_SECRET}
    assert server.allowed == frozenset(ALLOWED_UPDATES)


async def test_without_a_public_address_nothing_is_set(server: TelegramSimulator) -> None:
    connector = connect(server, config=telegram_config(mode="webhook"))
    with pytest.raises(Unavailable, match="SHOPBELL_PUBLIC_URL"):
        await connector.listen()
    assert (await connector.check()).problems == (
        "Webhook mode needs a public HTTPS address: set SHOPBELL_PUBLIC_URL, or use polling.",
    )


async def test_an_address_without_tls_is_refused_by_telegram_in_words(server: TelegramSimulator) -> None:
    connector = connect(server, config=telegram_config(mode="webhook"), hook_url="http://shop.example/hook")
    with pytest.raises(Rejected, match="HTTPS"):
        await connector.listen()


async def test_each_chat_is_told_in_order_though_the_first_tries_fail(
    server: TelegramSimulator, host: OneChannel, http: httpx.AsyncClient
) -> None:
    await host.connector.listen()
    ann, bob = server.customer(ANN), server.customer(5, name="Bob")
    for number in range(5):
        ann.writes(f"ann {number}")
        bob.writes(f"bob {number}")
    host.refuse_next = 4
    await server.tell(http)
    assert not server.lost
    for name in ("ann", "bob"):
        assert [text for text in host.texts if text.startswith(name)] == [f"{name} {number}" for number in range(5)]


async def test_a_press_is_acknowledged_when_it_is_safe(
    server: TelegramSimulator, host: OneChannel, http: httpx.AsyncClient
) -> None:
    await host.connector.listen()
    server.happen("callback_query", {"id": "77", "from": {"id": ANN}, "chat_instance": "1", "data": "r"})
    await server.tell(http)
    await host.connector.taken(host.acknowledged)
    assert server.answered == ["77"]


async def test_an_update_that_cannot_be_read_is_kept_and_not_told_for_a_day(
    server: TelegramSimulator, host: OneChannel, http: httpx.AsyncClient
) -> None:
    await host.connector.listen()
    server.happen("message", {"text": "whose?", "chat": {}})
    await server.tell(http, tries=1)
    assert not server.lost
    assert [event.kind for event in host.events] == ["undigested"]


async def test_who_does_not_know_the_secret_is_not_heard(
    server: TelegramSimulator, host: OneChannel, http: httpx.AsyncClient
) -> None:
    stranger = TelegramSimulator(token=TOKEN, webhook_secret="guess")
    server.customer(ANN).writes("Hi")
    assert await post_hook(http, URL, stranger.hook(server.waiting)) == 401
    assert await post_hook(http, URL, server.hook(server.waiting)) == 200
    assert host.texts == ["Hi"]
