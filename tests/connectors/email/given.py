"""What the tests of e-mail start from: a connector of its own, a command, and a mail."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from pydantic import SecretStr

from connectors.email.config import EmailConfig
from connectors.email.connector import Email
from shared.bus import LocalBus
from shared.commands import SendMessage
from shared.connector import Port
from shared.content import Content, Text
from shared.errors import Rejected
from shared.events import Address, InboundEvent
from shared.ids import MESSAGE, show_id
from shared.outgoing import outgoing_socket
from tests.support.ports import Remembered

MAILBOX: Final = "help@shop.example"
PASSWORD: Final = "canary-password-77e1"
HOOK_SECRET: Final = "canary-hook-secret-19ab"
SIGNING_KEY: Final = "canary-signing-key-5512"

MAIL: Final = (
    b"From: Ann <ann@example.org>\r\nTo: help@shop.example\r\nSubject: Size\r\nMessage-ID: <a1@example.org>\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\nIs it in stock?\r\n"
)
NOW: Final = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MESSAGE_ID: Final = show_id(MESSAGE, uuid.UUID(int=7))


class Shelf:
    """Files in memory: attachments, and what the connector keeps."""

    def __init__(self, **files: bytes) -> None:
        self.files = dict(files)

    async def keep(self, name: str, content: bytes, /) -> None:
        self.files[name] = content

    async def read(self, attachment: str, /) -> bytes:
        if attachment not in self.files:
            raise Rejected(f"The file {attachment} is not here.")
        return self.files[attachment]


def settings(**more: Any) -> EmailConfig:
    return EmailConfig(
        **{
            "address": MAILBOX,
            "name": "Shop",
            "password": SecretStr(PASSWORD),
            "hook_secret": SecretStr(HOOK_SECRET),
            "signing_key": SecretStr(SIGNING_KEY),
            "smtp_host": "127.0.0.1",
            "smtp_security": "none",
            **more,
        }
    )


class Given(Email):
    """The connector, with what it published, where it has come to, and its files."""

    def __init__(
        self, config: EmailConfig, *, http: httpx.AsyncClient | None = None, shelf: Shelf | None = None
    ) -> None:
        self.published: list[InboundEvent] = []
        self.place = Remembered()
        self.shelf = shelf or Shelf()

        async def publish(events: Sequence[InboundEvent], /) -> None:
            self.published += events

        super().__init__(
            Port(
                channel_id="chn_1",
                config=config,
                publish=publish,
                bus=LocalBus(),
                http=http or httpx.AsyncClient(),
                clock=lambda: NOW,
                files=self.shelf,
                dial=outgoing_socket(private=True),
                place=self.place,
            )
        )


def reply(content: Content | str, *, to: str = "ann@example.org", **more: Any) -> SendMessage:
    said = Text(text=content) if isinstance(content, str) else content
    notes = {"message_id": "a1@example.org", "references": ["a0@example.org"], "subject": "Size of the boots"}
    given = {"context": notes, "message_id": MESSAGE_ID, "author_name": "Olga", **more}
    return SendMessage(address=Address(channel="email", account=MAILBOX, peer=to), content=said, **given)
