"""How attempts of ours ended, and what that means for the outbox: done, again later, never, or a paused channel."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.outbox.queue import DONE, backoff_s
from gateway.receipts.line import Row
from gateway.views import ChannelView
from shared.events import Evidence, Fate, Reason, ReceiptReported, Status
from shared.ids import MESSAGE, MalformedId, read_id

MINE: Final = """
    SELECT id, attempts, deadline_at, now() AS now, deadline_at <= now() AS late, pace
    FROM outbox WHERE shop_id = $1 AND message_id = $2 AND kind = 'send_message' FOR UPDATE
"""
AGAIN: Final = """
    UPDATE outbox SET state = 'ready', lease_until = NULL, available_at = least(now() + $3::interval, deadline_at)
    WHERE shop_id = $1 AND id = $2
"""
PAUSE: Final = sa.text(
    """
    UPDATE channels SET state = 'paused', state_reason = CAST(:reason AS jsonb), version = version + 1
    WHERE shop_id = :shop_id AND id = :id AND state = 'active' RETURNING *
    """
)

ShowChannel = Callable[[Any], ChannelView]


@dataclass(slots=True)
class Finished:
    """What the outcomes of attempts led to, beside the ledger lines they mean themselves."""

    failures: list[Row] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)


async def finish(connection: AsyncConnection, outcomes: Sequence[Arrival], show_channel: ShowChannel) -> Finished:
    """Take what was sent out of the outbox, plan the next attempt of what may go later, fail what never will."""
    finished = Finished()
    for arrival in outcomes:
        await finish_one(connection, arrival, finished, show_channel)
    return finished


async def finish_one(
    connection: AsyncConnection, arrival: Arrival, finished: Finished, show_channel: ShowChannel
) -> None:
    raw, event = await driver(connection), arrival.event
    assert isinstance(event, ReceiptReported)
    assert event.outcome is not None
    message_id = message_of(event)
    row = await raw.fetchrow(MINE, arrival.channel.shop_id, message_id) if message_id else None
    if row is None or row["attempts"] != event.outcome.attempt:
        return  # told twice, or of an attempt that was given up
    match event.outcome.fate:
        case None | Fate.ASK:
            await raw.execute(DONE, arrival.channel.shop_id, row["id"])
        case Fate.NEVER:
            await fail(raw, arrival, row, event.reason, finished)
        case Fate.LATER if row["late"]:
            why = event.reason.detail if event.reason else "the channel could not be reached"
            await fail(
                raw, arrival, row, Reason(code="deadline", detail=f"Given up after the last try: {why}"), finished
            )
        case Fate.LATER:
            wait = max(event.outcome.retry_after_s or 0, backoff_s(row["pace"], row["attempts"]))
            await raw.execute(AGAIN, arrival.channel.shop_id, row["id"], timedelta(seconds=wait))
        case Fate.PAUSE:
            await raw.execute(AGAIN, arrival.channel.shop_id, row["id"], timedelta(0))
            await pause(connection, arrival, event.reason, finished, show_channel)


def message_of(event: ReceiptReported) -> uuid.UUID | None:
    try:
        return read_id(MESSAGE, event.message_id or "")
    except MalformedId:
        return None


async def fail(raw: Any, arrival: Arrival, row: Any, reason: Reason | None, finished: Finished) -> None:
    await raw.execute(DONE, arrival.channel.shop_id, row["id"])
    event = arrival.event
    assert isinstance(event, ReceiptReported)
    finished.failures.append(
        Row(
            arrival.channel.shop_id,
            arrival.channel.id,
            message_of(event),
            Status.FAILED,
            Evidence.NONE,
            event.occurred_at,
            attempt=row["attempts"],
            reason=reason,
        )
    )


async def pause(
    connection: AsyncConnection,
    arrival: Arrival,
    reason: Reason | None,
    finished: Finished,
    show_channel: ShowChannel,
) -> None:
    """Stop the channel until a person has seen to it; what is queued stays queued."""
    told = reason or Reason(code="auth_expired", detail="The channel's credentials no longer work.")
    shop_id = arrival.channel.shop_id
    named = {"shop_id": shop_id, "id": arrival.channel.id, "reason": told.model_dump_json()}
    row = (await connection.execute(PAUSE, named)).one_or_none()
    if row is not None:
        finished.events.append(NewEvent(shop_id, "channel.state", show_channel(row).model_dump_json()))
