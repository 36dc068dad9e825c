"""An event on its way in: which channel brought it, and the key under which it is journaled."""

import hashlib
import uuid
from dataclasses import dataclass

from shared.events import InboundEvent, Reason, ReceiptReported, TypingReported, Undigested, dedupe_key
from shared.ids import new_uuid


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """What landing needs to know of a channel. `account` is our end of it, where the provider names it."""

    id: uuid.UUID
    shop_id: uuid.UUID
    type: str
    account: str | None = None


@dataclass(slots=True)
class Arrival:
    """`number` is the key of its journal row; a fresh one sorts after all earlier ones of this process.

    `journaled`: that row is there already and holds this very event, which is replayed from quarantine.
    `held`: why it goes to quarantine instead of landing.
    """

    channel: ChannelInfo
    event: InboundEvent
    number: uuid.UUID
    dedupe: bytes
    journaled: bool = False
    held: Reason | None = None


def arrive(channel: ChannelInfo, event: InboundEvent) -> Arrival:
    # 16 bytes of BLAKE2 keep the unique index small whatever the provider calls its ids.
    dedupe = hashlib.blake2b(dedupe_key(event).encode(), digest_size=16).digest()
    held = event.reason if isinstance(event, Undigested) else None
    return Arrival(channel, event, new_uuid(), dedupe, held=held)


def is_journaled(event: InboundEvent) -> bool:
    """What providers tell us is journaled; what our own connector says of its own attempt, and typing, is not."""
    match event:
        case TypingReported():
            return False
        case ReceiptReported():
            return event.outcome is None
        case _:
            return True
