"""Edits and deletions that overtook their message: they land once it is here, once, as if they had come after it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from shopbell_client import Inbound, Message

from gateway.inbound.waiting import PATIENCE, look
from shared.events import UNDATED, MessageEdited, Sender
from shared.ids import CONVERSATION, INBOUND, MESSAGE, least_uuid, read_id
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import execute, query

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def customer(running: Running, shop: Shop) -> Customer:
    return Customer(running, shop)


def edit_at(customer: Customer, at: datetime, text: str) -> MessageEdited:
    return customer.edit("m-1", text, fresh("version")).model_copy(update={"occurred_at": at})


async def look_now(customer: Customer) -> None:
    await look(customer.running.core, customer.running.gateway.ingest)


async def quarantined(customer: Customer) -> list[Inbound]:
    return [row async for row in customer.shop.client.inbound.iterate(state="quarantined")]


async def told(customer: Customer) -> list[str]:
    """What the feed says of messages, in its order."""
    events = (await customer.shop.client.events_page(limit=500)).items
    return [event.type for event in events if isinstance(event.data, Message)]


async def text_of(customer: Customer, message: Message) -> str:
    return (await customer.shop.client.messages.get(message.id)).content.text  # type: ignore[union-attr, return-value]


async def test_by_itself_a_message_that_was_deleted_before_it_came_is_deleted(customer: Customer) -> None:
    await customer.tell(customer.deletion("m-1"))
    message = await customer.writes("Oops", "m-1")
    await eventually(lambda: customer.shop.client.messages.get(message.id), lambda m: m.deleted_at)
    await eventually(lambda: quarantined(customer), lambda rows: not rows)
    assert await told(customer) == ["message.received", "message.deleted"]
    rows = [row async for row in customer.shop.client.inbound.iterate()]
    assert {(row.kind, row.state, row.reason) for row in rows} == {
        ("message_received", "processed", None),
        ("message_deleted", "processed", None),
    }


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_edits_and_a_deletion_that_wait_land_as_if_they_had_come_in_order(
    customer: Customer, order: tuple[int, ...]
) -> None:
    changes = (
        edit_at(customer, NOON, "1"),
        edit_at(customer, NOON + timedelta(seconds=1), "2"),
        customer.deletion("m-1"),
    )
    for n in order:
        await customer.tell(changes[n])
    assert len(await quarantined(customer)) == 3
    message = await customer.writes("0", "m-1")
    await look_now(customer)
    await eventually(lambda: quarantined(customer), lambda rows: not rows)  # the product may look at the same time
    deleted = await customer.shop.client.messages.get(message.id)
    assert deleted.deleted_at is not None
    assert await text_of(customer, message) == "2"
    seen = await told(customer)
    assert (seen[0], set(seen[1:-1]), seen[-1]) == ("message.received", {"message.edited"}, "message.deleted")


async def test_looked_for_by_many_at_once_an_edit_lands_once(customer: Customer) -> None:
    await customer.tell(edit_at(customer, NOON, "better"))
    message = await customer.writes("good", "m-1")
    await asyncio.gather(*(look_now(customer) for _ in range(8)))
    await eventually(lambda: quarantined(customer), lambda rows: not rows)
    assert await told(customer) == ["message.received", "message.edited"]
    (row,) = await query(
        customer.running, "SELECT history FROM messages WHERE id = :id", id=read_id(MESSAGE, message.id)
    )
    assert [version["content"]["text"] for version in row.history] == ["good"]


async def test_an_edit_that_came_before_another_of_the_same_second_does_not_replace_it(customer: Customer) -> None:
    await customer.tell(edit_at(customer, NOON, "1"))
    await customer.tell(customer.message("0", "m-1"), edit_at(customer, NOON, "2"))
    await eventually(lambda: quarantined(customer), lambda rows: not rows)
    conversation = await customer.conversation()
    (message,) = (await customer.shop.client.messages.list(conversation.id)).items
    assert await text_of(customer, message) == "2"


async def test_edits_without_a_time_that_wait_land_in_the_order_in_which_they_came(customer: Customer) -> None:
    await customer.tell(*(edit_at(customer, UNDATED, str(n)) for n in range(1, 5)))
    message = await customer.writes("0", "m-1")
    await look_now(customer)
    await eventually(lambda: quarantined(customer), lambda rows: not rows)
    assert await text_of(customer, message) == "4"


async def test_a_change_waits_for_the_message_of_its_own_customer(running: Running, shop: Shop) -> None:
    one, other = Customer(running, shop), Customer(running, shop)
    await one.tell(one.deletion("m-1"))
    (waiting,) = await quarantined(one)
    message = await other.writes("Hello?", "m-1")
    await one.writes("Hi?", "m-2")
    told_before = await told(one)
    await look_now(one)
    assert await quarantined(one) == [waiting]
    assert (await shop.client.messages.get(message.id)).deleted_at is None
    assert await told(one) == told_before, "looking in vain says nothing"


async def test_a_change_waits_for_the_message_of_the_same_person_by_whatever_id(customer: Customer) -> None:
    also = Customer(customer.running, customer.shop)
    await also.tell(also.deletion("m-1"))
    await customer.tell(customer.message("Oops", "m-1", sender=Sender(aliases=(also.peer,))))
    await look_now(customer)
    await eventually(lambda: quarantined(customer), lambda rows: not rows)
    assert await told(customer) == ["message.received", "message.deleted"]


async def test_what_has_waited_too_long_is_left_to_a_person(customer: Customer) -> None:
    await customer.tell(customer.deletion("m-1"))
    (row,) = await quarantined(customer)
    long_ago = least_uuid(datetime.now(UTC) - PATIENCE - timedelta(minutes=1))
    await execute(
        customer.running, "UPDATE journal SET id = :old WHERE id = :id", old=long_ago, id=read_id(INBOUND, row.id)
    )
    message = await customer.writes("Oops", "m-1")
    await look_now(customer)
    (left,) = await quarantined(customer)
    assert (await customer.shop.client.messages.get(message.id)).deleted_at is None
    assert (await customer.shop.client.inbound.replay(left.id)).state == "processed"
    assert (await customer.shop.client.messages.get(message.id)).deleted_at is not None


async def test_a_change_that_cannot_land_stays_and_holds_up_no_other(customer: Customer) -> None:
    await customer.tell(edit_at(customer, NOON, "1"), customer.deletion("m-2"))
    conversation = (await customer.writes("0", "m-0")).conversation
    refused = f"conversation_id = '{read_id(CONVERSATION, conversation)}' AND content ->> 'text' = '1'"
    name = fresh("refuses").replace("-", "_")
    await execute(customer.running, f"ALTER TABLE messages ADD CONSTRAINT {name} CHECK (NOT ({refused}))")
    try:
        await customer.tell(customer.message("0", "m-1"), customer.message("Oops", "m-2"))
        await look_now(customer)
        left = await eventually(lambda: quarantined(customer), lambda rows: len(rows) == 1)
        assert [row.kind for row in left] == ["message_edited"]
    finally:
        await execute(customer.running, f"ALTER TABLE messages DROP CONSTRAINT {name}")
    await look_now(customer)
    await eventually(lambda: quarantined(customer), lambda rows: not rows)
