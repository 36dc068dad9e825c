"""A payload that the connector could not take apart, told again after it learned to."""

from collections.abc import Callable, Sequence

import pytest
from shopbell_client import Conflict, Inbound

from shared.connector import Hook
from shared.events import Evidence, InboundEvent, Status
from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.operations import undigested
from tests.support.product import Running, Shop
from tests.support.scripted import Scripted, new_channel

Learn = Callable[..., None]


@pytest.fixture
async def customer(scripted: Running, scripted_shop: Shop) -> Customer:
    channel = await new_channel(scripted_shop, "scripted")
    customer = Customer(scripted, scripted_shop, channel=channel, channel_type="scripted")
    await customer.writes("Hello?")
    return customer


@pytest.fixture
def learn(monkeypatch: pytest.MonkeyPatch) -> Learn:
    """The provider stand-in finds these events in whatever payload it is asked about."""

    def learn(*events: InboundEvent) -> None:
        def parse(connector: Scripted, hook: Hook) -> Sequence[InboundEvent]:
            return events

        monkeypatch.setattr(Scripted, "parse", parse)

    return learn


async def set_aside(customer: Customer) -> Inbound:
    """Tell a payload that nobody understands; its row."""
    known = {row.id for row in await quarantined(customer)}
    await customer.tell(undigested(customer))
    (row,) = [row for row in await quarantined(customer) if row.id not in known]
    return row


async def quarantined(customer: Customer) -> list[Inbound]:
    return [row async for row in customer.shop.client.inbound.iterate(state="quarantined")]


async def replay(customer: Customer, row: Inbound) -> str:
    return (await customer.shop.client.inbound.replay(row.id)).state


async def texts(customer: Customer) -> list[str]:
    conversation = await customer.conversation()
    return [m.content.text async for m in customer.shop.client.messages.iterate(conversation.id)][::-1]  # type: ignore[union-attr, return-value]


async def test_what_is_in_it_lands_in_order_once_and_is_journaled(customer: Customer, learn: Learn) -> None:
    row = await set_aside(customer)
    message, another = customer.message("Is it in stock?"), customer.message("The red one")
    learn(message, another, message)
    assert await replay(customer, row) == "processed"
    assert await replay(customer, row) == "processed"
    assert await texts(customer) == ["Hello?", "Is it in stock?", "The red one"]
    rows = [row async for row in customer.shop.client.inbound.iterate()]
    assert [(row.kind, row.state) for row in rows].count(("message_received", "processed")) == 3


async def test_a_change_in_it_of_a_message_that_is_not_here_waits_for_that_message(
    customer: Customer, learn: Learn
) -> None:
    row = await set_aside(customer)
    learn(customer.edit("m-1", "better"), customer.deletion("m-2"))
    assert await replay(customer, row) == "processed"
    waiting = await quarantined(customer)
    assert {row.kind for row in waiting} == {"message_edited", "message_deleted"}
    told = (await customer.shop.client.events_page(types=["inbound.quarantined"], limit=500)).items
    ids = {event.data.id for event in told if isinstance(event.data, Inbound)}
    assert {one.id for one in waiting} <= ids
    assert [(await customer.shop.client.inbound.get(id)).id for id in ids] == list(ids)
    await customer.writes("good", "m-1")
    await customer.writes("Oops", "m-2")
    assert [await replay(customer, row) for row in waiting] == ["processed", "processed"]
    assert await texts(customer) == ["Hello?", "better", "Oops"]


async def test_one_of_its_messages_that_has_landed_meanwhile_does_not_hold_up_the_rest(
    customer: Customer, learn: Learn
) -> None:
    row = await set_aside(customer)
    known, new = customer.message("known"), customer.message("new")
    await customer.tell(known)
    learn(known, new)
    assert await replay(customer, row) == "processed"
    assert await texts(customer) == ["Hello?", "known", "new"]
    assert await quarantined(customer) == []


async def test_a_message_told_again_after_it_landed_by_replay_is_known(customer: Customer, learn: Learn) -> None:
    row = await set_aside(customer)
    message = customer.message("Is it in stock?")
    learn(message)
    assert await replay(customer, row) == "processed"
    await customer.tell(message)
    await customer.tell(message, customer.message("The red one"))
    assert await texts(customer) == ["Hello?", "Is it in stock?", "The red one"]
    assert await quarantined(customer) == []


async def test_a_payload_in_which_there_is_nothing_for_us_is_done_with(customer: Customer, learn: Learn) -> None:
    row = await set_aside(customer)
    learn()
    assert await replay(customer, row) == "processed"
    assert await quarantined(customer) == []
    assert await texts(customer) == ["Hello?"]


async def test_a_receipt_in_it_counts(customer: Customer, learn: Learn) -> None:
    conversation = await customer.conversation()
    answer = await customer.shop.client.messages.send(conversation.id, text="Yes.")
    (part, *_) = (await eventually(lambda: customer.shop.client.messages.get(answer.id), lambda m: m.parts)).parts
    assert part.external_id is not None
    row = await set_aside(customer)
    learn(customer.receipt(Status.READ, part.external_id))
    assert await replay(customer, row) == "processed"
    read = await customer.shop.client.messages.get(answer.id)
    assert (read.status, read.status_evidence) == ("read", Evidence.PROVIDER_RECEIPT)


async def test_a_part_that_is_still_not_understood_is_a_row_of_its_own_and_the_whole_stays_what_it_is(
    customer: Customer, learn: Learn
) -> None:
    row, message = await set_aside(customer), customer.message("Is it in stock?")
    part = undigested(customer)
    learn(message, part)
    assert await replay(customer, row) == "processed"
    (left,) = await quarantined(customer)
    assert left.kind == "undigested"
    learn(part)
    with pytest.raises(Conflict, match="still cannot be understood"):
        await replay(customer, left)
    assert await quarantined(customer) == [left]
    assert await texts(customer) == ["Hello?", "Is it in stock?"]
