"""From a provider's id to a message of ours: of the partner whom the receipt names, since ids may count per chat."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.inbound.arrivals import Arrival
from gateway.receipts.line import Carried

# `t` names ids with the partners to whom they belong. The partner's own message comes first, then one to another end of
# the same person: WhatsApp knows people by phone and by a user id, and may say either. Of a partner whom we do not know
# the id alone has to do. Where several messages are as near, it is not ours to choose.
NEAREST: Final = """
    found AS (
        SELECT t.n, t.shop_id, p.message_id, p.part, p.generation,
               CASE WHEN i.id IS NULL THEN 2 WHEN i.id = m.identity_id THEN 0 ELSE 1 END AS distance
        FROM t
        CROSS JOIN LATERAL (
            SELECT p.message_id, p.part, p.generation FROM message_parts p
            WHERE (p.shop_id, p.channel_id, p.external_id) = (t.shop_id, t.channel_id, t.external_id)
            UNION ALL
            SELECT p.message_id, p.part, p.generation - 1 FROM message_parts p
            WHERE p.former_ids <> '{}'::text[] AND p.former_ids @> ARRAY[t.external_id]
              AND (p.shop_id, p.channel_id) = (t.shop_id, t.channel_id)
        ) p
        JOIN messages m ON (m.shop_id, m.id) = (t.shop_id, p.message_id)
        JOIN identities whose ON (whose.shop_id, whose.id) = (m.shop_id, m.identity_id)
        LEFT JOIN identities i
               ON (i.shop_id, i.channel_type, i.account, i.peer) = (t.shop_id, t.channel_type, t.account, t.peer)
        WHERE i.id IS NULL OR i.contact_id = whose.contact_id
    ), nearest AS (
        SELECT *, rank() OVER (PARTITION BY n ORDER BY distance) AS place,
               count(*) OVER (PARTITION BY n, distance) AS alike
        FROM found
    )
"""
FIND: Final = f"""
    WITH t AS (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
             AS t (shop_id, channel_id, channel_type, account, peer, external_id, n)
    ), {NEAREST}
    SELECT n, message_id, part, generation FROM nearest WHERE place = 1 AND alike = 1
"""  # noqa: S608
ADOPT: Final = f"""
    WITH t AS (
        SELECT r.id AS n, r.shop_id, r.channel_id, h.type AS channel_type, r.account, r.peer, r.external_id
        FROM receipts r JOIN channels h ON (h.shop_id, h.id) = (r.shop_id, r.channel_id)
        WHERE r.message_id IS NULL AND WHICH
    ), {NEAREST}
    UPDATE receipts r SET message_id = k.message_id, part = CASE WHEN r.covers_earlier THEN NULL ELSE k.part END,
        generation = k.generation
    FROM nearest k
    WHERE (r.shop_id, r.id) = (k.shop_id, k.n) AND r.message_id IS NULL AND k.place = 1 AND k.alike = 1
    RETURNING r.shop_id, r.channel_id, r.message_id, r.status, r.evidence, r.occurred_at, r.covers_earlier
"""  # noqa: S608
ADOPT_THESE: Final = ADOPT.replace(
    "WHICH", "(r.shop_id, r.channel_id, r.external_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]))"
)
# A status overtakes our own answer by seconds. What is still parked after ten minutes is nobody's.
ADOPT_RECENT: Final = ADOPT.replace("WHICH", "r.recorded_at > now() - interval '10 minutes'")

Named = tuple[Arrival, str]  # a report, and one of the ids that it names


async def find(raw: Any, named: Sequence[Named]) -> list[Mapping[str, Any] | None]:
    """For each id its message, part and generation, or None if that is not known (yet)."""
    if not named:
        return []
    addresses = [arrival.event.address for arrival, _ in named]
    rows = await raw.fetch(
        FIND,
        [arrival.channel.shop_id for arrival, _ in named],
        [arrival.channel.id for arrival, _ in named],
        [address.channel for address in addresses],
        [address.account for address in addresses],
        [address.peer for address in addresses],
        [external_id for _, external_id in named],
    )
    by_number = {row["n"]: row for row in rows}
    return [by_number.get(number) for number in range(1, len(named) + 1)]


async def adopt(raw: Any, carried: Sequence[Carried]) -> list[Any]:
    """Give parked receipts to the messages whose ids have just become known; the lines that found theirs."""
    if not carried:
        return []
    return list(
        await raw.fetch(
            ADOPT_THESE,
            [part.shop_id for part in carried],
            [part.channel_id for part in carried],
            [part.external_id for part in carried],
        )
    )


async def adopt_recent(raw: Any) -> list[Any]:
    """The same for whatever was parked lately: a receipt and its message may have come in at the same moment."""
    return list(await raw.fetch(ADOPT_RECENT))
