"""What the tests of WhatsApp have in common: settings, a server, items as Meta words them, a connector."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from pydantic import JsonValue, SecretStr

from connectors.whatsapp.config import WhatsAppConfig
from connectors.whatsapp.connector import WhatsApp
from connectors.whatsapp.inbound import parse_payload
from connectors.whatsapp.simulator import WhatsAppSimulator
from shared.bus import LocalBus
from shared.commands import SendMessage
from shared.connector import Port, Publish
from shared.content import Content
from shared.errors import Rejected
from shared.events import Address, InboundEvent
from shared.outgoing import outgoing_socket
from shared.simulator import Fact
from tests.support.ports import Remembered

NUMBER: Final = "1060000000001"
BUSINESS: Final = "2070000000002"
TOKEN: Final = "canary-access-5f21aa"
APP_SECRET: Final = "canary-app-secret-90be"
VERIFY_TOKEN: Final = "canary-verify-77cd"
PHONE: Final = "385911234567"
ANA: Final = "HR.1349120"
PARENT: Final = "HR.ENT.77"
AT: Final = 1_790_000_000
QUESTION: Final = "wamid.ZmlXc3Q"

SECRETS: Final = {
    "access_token": SecretStr(TOKEN),
    "app_secret": SecretStr(APP_SECRET),
    "verify_token": SecretStr(VERIFY_TOKEN),
}


def whatsapp_config(**changes: Any) -> WhatsAppConfig:
    known = {"phone_number_id": NUMBER, "waba_id": BUSINESS, **SECRETS}
    return WhatsAppConfig.model_validate(known | changes)


def whatsapp_simulator(**changes: Any) -> WhatsAppSimulator:
    """With a customer who has written once, and a template."""
    simulator = WhatsAppSimulator(
        phone_number_id=NUMBER, waba_id=BUSINESS, access_token=TOKEN, app_secret=APP_SECRET, **changes
    )
    ana = simulator.customer(PHONE, user_id=ANA)
    ana.writes("Hello")
    (question,) = ana.seen.values()
    ana.seen = {QUESTION: question}
    question.id = QUESTION
    simulator.templates.append(template("welcome", body="Welcome back"))
    simulator.subscribed = True
    simulator.waiting.clear()
    return simulator


def template(name: str, *, body: str, language: str = "en", status: str = "APPROVED") -> Fact:
    parts: list[JsonValue] = [{"type": "BODY", "text": body}]
    return {"name": name, "language": language, "status": status, "category": "UTILITY", "components": parts}


def message(id: str, kind: str = "text", *, named: dict[str, Any] | None = None, **content: Any) -> dict[str, Any]:
    """A message as Meta words it."""
    who = {"from": PHONE, "from_user_id": ANA} if named is None else named
    return {**who, "id": id, "timestamp": str(AT), "type": kind, **content}


def status(id: str, told: str, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        "status": told,
        "timestamp": str(AT),
        "recipient_id": PHONE,
        "recipient_user_id": ANA,
        **more,
    }


CONTACT: Final[dict[str, Any]] = {
    "profile": {"name": "Ana", "username": "@ana.split"},
    "wa_id": PHONE,
    "user_id": ANA,
}


def value(**items: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "385 99 000 0000", "phone_number_id": NUMBER}
    return {"messaging_product": "whatsapp", "metadata": metadata, **items}


def webhook(*changes: Any, field: str = "messages", **items: Any) -> bytes:
    """A request with these changes, or with one that holds these items and Ana's contact."""
    told = list(changes) or [{"field": field, "value": value(**{"contacts": [CONTACT], **items})}]
    return json.dumps({"object": "whatsapp_business_account", "entry": [{"id": BUSINESS, "changes": told}]}).encode()


def parsed(body: bytes) -> list[InboundEvent]:
    return parse_payload(body, account=NUMBER, business=BUSINESS)


def parse_one(item: dict[str, Any], *, kind: str = "messages", field: str = "messages", **beside: Any) -> InboundEvent:
    (event,) = parsed(webhook(field=field, **{kind: [item], **beside}))
    return event


def fact(item: dict[str, Any], *, kind: str = "messages", field: str = "messages") -> Fact:
    return {"field": field, "kind": kind, "item": item, "contact": None if kind == "statuses" else CONTACT}


FACTS: Final[tuple[Fact, ...]] = (
    fact(message("wamid.1", text={"body": "Is it in stock?"})),
    fact(message("wamid.2", "image", image={"id": "77", "mime_type": "image/jpeg", "sha256": "x", "caption": "This"})),
    fact(message("wamid.3", "location", location={"latitude": 45.8, "longitude": 15.9, "name": "The shop"})),
    fact(
        message(
            "wamid.4",
            "interactive",
            interactive={"type": "button_reply", "button_reply": {"id": "r", "title": "Red"}},
            context={"from": "385990000000", "id": "wamid.ours"},
        )
    ),
    fact(message("wamid.5", "reaction", reaction={"message_id": "wamid.ours", "emoji": "👍"})),
    fact(message("wamid.6", "edit", edit={"original_message_id": "wamid.1", "message": {"text": {"body": "New?"}}})),
    fact(message("wamid.7", "revoke", revoke={"original_message_id": "wamid.2"})),
    fact(message("wamid.8", "hologram", hologram={"light": "blue"})),
    fact(status("wamid.ours", "sent"), kind="statuses"),
    fact(status("wamid.ours", "delivered"), kind="statuses"),
    fact(status("wamid.ours", "read"), kind="statuses"),
    fact(status("wamid.ours2", "failed", errors=[{"code": 131026, "title": "Undeliverable"}]), kind="statuses"),
    fact(
        {"from": "385990000000", "to": PHONE, "to_user_id": ANA, "id": "wamid.9", "timestamp": str(AT), "type": "text"}
        | {"text": {"body": "By phone"}},
        kind="message_echoes",
        field="smb_message_echoes",
    ),
    {"field": "message_template_status_update", "value": {"event": "PAUSED", "message_template_name": "welcome"}},
)


@dataclass
class Shelf:
    """Files by the name of their attachment."""

    files: dict[str, bytes] = field(default_factory=lambda: {"att_1": b"one", "att_2": b"two", "att_3": b"three"})

    broken: set[str] = field(default_factory=set)

    async def keep(self, name: str, content: bytes, /) -> None:
        raise AssertionError("nothing is kept here")

    async def read(self, attachment: str, /) -> bytes:
        if attachment in self.broken:
            raise OSError("no space left on the device")
        if attachment not in self.files:
            raise Rejected("The file is not here.")
        return self.files[attachment]


async def publish_nothing(events: Sequence[InboundEvent], /) -> None:
    raise AssertionError("nothing was to be published")


def connect(
    simulator: WhatsAppSimulator | None = None,
    *,
    publish: Publish = publish_nothing,
    config: WhatsAppConfig | None = None,
    hook_url: str | None = "https://shop.example/hooks/whatsapp/chn_1",
    http: httpx.AsyncClient | None = None,
    clock: Callable[[], datetime] = lambda: datetime(2026, 11, 24, tzinfo=UTC),
) -> WhatsApp:
    transport = simulator.transport() if simulator else httpx.MockTransport(lambda request: httpx.Response(500))
    return WhatsApp(
        Port(
            channel_id="chn_1",
            config=config or whatsapp_config(),
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


def reply(content: Content, *, peer: str = ANA, **more: Any) -> SendMessage:
    address = Address(channel="whatsapp", account=NUMBER, peer=peer)
    return SendMessage(address=address, message_id=more.pop("message_id", "msg_1"), content=content, **more)
