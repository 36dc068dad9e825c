"""A person's retry: it begins a new generation, and leaves out the parts that the provider has already."""

import itertools
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.receipts import ledger
from gateway.receipts.fold import ACCEPTED, INFERENCES, RANK, Standing, fold_parts
from gateway.receipts.line import Row
from shared.events import Evidence, Status

LAST_ATTEMPT: Final = "SELECT coalesce(max(attempt), 0) FROM receipts WHERE shop_id = $1 AND message_id = $2"
MOVED: Final = "DELETE FROM message_parts WHERE shop_id = $1 AND message_id = $2"
# Degraded was what has to be sent again, if that is the whole.
NEXT_GENERATION: Final = """
    UPDATE messages SET generation = generation + 1, status = 'queued', evidence = 'none', failure = NULL,
        degraded = CASE WHEN $3 = 0 THEN NULL ELSE degraded END
    WHERE shop_id = $1 AND id = $2
"""
# What has gone out belongs to the retry as well; the rest is to come, whatever became of it before.
BELONG_TO_IT: Final = """
    UPDATE message_parts SET generation = CASE WHEN part = ANY($3) THEN $4 ELSE generation END,
        status = CASE WHEN part = ANY($3) THEN status END
    WHERE shop_id = $1 AND message_id = $2
"""


async def begin_again(raw: Any, message: Mapping[str, Any], *, moved: bool) -> tuple[int, tuple[int, ...]]:
    """Start the next generation of a locked message; the part with which to begin, and the later ones to leave out.

    `message` has `shop_id`, `id`, `channel_id`, `generation` and `external_id`. `moved`: it goes out elsewhere than
    before, so that nothing of it is there yet.
    """
    shop_id, key = message["shop_id"], message["id"]
    if moved:
        await raw.execute(MOVED, shop_id, key)
    out = await parts_that_went_out(raw, message)
    first = next(part for part in itertools.count() if part not in out)
    await raw.execute(NEXT_GENERATION, shop_id, key, len(out))
    await raw.execute(BELONG_TO_IT, shop_id, key, list(out), message["generation"] + 1)
    if out:
        waits = row(message, first, Standing(Status.QUEUED, Evidence.NONE))
        await ledger.record(raw, [*carried_over(message, out), waits])
    return first, tuple(part for part in out if part > first)


async def last_attempt(raw: Any, shop_id: uuid.UUID, key: uuid.UUID) -> int:
    """The number of the last attempt that was made of the message; a retry's are counted on from there."""
    number: int = await raw.fetchval(LAST_ATTEMPT, shop_id, key)
    return number


async def parts_that_went_out(raw: Any, message: Mapping[str, Any]) -> dict[int, Standing]:
    """The parts with which nothing is wrong, in their order, and where they stand."""
    known = (await ledger.parts_of(raw, [message]))[message["id"]]
    standings = await standings_of(raw, message, known)
    return {
        part: standing
        for part, standing in standings.items()
        if part in known and RANK.get(standing.status, 0) >= ACCEPTED
    }


async def doubted_parts(raw: Any, message: Mapping[str, Any]) -> list[int | None]:
    """The parts of which nobody knows whether they arrived; None for a message of which nothing is known."""
    known = (await ledger.parts_of(raw, [message]))[message["id"]]
    standings = await standings_of(raw, message, known)
    return [part if known else None for part, standing in standings.items() if standing.status is Status.UNCERTAIN]


async def standings_of(raw: Any, message: Mapping[str, Any], parts: Iterable[int]) -> dict[int, Standing]:
    entries = (await ledger.ledgers(raw, [message]))[message["id"]]
    return fold_parts(entries, generation=message["generation"], parts=parts)


def carried_over(message: Mapping[str, Any], out: Mapping[int, Standing]) -> list[Row]:
    """The parts that are out, as lines of the new generation."""
    rows = []
    for part, standing in out.items():
        if standing.evidence in INFERENCES:  # which is nothing without a proof of the same generation
            rows.append(row(message, part, Standing(Status.SENT, Evidence.PROVIDER_ACCEPT)))
        rows.append(row(message, part, standing))
    return rows


def row(message: Mapping[str, Any], part: int, standing: Standing) -> Row:
    return Row(
        message["shop_id"],
        message["channel_id"],
        message["id"],
        standing.status,
        standing.evidence,
        None,
        part=part,
        generation=message["generation"] + 1,
    )
