"""One transaction for a whole set: what its locks may hold up, and what is left when its connection dies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa

from shared.errors import BusUnavailable
from shared.events import Evidence, InboundEvent, Status
from shared.ids import MESSAGE, read_id
from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.product import Running, Shop, new_shop, running_product, settings_for
from tests.support.tables import query

HELD_UP = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
    "AND pid <> pg_backend_pid()"
)
FEED = "SELECT 1 FROM feeds WHERE shop_id = :id FOR UPDATE NOWAIT"
MESSAGE_ROW = "SELECT 1 FROM messages WHERE id = :id FOR UPDATE"


async def test_a_connection_that_dies_inside_a_statement_costs_one_set_and_none_after_it(
    fresh_database: str, tmp_path: Path
) -> None:
    async with running_product(settings_for(fresh_database, tmp_path)) as running, new_shop(running) as shop:
        customer = Customer(running, shop)
        first = customer.message("Hello?")
        async with no_views(fresh_database) as connection:  # it opens a conversation, which is then shown
            telling = asyncio.create_task(customer.tell(first))
            pid = await eventually(lambda: connection.fetchval(HELD_UP))
            await connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
            with pytest.raises(BusUnavailable):
                await telling
        await customer.tell(customer.message("Anyone?"))
        await customer.tell(first)
        assert await states(customer) == ["processed", "processed"]
        conversation = await customer.conversation()
        assert (conversation.last_seq, conversation.unread) == (2, 2)


@contextlib.asynccontextmanager
async def no_views(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Whoever looks at a message as the API shows it waits."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE message_parts IN ACCESS EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def states(customer: Customer) -> list[str]:
    rows = await query(
        customer.running, "SELECT state FROM journal WHERE shop_id = :id ORDER BY id", id=customer.shop.uuid
    )
    return [row.state for row in rows]


@pytest.mark.parametrize("change", ["receipt", "edit", "deletion"])
async def test_the_feed_is_free_until_a_set_has_every_other_lock_it_needs(
    running: Running, shop: Shop, change: str
) -> None:
    """Whoever has a message and takes the feed last, as everyone does, is not met by a set that has them turned round.

    That the feed can be had at once is asked rather than waited for: a deadlock would be tried again, and so hidden.
    """
    customer = Customer(running, shop)
    question = await customer.writes("Hello?", "m-1")
    answer = await shop.client.messages.send(question.conversation, text="Hello!")
    await eventually(lambda: shop.client.messages.get(answer.id), lambda m: m.status == "sent")
    changes: dict[str, tuple[str, InboundEvent]] = {
        "receipt": (answer.id, customer.receipt(Status.READ, evidence=Evidence.DEVICE, up_to_id=answer.id)),
        "edit": (question.id, customer.edit("m-1", "Hello!")),
        "deletion": (question.id, customer.deletion("m-1")),
    }
    message, event = changes[change]
    async with running.core.db.system() as connection:
        await connection.execute(sa.text(MESSAGE_ROW), {"id": read_id(MESSAGE, message)})
        telling = asyncio.create_task(customer.tell(customer.message("Anyone?"), event))
        await eventually(lambda: query(running, HELD_UP))
        await connection.execute(sa.text(FEED), {"id": shop.uuid})
    await telling
    page = await shop.client.events_page(types=["message.received"])
    assert len(page.items) == 2
