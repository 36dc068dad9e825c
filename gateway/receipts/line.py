"""One line of the receipt ledger, before it is written."""

import uuid
from dataclasses import dataclass
from typing import Any

from shared.events import Evidence, Reason, Status


@dataclass(slots=True)
class Row:
    """A line to write. `message_id` None parks it until the message is known."""

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
