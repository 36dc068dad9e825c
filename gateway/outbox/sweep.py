"""What was left behind in the outbox: attempts that were interrupted, and commands whose time or channel is over."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.outbox.queue import DONE, RELEASE
from gateway.receipts import ledger, matching
from gateway.receipts.line import Row
from gateway.receipts.outcomes import marked
from gateway.receipts.parts import first_part, kept_back
from shared.commands import FetchMedia, SendMessage
from shared.connector import ChannelType
from shared.events import Evidence, Fate, Reason, Status
from shared.ids import CHANNEL, show_id
from shared.subjects import MediaReport

LAPSED: Final = """
    SELECT shop_id, id, kind, channel_id, channel_type, message_id, attempts, attempts_before, command,
           mark::text AS mark,
           deadline_at <= now() AS late
    FROM outbox WHERE state = 'sending' AND lease_until < now() ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED
"""
OVER: Final = """
    SELECT o.shop_id, o.id, o.kind, o.channel_id, o.message_id, o.attempts, o.attempts_before, o.command,
           o.last_reason::text AS last_reason, h.state AS channel_state, h.deleted_at IS NOT NULL AS deleted
    FROM outbox o JOIN channels h ON (h.shop_id, h.id) = (o.shop_id, o.channel_id)
    WHERE o.state = 'ready' AND o.kind <> 'fetch_media' AND (o.deadline_at <= now() OR h.deleted_at IS NOT NULL)
    ORDER BY o.id LIMIT 500 FOR UPDATE OF o SKIP LOCKED
"""
# The command stays until the report of its end has been taken in: asked again in a minute, until it is gone.
OVER_FILES: Final = """
    UPDATE outbox SET available_at = now() + interval '1 minute'
    WHERE (shop_id, id) IN (
        SELECT o.shop_id, o.id FROM outbox o JOIN channels h ON (h.shop_id, h.id) = (o.shop_id, o.channel_id)
        WHERE o.state = 'ready' AND o.kind = 'fetch_media' AND o.available_at <= now()
          AND (o.deadline_at <= now() OR h.deleted_at IS NOT NULL)
        ORDER BY o.id LIMIT 100 FOR UPDATE OF o SKIP LOCKED
    )
    RETURNING channel_id, command, attempts
"""
UNCERTAIN: Final = Reason(
    code="lease_lapsed", detail="The attempt was interrupted and nobody knows whether it arrived; ask or send it again."
)
DELETED: Final = Reason(code="channel_deleted", detail="The channel was deleted before the message could be sent.")
NO_FILE: Final = Reason(code="deadline", detail="it could not be fetched in time.")


@dataclass(slots=True)
class Swept:
    """What there is to tell of once the transaction is committed. `freed`: something may go out that could not."""

    events: list[NewEvent]
    freed: bool
    lost_files: list[MediaReport] = field(default_factory=list)


async def sweep(connection: AsyncConnection, types: Mapping[str, ChannelType]) -> Swept:
    """Repeat or doubt what was interrupted, fail what is over, and match receipts that came too early."""
    raw = await driver(connection)
    lapsed, over = await raw.fetch(LAPSED), await raw.fetch(OVER)
    lines = [*await settle_lapsed(raw, lapsed, types), *await fail_over(raw, over)]
    await ledger.record(raw, lines)
    touched = {(line.shop_id, line.message_id) for line in lines if line.message_id}
    touched |= await ledger.take_over(raw, await matching.adopt_recent(raw))
    events = await ledger.settle(connection, touched)
    lost_files = [lost_file(row) for row in await raw.fetch(OVER_FILES)]
    await append(raw, events)
    return Swept(events, bool(lapsed or over), lost_files)


async def settle_lapsed(raw: Any, lapsed: Sequence[Any], types: Mapping[str, ChannelType]) -> list[Row]:
    lines = []
    for row in lapsed:
        if may_repeat(row, types):
            await raw.execute(RELEASE, row["shop_id"], row["id"], timedelta(0), row["attempts"])
        else:
            await raw.execute(DONE, row["shop_id"], row["id"])
            lines += [
                *await end_of(raw, row, Status.UNCERTAIN, UNCERTAIN),
                *marked(row, row["shop_id"], row["channel_id"], row["message_id"]),
            ]
    return lines


def may_repeat(row: Any, types: Mapping[str, ChannelType]) -> bool:
    """Whether it does no harm if it arrives twice, and there is time for it."""
    if row["kind"] != "send_message":
        return True
    kind = types.get(row["channel_type"])
    return kind is not None and kind.capabilities.idempotent_send and not row["late"]


async def fail_over(raw: Any, over: Sequence[Any]) -> list[Row]:
    """Take out what will not be sent any more. Signals go without a word."""
    lines = []
    for row in over:
        await raw.execute(DONE, row["shop_id"], row["id"])
        if row["kind"] == "send_message":
            lines += await end_of(raw, row, Status.FAILED, why_over(row))
    return lines


def why_over(row: Any) -> Reason:
    if row["deleted"]:
        return DELETED
    if row["last_reason"]:
        last = Reason(**json.loads(row["last_reason"]))
        return Reason(code="deadline", detail=f"Given up after the last try: {last.detail}")
    if row["channel_state"] != "active":
        return Reason(code="deadline", detail="The channel was paused until it was too late to send this.")
    return Reason(code="deadline", detail="It could not be sent in time.")


async def end_of(raw: Any, row: Any, status: Status, reason: Reason) -> list[Row]:
    """The lines for the parts that the command would have sent."""
    shop_id, message_id = row["shop_id"], row["message_id"]
    assert isinstance(message_id, uuid.UUID)
    begins = first_part(SendMessage.model_validate_json(row["command"]))
    line = Row(
        shop_id,
        row["channel_id"],
        message_id,
        status,
        Evidence.NONE,
        None,
        attempt=row["attempts"] if row["attempts"] > row["attempts_before"] else None,  # else nothing was tried
        reason=reason,
    )
    return [replace(line, part=part) for part in await kept_back(raw, shop_id, message_id, begins)]


def lost_file(row: Any) -> MediaReport:
    command = FetchMedia.model_validate_json(row["command"])
    return MediaReport(
        channel_id=show_id(CHANNEL, row["channel_id"]),
        message_id=command.message_id,
        attachment=command.attachment,
        attempt=row["attempts"],
        reason=NO_FILE,
        fate=Fate.NEVER,
    )
