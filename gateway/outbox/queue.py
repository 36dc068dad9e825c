"""The outbox: what is to be sent, in lanes. One command per lane is on its way at a time, in the order of writing."""

import uuid
from datetime import timedelta
from typing import Any, Final

from shared.commands import AnyCommand

PUT: Final = """
    INSERT INTO outbox (shop_id, lane, kind, channel_id, channel_type, message_id, command, pace, priority,
                        deadline_at, attempts, attempts_before)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() + $10::interval, $11, $11)
"""
# An upload may rightly take minutes, and so may a mail server.
TAKES_LONG: Final = """
    outbox.pace = 'mail' OR outbox.kind = 'send_message' AND EXISTS (
        SELECT 1 FROM messages m WHERE (m.shop_id, m.id) = (outbox.shop_id, outbox.message_id)
        AND (m.content->>'kind' IN ('media', 'album') OR m.content->>'header_media' IS NOT NULL
             OR jsonb_array_length(coalesce(m.content->'attachments', '[]')) > 0))
"""
# The head of each lane that is due, in time and not in anyone's hands. A row that another relay has locked is skipped,
# and hides the rows behind it, since those see it as unfinished.
CLAIM: Final = f"""
    UPDATE outbox SET state = 'sending', attempts = attempts + 1,
        lease_until = now() + CASE WHEN {TAKES_LONG} THEN $4::interval ELSE $2::interval END
    WHERE (shop_id, id) IN (
        SELECT o.shop_id, o.id FROM outbox o JOIN channels c ON (c.shop_id, c.id) = (o.shop_id, o.channel_id)
        WHERE o.state = 'ready' AND o.available_at <= now() AND o.deadline_at > now() AND c.state = 'active'
          AND (o.kind = 'fetch_media') = $3
          AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.lane = o.lane AND p.id < o.id)
        ORDER BY o.priority, o.id LIMIT $1 FOR UPDATE OF o SKIP LOCKED
    )
    RETURNING *
"""  # noqa: S608
DONE: Final = "DELETE FROM outbox WHERE shop_id = $1 AND id = $2"
RELEASE: Final = """
    UPDATE outbox SET state = 'ready', lease_until = NULL, mark = NULL, available_at = now() + $3::interval
    WHERE shop_id = $1 AND id = $2 AND attempts = $4 AND state = 'sending'
"""
# That we read up to here says that we read all before it: the newest mark of a lane is enough.
SUPERSEDE: Final = "DELETE FROM outbox WHERE shop_id = $1 AND lane = $2 AND kind = 'mark_read' AND state = 'ready'"
SUPERSEDED: Final = """
    DELETE FROM outbox o WHERE o.shop_id = $1 AND o.id = $2 AND o.kind = 'mark_read' AND o.state = 'ready'
      AND EXISTS (SELECT 1 FROM outbox n WHERE n.lane = o.lane AND n.id > o.id)
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
    attempts_before: int = 0,
) -> None:
    """Queue a command, in the transaction of what it belongs to. Its attempts are counted on from `attempts_before`."""
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
        attempts_before,
    )


def backoff_s(pace: str, attempt: int) -> float:
    steps = BACKOFF_S[pace]
    return float(steps[min(attempt, len(steps)) - 1])
