"""A customer as a channel reports them: events on the bus, without the channel's own protocol."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from shopbell_client import Conversation, Message

from shared.content import Text
from shared.events import (
    Address,
    Evidence,
    InboundEvent,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ReceiptReported,
    Status,
)
from shared.subjects import INBOUND, InboundBatch
from tests.support.product import Running, Shop

NUMBERS = itertools.count(1)


def fresh(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{next(NUMBERS)}"


@dataclass(frozen=True)
class Customer:
    """One partner on a channel of a shop."""

    running: Running
    shop: Shop
    peer: str = field(default_factory=lambda: fresh("peer"))
    channel: str = ""
    channel_type: str = "webchat"
    account: str = ""

    @property
    def channel_id(self) -> str:
        return self.channel or self.shop.channel

    @property
    def address(self) -> Address:
        return Address(channel=self.channel_type, account=self.account or self.channel_id, peer=self.peer)

    async def tell(self, *events: InboundEvent) -> None:
        """Hand events over, as the channel's connector does; returns once they are safe."""
        await self.running.core.bus.publish(INBOUND, InboundBatch(channel_id=self.channel_id, events=events))

    def message(self, text: str, external_id: str | None = None, **more: Any) -> MessageReceived:
        return MessageReceived(
            address=self.address,
            occurred_at=datetime.now(UTC),
            raw=text.encode(),
            external_id=external_id or fresh("in"),
            content=Text(text=text),
            **more,
        )

    def edit(self, external_id: str, text: str, version: str = "1") -> MessageEdited:
        return MessageEdited(
            address=self.address,
            occurred_at=datetime.now(UTC),
            external_id=external_id,
            content=Text(text=text),
            version=version,
        )

    def deletion(self, external_id: str) -> MessageDeleted:
        return MessageDeleted(address=self.address, occurred_at=datetime.now(UTC), external_id=external_id)

    def receipt(
        self, status: Status, *external_ids: str, evidence: Evidence = Evidence.PROVIDER_RECEIPT, **more: Any
    ) -> ReceiptReported:
        return ReceiptReported(
            address=self.address,
            occurred_at=more.pop("occurred_at", datetime.now(UTC)),
            status=status,
            evidence=evidence,
            external_ids=external_ids,
            **more,
        )

    async def writes(self, text: str, external_id: str | None = None) -> Message:
        """Say something; the message as the shop sees it."""
        await self.tell(self.message(text, external_id))
        conversation = await self.conversation()
        return (await self.shop.client.messages.list(conversation.id, limit=1)).items[-1]

    async def conversation(self) -> Conversation:
        """The newest conversation with this customer."""
        (contact,) = [
            contact
            async for contact in self.shop.client.contacts.iterate(limit=200)
            if any(identity.peer == self.peer for identity in contact.identities)
        ]
        return (await self.shop.client.conversations.list(contact=contact.id)).items[0]
