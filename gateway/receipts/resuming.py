"""A person's retry: it begins a new generation, and behind the parts that the provider has already."""

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
    UPDATE message_parts SET generation = CASE WHEN part < $3 THEN $4 ELSE generation END,
        status = CASE WHEN part < $3 THEN status END
    WHERE shop_id = $1 AND message_id = $2
"""


async def begin_again(raw: Any, message: Mapping[str, Any], *, moved: bool) -> int:
    """Start the next generation of a locked message; the part with which to begin.

    `message` has `shop_id`, `id`, `channel_id`, `generation` and `external_id`. `moved`: it goes out elsewhere than
    before, so that nothing of it is there yet.
    """
    shop_id, key = message["shop_id"], message["id"]
    if moved:
        await raw.execute(MOVED, shop_id, key)
    standings = await parts_that_went_out(raw, message)
    await raw.execute(NEXT_GENERATION, shop_id, key, len(standings))
    await raw.execute(BELONG_TO_IT, shop_id, key, len(standings), message["generation"] + 1)
    if standings:
        await ledger.record(raw, carried_over(message, standings))
    return len(standings)


async def last_attempt(raw: Any, shop_id: uuid.UUID, key: uuid.UUID) -> int:
    """The number of the last attempt that was made of the message; a retry's are counted on from there."""
    number: int = await raw.fetchval(LAST_ATTEMPT, shop_id, key)
    return number


async def parts_that_went_out(raw: Any, message: Mapping[str, Any]) -> list[Standing]:
    """Where the first parts stand, up to the one with which something is wrong."""
    known = (await ledger.parts_of(raw, [message]))[message["id"]]
    standings = await standings_of(raw, message, known)
    out = []
    for part in range(len(known)):
        if part not in known or RANK.get(standings[part].status, 0) < ACCEPTED:
            break
        out.append(standings[part])
    return out


async def doubted_parts(raw: Any, message: Mapping[str, Any]) -> list[int | None]:
    """The parts of which nobody knows whether they arrived; None for a message of which nothing is known."""
    known = (await ledger.parts_of(raw, [message]))[message["id"]]
    standings = await standings_of(raw, message, known)
    return [part or None for part, standing in standings.items() if standing.status is Status.UNCERTAIN]


async def standings_of(raw: Any, message: Mapping[str, Any], parts: Iterable[int]) -> dict[int, Standing]:
    entries = (await ledger.ledgers(raw, [message]))[message["id"]]
    return fold_parts(entries, generation=message["generation"], parts=parts)


def carried_over(message: Mapping[str, Any], standings: list[Standing]) -> list[Row]:
    """The parts that are out, as lines of the new generation, and the one that waits to go."""
    rows = []
    for part, standing in enumerate(standings):
        if standing.evidence in INFERENCES:  # which is nothing without a proof of the same generation
            rows.append(row(message, part, Standing(Status.SENT, Evidence.PROVIDER_ACCEPT)))
        rows.append(row(message, part, standing))
    return [*rows, row(message, len(standings), Standing(Status.QUEUED, Evidence.NONE))]


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
