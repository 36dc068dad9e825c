"""How fast messages land: through the bus inside one process, against plain inserts."""

import asyncio
import time

import asyncpg

from shared.clock import system_clock
from shared.content import Text
from shared.events import Address, MessageReceived
from shared.ids import new_uuid
from shared.subjects import INBOUND, InboundBatch
from tests.support.product import Running


async def land(running: Running, channel: str, *, batch: int, senders: int, seconds: float) -> float:
    """Messages per second when `senders` at once publish batches, each from one of 1,000 shoppers of its own."""
    bus, until, landed = running.core.bus, time.perf_counter() + seconds, 0

    async def send(sender: int) -> None:
        nonlocal landed
        number = 0
        while time.perf_counter() < until:
            events = []
            for place in range(batch):
                number += 1
                peer = f"bench-{batch}-{sender}-{place}"
                events.append(
                    MessageReceived(
                        address=Address(channel="webchat", account=channel, peer=peer),
                        occurred_at=system_clock(),
                        raw=b'{"t":"send","d":{"text":"Is the red one in stock?"}}',
                        external_id=f"{peer}-{number}",
                        content=Text(text="Is the red one in stock?"),
                    )
                )
            await bus.publish(INBOUND, InboundBatch(channel_id=channel, events=tuple(events)))
            landed += batch

    started = time.perf_counter()
    await asyncio.gather(*(send(sender) for sender in range(senders)))
    return landed / (time.perf_counter() - started)


# The rows of one message as one would write them by hand: no lookups, nothing deduplicated, seq and position counted.
BY_HAND = """
    WITH c AS (
        UPDATE conversations SET last_seq = last_seq + 1, unread = unread + 1, last_message_id = $2, updated_at = now()
        WHERE (shop_id, id) = (SELECT shop_id, id FROM conversations ORDER BY shop_id, id LIMIT 1)
        RETURNING shop_id, id, contact_id, channel_id, identity_id, last_seq
    ), j AS (
        INSERT INTO journal (shop_id, id, channel_id, dedupe, kind, state, raw, processed_at)
        SELECT shop_id, $1, channel_id, $3, 'message_received', 'processed', $4, now() FROM c
    ), m AS (
        INSERT INTO messages (shop_id, id, conversation_id, seq, direction, author_type, author_id, channel_id,
                              identity_id, external_id, content, status, occurred_at)
        SELECT shop_id, $2, id, last_seq, 'in', 'contact', contact_id, channel_id, identity_id, $5, $6, 'delivered',
               now() FROM c
    ), f AS (
        UPDATE feeds SET position = position + 1 FROM c WHERE feeds.shop_id = c.shop_id RETURNING position
    )
    INSERT INTO events (shop_id, position, id, type, conversation_id, contact_id, message_id, data)
    SELECT c.shop_id, f.position, $1, 'message.received', c.id, c.contact_id, $2, $7::json FROM c, f
"""


async def landed_by_hand(url: str, seconds: float) -> float:
    """Messages per second, each with all its rows in one statement and one transaction, on one connection."""
    connection = await asyncpg.connect(url)
    until, count, started = time.perf_counter() + seconds, 0, time.perf_counter()
    statement = await connection.prepare(BY_HAND)
    text = '{"kind": "text", "text": "Is the red one in stock?"}'
    while time.perf_counter() < until:
        number, message = new_uuid(), new_uuid()
        event = f'{{"id": "{message}", "direction": "in", "status": "delivered", "content": {text}}}'
        await statement.fetch(number, message, number.bytes, text.encode(), str(number), text, event)
        count += 1
    await connection.close()
    return count / (time.perf_counter() - started)


async def plain_inserts(url: str, seconds: float) -> float:
    """One INSERT per transaction on one connection, per second."""
    connection = await asyncpg.connect(url)
    until, count, started = time.perf_counter() + seconds, 0, time.perf_counter()
    while time.perf_counter() < until:
        await connection.execute("INSERT INTO bench_plain (body) VALUES ($1)", "Is the red one in stock?")
        count += 1
    await connection.close()
    return count / (time.perf_counter() - started)
