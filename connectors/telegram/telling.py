"""One update on its way to our words: what it says, and where that was said. Pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiogram.types import Message, Update
from pydantic import JsonValue

from connectors.telegram.capabilities import BUSINESS, CHANNEL
from connectors.telegram.message_ids import external_id
from connectors.telegram.reading import read_update
from shared.events import UNDATED, Address, Reason, Undigested
from shared.model import to_utc

CALLBACK: Final = "callback"  # the note that names a press which waits for an answer
CHAT: Final = "chat"  # the note that names the chat, where it is not the peer
TOPIC: Final = "topic"  # the note that names the customer's topic in a channel's direct messages
GROUPS: Final = frozenset({"group", "supergroup"})


class Unreadable(Exception):
    """The update does not name the chat or the message it is about."""


@dataclass(frozen=True)
class Telling:
    """An update, or one kind of news in it: `said` is that as JSON."""

    data: Mapping[str, Any]
    raw: bytes
    account: str | None
    said: Mapping[str, Any] = field(default_factory=dict)
    update: Update = field(default_factory=lambda: Update.model_construct(update_id=0))

    def of(self, kind: str) -> "Telling":
        said = self.data[kind]
        if not isinstance(said, dict):
            raise Unreadable(kind)
        update = read_update({"update_id": self.data.get("update_id", 0), kind: said})
        return Telling(self.data, self.raw, self.account, said, update)

    @property
    def number(self) -> str:
        """What tells this update from every other, also when it comes again."""
        number = self.data.get("update_id")
        return f"u{number}" if isinstance(number, int) else hashlib.blake2b(self.raw, digest_size=8).hexdigest()

    def common(self, peer: str, at: datetime | None, thread: str | None = None) -> dict[str, Any]:
        """What every event has."""
        address = Address(channel=CHANNEL, account=self.account or "", peer=peer, thread=thread)
        return {"address": address, "occurred_at": moment(at), "raw": self.raw}

    def undigested(self, detail: str) -> Undigested:
        reason = Reason(code="unreadable", detail=detail)
        return Undigested(**self.common("unknown", None), external_id=self.number, reason=reason)


@dataclass(frozen=True)
class Place:
    """Where something was said. `scope` is where its number counts, `notes` what an answer needs to get there."""

    peer: str
    thread: str | None = None
    scope: str = ""
    notes: Mapping[str, JsonValue] = field(default_factory=dict)

    def id(self, number: int) -> str:
        return external_id(number, self.scope)


def place_of(message: Message) -> Place:
    topic = message.direct_messages_topic
    if topic is not None:  # a channel's direct messages: one chat, in which every customer has a topic
        chat = str(message.chat.id)
        peer = str(topic.user.id) if topic.user else f"{chat}/{topic.topic_id}"
        return Place(peer, scope=chat, notes={CHAT: chat, TOPIC: topic.topic_id})
    thread = str(message.message_thread_id) if message.is_topic_message and message.message_thread_id else None
    if message.business_connection_id:
        connection = message.business_connection_id
        return Place(str(message.chat.id), thread, connection, {BUSINESS: connection})
    return Place(str(message.chat.id), thread)


def names(said: Mapping[str, Any], name: str) -> bool:
    """Whether it has this number; one that cannot be read would be the same as another that cannot."""
    value = said.get(name)
    return type(value) is int or (isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value) is not None)


def names_chat(said: Mapping[str, Any]) -> bool:
    chat = said.get("chat")
    return isinstance(chat, dict) and names(chat, "id")


def moment(at: datetime | None) -> datetime:
    """In UTC; for what is no time, the beginning of all times: the event must not be lost for it."""
    if at is None:
        return UNDATED
    try:
        return to_utc(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
    except ValueError:
        return UNDATED
