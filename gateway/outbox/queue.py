"""The outbox: what is to be sent, in lanes. One command per lane is on its way at a time, in the order of writing."""

import uuid
from datetime import timedelta
from typing import Any, Final

from shared.commands import AnyCommand

PUT: Final = """
    INSERT INTO outbox (shop_id, lane, kind, channel_id, channel_type, message_id, command, pace, priority,
                        deadline_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10::interval)
"""
# The head of each lane that is due and not in anyone's hands. A row that another relay has locked is skipped, and hides
# the rows behind it, since those see it as unfinished.
CLAIM: Final = """
    UPDATE outbox SET state = 'sending', attempts = attempts + 1,
        lease_until = now() + CASE kind WHEN 'fetch_media' THEN $3::interval ELSE $2::interval END
    WHERE (shop_id, id) IN (
        SELECT o.shop_id, o.id FROM outbox o JOIN channels c ON (c.shop_id, c.id) = (o.shop_id, o.channel_id)
        WHERE o.state = 'ready' AND o.available_at <= now() AND c.state = 'active'
          AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.lane = o.lane AND p.id < o.id)
        ORDER BY o.priority, o.id LIMIT $1 FOR UPDATE OF o SKIP LOCKED
    )
    RETURNING *
"""
DONE: Final = "DELETE FROM outbox WHERE shop_id = $1 AND id = $2"
LAPSED: Final = """
    SELECT shop_id, id, kind, channel_id, channel_type, message_id, attempts FROM outbox
    WHERE state = 'sending' AND lease_until < now() ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED
"""

REPLY: Final = 0  # priority of answers; bulk comes after them
BACKOFF_S: Final = {
    "chat": (1, 2, 5, 10, 30, 60, 120, 300),
    "mail": (60, 300, 900, 1800, 3600, 7200),
    "file": (1, 5, 30, 120, 600),
}
DEADLINE: Final = {"chat": timedelta(hours=1), "mail": timedelta(days=2), "file": timedelta(hours=12)}


async def put(
    raw: Any,
    command: AnyCommand,
    *,
    shop_id: uuid.UUID,
    lane: str,
    channel_id: uuid.UUID,
    channel_type: str,
    message_id: uuid.UUID | None = None,
    pace: str = "chat",
) -> None:
    """Queue a command, in the transaction of what it belongs to."""
    await raw.execute(
        PUT,
        shop_id,
        lane,
        command.kind,
        channel_id,
        channel_type,
        message_id,
        command.model_dump_json(),
        pace,
        REPLY,
        DEADLINE[pace],
    )


def backoff_s(pace: str, attempt: int) -> float:
    steps = BACKOFF_S[pace]
    return float(steps[min(attempt, len(steps)) - 1])
