"""What the tests of Telegram have in common: settings, a server, updates as Telegram words them, a connector."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from pydantic import SecretStr

from connectors.telegram.config import TelegramConfig
from connectors.telegram.connector import Telegram
from connectors.telegram.inbound import parse_payload
from connectors.telegram.simulator import TelegramSimulator
from shared.bus import LocalBus
from shared.commands import SendMessage
from shared.connector import Port, Publish
from shared.content import Content
from shared.errors import Rejected
from shared.events import Address, InboundEvent
from shared.model import StrictModel
from shared.outgoing import outgoing_socket
from shared.simulator import Fact
from tests.support.ports import Remembered

BOT: Final = "7001"
TOKEN: Final = f"{BOT}:canary-token-a81f3c"
WEBHOOK_SECRET: Final = "canary-webhook-7be290"
ANN: Final = 4242
CONNECTION: Final = "bc-olga"
AT: Final = 1_790_000_000


def telegram_config(**changes: Any) -> TelegramConfig:
    known = {"token": SecretStr(TOKEN), "webhook_secret": SecretStr(WEBHOOK_SECRET)}
    return TelegramConfig.model_validate(known | changes)


def telegram_simulator(**changes: Any) -> TelegramSimulator:
    """With a customer who has written to the bot and to a business account, one message each."""
    simulator = TelegramSimulator(token=TOKEN, webhook_secret=WEBHOOK_SECRET, **changes)
    simulator.customer(ANN).writes("Hello")
    simulator.customer(ANN, connection=CONNECTION).writes("Hello, Olga")
    simulator.waiting.clear()
    return simulator


def update(number: int, kind: str, **said: Any) -> Fact:
    return {"update_id": number, kind: said}


def message(number: int, *, customer: int = ANN, **content: Any) -> dict[str, Any]:
    """A message in a private chat, as Telegram words it."""
    person = {"id": customer, "first_name": "Ann", "last_name": "Lee", "username": "annlee"}
    return {
        "message_id": number,
        "date": AT + number,
        "chat": {"type": "private", **person},
        "from": {"is_bot": False, "language_code": "en", **person},
        **content,
    }


FACTS: Final[tuple[Fact, ...]] = (
    update(1, "message", **message(11, text="Is it in stock?")),
    update(2, "edited_message", **message(11, text="Is the red one in stock?", edit_date=AT + 20)),
    update(
        3,
        "message",
        **message(
            12,
            photo=[
                {"file_id": "small", "file_unique_id": "s", "width": 90, "height": 60, "file_size": 1000},
                {"file_id": "large", "file_unique_id": "l", "width": 900, "height": 600, "file_size": 90_000},
            ],
            caption="This one",
            caption_entities=[{"type": "bold", "offset": 0, "length": 4}],
            media_group_id="g1",
        ),
    ),
    update(
        4,
        "callback_query",
        id="990011",
        chat_instance="1",
        data="red",
        **{"from": message(1)["from"]},
        message=message(
            13, text="Which?", reply_markup={"inline_keyboard": [[{"text": "Red", "callback_data": "red"}]]}
        ),
    ),
    update(5, "business_message", **message(11, text="Hello, Olga", business_connection_id=CONNECTION)),
    update(
        6,
        "deleted_business_messages",
        business_connection_id=CONNECTION,
        chat={"id": ANN, "type": "private"},
        message_ids=[11, 12],
    ),
    update(
        7,
        "message_reaction",
        chat=message(1)["chat"],
        user=message(1)["from"],
        message_id=13,
        date=AT + 30,
        old_reaction=[],
        new_reaction=[{"type": "emoji", "emoji": "👍"}],
    ),
    update(8, "message", **message(14, text="/start summer-sale")),
    update(9, "message", **message(15, location={"latitude": 52.5, "longitude": 13.4})),
)


def parse_one(fact: Fact) -> InboundEvent:
    (event,) = parse_payload(json.dumps(fact).encode(), account=BOT)
    return event


@dataclass
class Shelf:
    """Files by the name of their attachment."""

    files: dict[str, bytes] = field(default_factory=lambda: {"att_1": b"one", "att_2": b"two", "att_3": b"three"})

    async def keep(self, name: str, content: bytes, /) -> None:
        raise AssertionError("nothing is kept here")

    async def read(self, attachment: str, /) -> bytes:
        if attachment not in self.files:
            raise Rejected("The file is not here.")
        return self.files[attachment]


async def publish_nothing(events: Sequence[InboundEvent], /) -> None:
    raise AssertionError("nothing was to be published")


def connect(
    simulator: TelegramSimulator | None = None,
    *,
    publish: Publish = publish_nothing,
    config: StrictModel | None = None,
    hook_url: str | None = None,
    http: httpx.AsyncClient | None = None,
    clock: Callable[[], datetime] = lambda: datetime(2026, 11, 24, tzinfo=UTC),
) -> Telegram:
    transport = simulator.transport() if simulator else httpx.MockTransport(lambda request: httpx.Response(500))
    return Telegram(
        Port(
            channel_id="chn_1",
            config=config or telegram_config(),
            publish=publish,
            bus=LocalBus(),
            http=http or httpx.AsyncClient(transport=transport),
            clock=clock,
            files=Shelf(),
            dial=outgoing_socket(private=True),
            place=Remembered(),
            hook_url=hook_url,
        )
    )


def reply(content: Content, *, peer: int = ANN, thread: str | None = None, **more: Any) -> SendMessage:
    address = Address(channel="telegram", account=BOT, peer=str(peer), thread=thread)
    return SendMessage(address=address, message_id=more.pop("message_id", "msg_1"), content=content, **more)
