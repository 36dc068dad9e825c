"""Watermarks, "everything up to here": which messages they cover.

What is still on its way keeps the mark until it is known whether it went out; what waits in the outbox has not been
seen by anyone. Whether a mark lifts a message that failed or is in doubt is the fold's to say.
"""

import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

from gateway.inbound.arrivals import Arrival
from gateway.receipts import matching
from gateway.receipts.fold import INFERENCES, LADDER, RANK
from gateway.receipts.line import Row, own_id
from shared.events import Address, Evidence, ReceiptReported, Status
from shared.model import show_time

# Parameters 1 to 4: shop, channel, status and evidence of the mark, in all of these.
OPEN_TO_IT: Final = """
    m.channel_id = $2 AND m.direction = 'out' AND m.visibility = 'public' AND m.status = ANY($5)
    AND NOT EXISTS (SELECT 1 FROM receipts r WHERE (r.shop_id, r.message_id) = (m.shop_id, m.id)
                    AND r.status = $3 AND r.evidence = $4 AND r.part IS NULL AND r.generation = m.generation)
"""
SENDING: Final = """
    EXISTS (SELECT 1 FROM outbox o WHERE (o.shop_id, o.message_id) = (m.shop_id, m.id) AND o.kind = 'send_message')
"""
UP_TO_MESSAGE: Final = f"""
    SELECT m.id FROM messages u
    JOIN messages m ON (m.shop_id, m.conversation_id) = (u.shop_id, u.conversation_id) AND m.seq <= u.seq
    WHERE u.shop_id = $1 AND u.id = $7 AND {OPEN_TO_IT} AND ($6 OR m.id = u.id OR NOT {SENDING})
"""  # noqa: S608
WHOSE: Final = """
    FROM identities i
    JOIN conversations c ON (c.shop_id, c.contact_id) = (i.shop_id, i.contact_id)
    JOIN messages m ON (m.shop_id, m.conversation_id) = (c.shop_id, c.id)
    WHERE i.shop_id = $1 AND (i.channel_type, i.account, i.peer) = ($7, $8, $9)
"""
# Providers tell milliseconds.
UP_TO_TIME: Final = f"""
    SELECT m.id {WHOSE} AND date_trunc('milliseconds', m.created_at) <= $10 AND {OPEN_TO_IT} AND ($6 OR NOT {SENDING})
"""
ON_ITS_WAY: Final = f"""
    UPDATE outbox o SET mark = $3::jsonb
    WHERE o.shop_id = $1 AND o.channel_id = $2 AND o.state = 'sending' AND o.kind = 'send_message'
      AND coalesce(o.mark->>'status', 'queued') = ANY($4)
      AND o.message_id IN (SELECT m.id {WHOSE.replace("$7, $8, $9", "$5, $6, $7")}
                           AND date_trunc('milliseconds', m.created_at) <= $8)
"""  # noqa: S608
BESIDE: Final = (Status.UNCERTAIN, Status.FAILED)
OWN: Final = f"SELECT m.id {WHOSE.replace('$7, $8, $9', '$2, $3, $4')} AND m.id = $5"


async def lines(raw: Any, arrival: Arrival, event: ReceiptReported) -> list[Row]:
    """One line for each of our messages to this partner that the mark covers and that stands lower.

    A mark at an id that is not known yet is parked for that message.
    """
    if event.up_to is not None:
        return await up_to_time(raw, arrival, event)
    assert event.up_to_id is not None
    own = own_id(event.up_to_id)
    if own is not None:
        of_partner = await raw.fetchval(OWN, arrival.channel.shop_id, *whose(event.address), own)
        last = own if of_partner else None
    else:
        (found,) = await matching.find(raw, [(arrival, event.up_to_id)])
        last = found["message_id"] if found else None
    if last is not None:
        covered = await raw.fetch(UP_TO_MESSAGE, *open_to(arrival, event.status, evidence_of(event)), last)
        return [covering(arrival, event, row["id"]) for row in covered]
    if own is not None or event.evidence is Evidence.DEVICE:
        return []  # whoever names our own ids knows them: what they invent never comes to be
    return [parked(arrival, event, event.up_to_id)]


async def up_to_time(raw: Any, arrival: Arrival, event: ReceiptReported) -> list[Row]:
    """What is on its way first: if it has arrived meanwhile, that is seen afterwards."""
    partner = whose(event.address)
    if event.evidence is not Evidence.DEVICE:
        mark = {"status": event.status, "evidence": evidence_of(event), "occurred_at": show_time(event.occurred_at)}
        shop_id, channel_id = arrival.channel.shop_id, arrival.channel.id
        await raw.execute(ON_ITS_WAY, shop_id, channel_id, json.dumps(mark), below(event.status), *partner, event.up_to)
    open_to_it = open_to(arrival, event.status, evidence_of(event))
    return [
        covering(arrival, event, row["id"]) for row in await raw.fetch(UP_TO_TIME, *open_to_it, *partner, event.up_to)
    ]


async def earlier_lines(raw: Any, adopted: Sequence[Any]) -> list[Row]:
    """What a parked mark means for the messages before the one that it named, now that this one is known."""
    rows = []
    for mark in adopted:
        if mark["covers_earlier"]:
            status, evidence = Status(mark["status"]), Evidence(mark["evidence"])
            values = (mark["shop_id"], mark["channel_id"], status, evidence, [*below(status), *BESIDE], False)
            rows += [
                Row(mark["shop_id"], mark["channel_id"], row["id"], status, evidence, mark["occurred_at"])
                for row in await raw.fetch(UP_TO_MESSAGE, *values, mark["message_id"])
                if row["id"] != mark["message_id"]
            ]
    return rows


def open_to(arrival: Arrival, status: Status, evidence: Evidence) -> tuple[Any, ...]:
    """The first six parameters: a device shows the very conversation, and so also what still waits or failed."""
    device = evidence is Evidence.DEVICE
    return (arrival.channel.shop_id, arrival.channel.id, status, evidence, [*below(status), *BESIDE], device)


def below(status: Status) -> list[Status]:
    return [lower for lower in LADDER if RANK[lower] < RANK.get(status, 0)]


def evidence_of(event: ReceiptReported) -> Evidence:
    """A provider that says "up to here" does not speak of each message, whatever it calls that."""
    return event.evidence if event.evidence in (Evidence.DEVICE, *INFERENCES) else Evidence.WATERMARK


def whose(address: Address) -> tuple[str, str, str]:
    return address.channel, address.account, address.peer


def covering(arrival: Arrival, event: ReceiptReported, message_id: uuid.UUID) -> Row:
    channel = arrival.channel
    return Row(channel.shop_id, channel.id, message_id, event.status, evidence_of(event), event.occurred_at)


def parked(arrival: Arrival, event: ReceiptReported, external_id: str) -> Row:
    return Row(
        arrival.channel.shop_id,
        arrival.channel.id,
        None,
        event.status,
        evidence_of(event),
        event.occurred_at,
        external_id,
        account=event.address.account,
        peer=event.address.peer,
        covers_earlier=True,
    )
