"""What is written of a report: lines of the ledger, and the provider's ids of what went out."""

import uuid
from dataclasses import dataclass
from typing import Any

from shared.events import Evidence, Reason, Status
from shared.ids import MESSAGE, MalformedId, read_id


@dataclass(slots=True)
class Row:
    """A line to write. `message_id` None parks it until the message is known, which `account` and `peer` help to find.

    `generation` None: that of the attempt, or the present one. `covers_earlier`: a watermark at `external_id`.
    """

    shop_id: uuid.UUID
    channel_id: uuid.UUID
    message_id: uuid.UUID | None
    status: Status
    evidence: Evidence
    occurred_at: Any
    external_id: str | None = None
    part: int | None = None
    attempt: int | None = None
    reason: Reason | None = None
    generation: int | None = None
    account: str | None = None
    peer: str | None = None
    covers_earlier: bool = False


@dataclass(frozen=True, slots=True)
class Carried:
    """A part of a message and the id that the provider gave it. `attempt` None: somebody else told us."""

    shop_id: uuid.UUID
    message_id: uuid.UUID
    part: int
    channel_id: uuid.UUID
    external_id: str
    attempt: int | None = None


def own_id(text: str | None) -> uuid.UUID | None:
    """The key of a message of ours, if that is what is named."""
    try:
        return read_id(MESSAGE, text or "")
    except MalformedId:
        return None
