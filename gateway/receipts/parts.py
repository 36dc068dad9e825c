"""The provider's messages that carry ours: their ids, by which receipts find the message, and what was lost."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.receipts.line import Carried
from shared.commands import SendMessage

# To which of a person's retries (1 is the first sending) something belongs. Attempts are counted on across retries, and
# the last attempt of each stands in the ledger. What names no attempt is of the present one, unless that one still
# waits for its first: nobody can have reported of it.
GENERATION: Final = """
    CASE WHEN t.attempt IS NULL
         THEN m.generation - (EXISTS (
                  SELECT 1 FROM outbox o WHERE (o.shop_id, o.message_id) = (m.shop_id, m.id)
                  AND o.kind = 'send_message' AND o.attempts_before > 0 AND o.attempts = o.attempts_before))::int
         ELSE coalesce((SELECT min(r.generation) FROM receipts r
                        WHERE (r.shop_id, r.message_id) = (m.shop_id, m.id) AND r.attempt >= t.attempt), m.generation)
    END
"""
# The id of the latest attempt is the part's; those of others are kept, since receipts may still name them.
SAVE: Final = f"""
    INSERT INTO message_parts AS p (shop_id, message_id, part, channel_id, external_id, generation, attempt)
    SELECT t.shop_id, t.message_id, t.part, t.channel_id, t.external_id, {GENERATION}, coalesce(t.attempt, 0)
    FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::uuid[], $5::text[], $6::int[])
         AS t (shop_id, message_id, part, channel_id, external_id, attempt)
    JOIN messages m ON (m.shop_id, m.id) = (t.shop_id, t.message_id)
    ON CONFLICT (shop_id, message_id, part) DO UPDATE SET
        external_id = CASE WHEN excluded.attempt > p.attempt THEN excluded.external_id ELSE p.external_id END,
        channel_id = CASE WHEN excluded.attempt > p.attempt THEN excluded.channel_id ELSE p.channel_id END,
        generation = CASE WHEN excluded.attempt > p.attempt THEN excluded.generation ELSE p.generation END,
        attempt = greatest(excluded.attempt, p.attempt),
        former_ids = CASE
            WHEN excluded.external_id = p.external_id THEN p.former_ids
            WHEN excluded.attempt > p.attempt
            THEN array_append(array_remove(p.former_ids, excluded.external_id), p.external_id)
            ELSE array_append(array_remove(p.former_ids, excluded.external_id), excluded.external_id)
        END
"""  # noqa: S608
DEGRADED: Final = """
    UPDATE messages SET degraded = ARRAY(
        SELECT what FROM unnest(coalesce(degraded, '{}') || $3::text[]) WITH ORDINALITY AS t (what, n)
        GROUP BY what ORDER BY min(n))
    WHERE shop_id = $1 AND id = $2
"""
# What a retry has to send again and has not sent yet.
TO_COME: Final = """
    SELECT p.part FROM message_parts p JOIN messages m ON (m.shop_id, m.id) = (p.shop_id, p.message_id)
    WHERE (p.shop_id, p.message_id) = ($1, $2) AND p.generation < m.generation AND p.part > $3 ORDER BY p.part
"""

Key = tuple[uuid.UUID, uuid.UUID]  # shop and message


async def save(raw: Any, carried: Iterable[Carried]) -> None:
    """Keep the ids of what went out. After its lines are in the ledger."""
    for parts in rounds(carried):
        await raw.execute(
            SAVE,
            [part.shop_id for part in parts],
            [part.message_id for part in parts],
            [part.part for part in parts],
            [part.channel_id for part in parts],
            [part.external_id for part in parts],
            [part.attempt for part in parts],
        )


def rounds(carried: Iterable[Carried]) -> Iterator[Sequence[Carried]]:
    """In the same order, but no part of a message twice in one statement."""
    waiting = list(carried)
    while waiting:
        first = {(part.message_id, part.part): part for part in reversed(waiting)}
        yield list(first.values())
        waiting = [part for part in waiting if first[part.message_id, part.part] is not part]


def first_part(command: SendMessage) -> int | None:
    """The part with which a command begins; None if it is the whole message that it sends."""
    return command.from_part if command.from_part or command.skip else None


async def kept_back(raw: Any, shop_id: uuid.UUID, message_id: uuid.UUID, stopped_at: int | None) -> list[int | None]:
    """The parts that do not go out if there is no attempt after one that stopped here; None is the whole message."""
    if stopped_at is None:
        return [None]
    return [stopped_at, *(row["part"] for row in await raw.fetch(TO_COME, shop_id, message_id, stopped_at))]


async def save_degraded(raw: Any, degraded: Mapping[Key, Sequence[str]]) -> None:
    for (shop_id, message_id), what in degraded.items():
        await raw.execute(DEGRADED, shop_id, message_id, list(what))
