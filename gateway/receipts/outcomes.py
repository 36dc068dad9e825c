"""How attempts of ours ended, and what that means for the outbox: done, again later, never, or a paused channel."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.outbox.queue import DONE, backoff_s
from gateway.receipts.line import Carried, Row, own_id
from gateway.receipts.parts import Key, first_part, kept_back
from gateway.views import ChannelView
from shared.commands import LEFT_OUT, SendMessage
from shared.events import Evidence, Fate, Reason, ReceiptReported, SendOutcome, Status

MINE: Final = """
    SELECT id, state, attempts, attempts_before, deadline_at <= now() AS late, pace, command, mark::text AS mark
    FROM outbox WHERE shop_id = $1 AND message_id = $2 AND kind = 'send_message' FOR UPDATE
"""
LINES_OF: Final = """
    SELECT status, part FROM receipts WHERE shop_id = $1 AND message_id = $2 AND attempt = $3 ORDER BY part NULLS FIRST
"""
# The last try is made shortly before the deadline: whether it went out should be known by then.
AGAIN: Final = """
    UPDATE outbox SET state = 'ready', lease_until = NULL, mark = NULL, command = $4, last_reason = $5::jsonb,
        available_at = CASE WHEN now() + $3::interval < deadline_at THEN now() + $3::interval
                            WHEN now() < deadline_at - interval '10 s' THEN deadline_at - interval '10 s'
                            ELSE deadline_at END
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
    """What the outcomes of attempts led to."""

    lines: list[Row] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    degraded: dict[Key, list[str]] = field(default_factory=dict)
    events: list[NewEvent] = field(default_factory=list)
    changed_channels: set[uuid.UUID] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has ended. `row` is its command in the outbox; None if it had been given up as uncertain.

    `first_part` None: it sent the whole message.
    """

    arrival: Arrival
    event: ReceiptReported
    outcome: SendOutcome
    message_id: uuid.UUID
    first_part: int | None
    row: Any | None

    @property
    def stopped_at(self) -> int | None:
        """The part at which it ended, if it did not go out whole; None if nothing of the whole message did."""
        told = len(self.outcome.external_ids)
        return (self.first_part or 0) + told if told else self.first_part

    def line(self, status: Status, *, part: int | None = None, reason: Reason | None = None) -> Row:
        """A line that this attempt means."""
        channel, event = self.arrival.channel, self.event
        return Row(
            channel.shop_id,
            channel.id,
            self.message_id,
            status,
            event.evidence if status is event.status else Evidence.NONE,
            event.occurred_at,
            part=part,
            attempt=self.outcome.attempt,
            reason=reason,
        )

    def carried(self) -> list[Carried]:
        channel = self.arrival.channel
        return [
            Carried(channel.shop_id, self.message_id, part, channel.id, external_id, self.outcome.attempt)
            for part, external_id in enumerate(self.outcome.external_ids, self.first_part or 0)
            if external_id != LEFT_OUT
        ]


async def finish(connection: AsyncConnection, outcomes: Sequence[Arrival], show_channel: ShowChannel) -> Finished:
    """Take what was sent out of the outbox, plan the next attempt of what may go later, fail what never will."""
    finished = Finished()
    for arrival in outcomes:
        await finish_one(connection, arrival, finished, show_channel)
    return finished


async def finish_one(
    connection: AsyncConnection, arrival: Arrival, finished: Finished, show_channel: ShowChannel
) -> None:
    event = arrival.event
    assert isinstance(event, ReceiptReported)
    assert event.outcome is not None
    message_id = own_id(event.message_id)
    if message_id is None:
        return
    raw, shop_id = await driver(connection), arrival.channel.shop_id
    row = await raw.fetchrow(MINE, shop_id, message_id)
    if row is not None and is_of(event.outcome, row):
        first = first_part(SendMessage.model_validate_json(row["command"]))
        attempt = Attempt(arrival, event, event.outcome, message_id, first, row)
        await end(raw, attempt, finished)
        if event.outcome.fate is Fate.PAUSE:
            await pause(connection, arrival, event.reason, finished, show_channel)
        return
    known = await raw.fetch(LINES_OF, shop_id, message_id, event.outcome.attempt)
    doubt = next((line for line in known if line["status"] == Status.UNCERTAIN), None)
    overtaken = row is not None and row["attempts_before"] < event.outcome.attempt  # the same command is out again
    if doubt is not None and not overtaken:
        attempt = Attempt(arrival, event, event.outcome, message_id, doubt["part"], None)
        await resolve(raw, attempt, finished)
    elif event.outcome.fate is None and not known:
        finished.lines.append(Attempt(arrival, event, event.outcome, message_id, None, None).line(event.status))


def is_of(outcome: SendOutcome, row: Any) -> bool:
    """Whether this is how the command's present attempt ended.

    One whose lease ran out may be about to be repeated: then only an end that makes the repeat needless counts.
    """
    if row["attempts"] != outcome.attempt:
        return False
    return row["state"] == "sending" or outcome.fate in (None, Fate.NEVER)


async def end(raw: Any, attempt: Attempt, finished: Finished) -> None:
    row, event, outcome = attempt.row, attempt.event, attempt.outcome
    assert row is not None
    shop_id = attempt.arrival.channel.shop_id
    match outcome.fate:
        case None | Fate.ASK | Fate.NEVER:
            await resolve(raw, attempt, finished)
        case Fate.LATER if row["late"]:
            why = event.reason.detail if event.reason else "the channel could not be reached"
            given_up = Reason(code="deadline", detail=f"Given up after the last try: {why}")
            await resolve(raw, attempt, finished, given_up)
        case Fate.LATER | Fate.PAUSE:
            await plan_next(raw, attempt, finished)
            return
    finished.lines += marked(row, shop_id, attempt.arrival.channel.id, attempt.message_id)
    await raw.execute(DONE, shop_id, row["id"])


async def resolve(raw: Any, attempt: Attempt, finished: Finished, reason: Reason | None = None) -> None:
    """Say what became of a message by an attempt after which there is no other."""
    event, outcome = attempt.event, attempt.outcome
    keep(attempt, finished)
    if outcome.fate is None:
        finished.lines.append(attempt.line(event.status))
        return
    status = Status.UNCERTAIN if outcome.fate is Fate.ASK else Status.FAILED
    went_out(attempt, finished)
    parts = await kept_back(raw, attempt.arrival.channel.shop_id, attempt.message_id, attempt.stopped_at)
    finished.lines += [attempt.line(status, part=part, reason=reason or event.reason) for part in parts]


async def plan_next(raw: Any, attempt: Attempt, finished: Finished) -> None:
    """The next attempt begins with the part at which this one stopped."""
    row, event, outcome = attempt.row, attempt.event, attempt.outcome
    assert row is not None
    command = row["command"]
    if outcome.external_ids:
        keep(attempt, finished)
        went_out(attempt, finished)
        finished.lines.append(attempt.line(Status.QUEUED, part=attempt.stopped_at, reason=event.reason))
        again = SendMessage.model_validate_json(command).model_copy(update={"from_part": attempt.stopped_at})
        command = again.model_dump_json()
    wait = 0.0
    if outcome.fate is Fate.LATER:
        wait = wait_s(row, outcome.retry_after_s)
    reason = event.reason.model_dump_json() if event.reason else None
    await raw.execute(AGAIN, attempt.arrival.channel.shop_id, row["id"], timedelta(seconds=wait), command, reason)


def wait_s(row: Any, told_s: float | None) -> float:
    """Until the next attempt. Mail waits for minutes: where it is told how long, that counts alone."""
    if told_s is not None and row["pace"] == "mail":
        return told_s
    return max(told_s or 0, backoff_s(row["pace"], row["attempts"] - row["attempts_before"]))


def keep(attempt: Attempt, finished: Finished) -> None:
    finished.carried += attempt.carried()
    if attempt.outcome.degraded:
        key = (attempt.arrival.channel.shop_id, attempt.message_id)
        finished.degraded.setdefault(key, []).extend(attempt.outcome.degraded)


def went_out(attempt: Attempt, finished: Finished) -> None:
    """The parts that the provider took before the attempt ended."""
    for part in attempt.carried():
        line = attempt.line(Status.SENT)
        line.part, line.external_id, line.evidence = part.part, part.external_id, Evidence.PROVIDER_ACCEPT
        finished.lines.append(line)


def marked(row: Any, shop_id: uuid.UUID, channel_id: uuid.UUID, message_id: uuid.UUID) -> list[Row]:
    """The watermark that came while the command was on its way, if one did."""
    if row["mark"] is None:
        return []
    mark = json.loads(row["mark"])
    occurred_at = datetime.fromisoformat(mark["occurred_at"])
    return [Row(shop_id, channel_id, message_id, Status(mark["status"]), Evidence(mark["evidence"]), occurred_at)]


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
        finished.changed_channels.add(arrival.channel.id)
        finished.events.append(NewEvent(shop_id, "channel.state", show_channel(row).model_dump_json()))
