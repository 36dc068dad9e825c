"""A person's retry: what is heard late of the earlier try does not decide the next, in whatever order it comes."""

import itertools
import random
from collections.abc import Sequence

import pytest
from shopbell_client import Conflict, Message

from gateway.receipts.fold import Entry, fold
from shared.commands import Sent
from shared.errors import Uncertain
from shared.events import Evidence, Fate, ReceiptReported, Status
from shared.ids import MESSAGE, read_id
from tests.gateway.receipts.answering import (
    GONE,
    answer,
    ended,
    hurry,
    lapse,
    on_its_way,
    parked,
    queued,
    settled,
    status,
)
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.scripted import Held, Script
from tests.support.tables import query


async def second_try(customer: Customer, script: Script) -> tuple[Message, Held, Held]:
    """A message whose first try was interrupted, and whose second a person has asked for: both are on their way."""
    message, first = await on_its_way(customer)
    await lapse(customer)
    assert await status(customer, message) == "uncertain"
    second = Held()
    script.then(second)
    await customer.shop.client.messages.retry(message.id)
    await second.begun.wait()
    return message, first, second


async def ledger_of(customer: Customer, message: Message) -> list[tuple[str, int, int | None]]:
    rows = await query(
        customer.running,
        "SELECT status, generation, attempt FROM receipts WHERE message_id = :id ORDER BY id",
        id=read_id(MESSAGE, message.id),
    )
    return [(row.status, row.generation, row.attempt) for row in rows]


async def test_the_late_refusal_of_the_first_try_does_not_end_the_second(customer: Customer, script: Script) -> None:
    message, first, second = await second_try(customer, script)
    await customer.tell(ended(customer, message, 1, fate=Fate.NEVER))
    assert await status(customer, message) == "queued"
    assert await queued(customer) == [("sending", 2)]
    assert await ledger_of(customer, message) == [("uncertain", 1, 1), ("failed", 1, 1)]
    second.let_go()
    await settled(customer, message, "sent")
    first.let_go()


async def test_the_late_success_of_the_first_try_does_not_end_the_second(customer: Customer, script: Script) -> None:
    message, first, second = await second_try(customer, script)
    await customer.tell(ended(customer, message, 1, fresh("first")))
    assert await queued(customer) == [("sending", 2)]
    assert (await ledger_of(customer, message))[-1] == ("sent", 1, 1)
    await customer.tell(ended(customer, message, 2, fate=Fate.ASK))
    assert await status(customer, message) == "uncertain"
    first.let_go()
    second.let_go()


async def test_the_refusal_of_an_interrupted_send_ends_the_doubt(customer: Customer) -> None:
    message, held = await on_its_way(customer)
    await lapse(customer)
    await customer.tell(ended(customer, message, 1, fate=Fate.LATER, code="unavailable"))
    failed = await settled(customer, message, "failed")
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.retryable) == ("unavailable", True)
    held.let_go()


async def test_attempts_are_counted_on_while_the_pauses_begin_anew(customer: Customer, script: Script) -> None:
    message, first, second = await second_try(customer, script)
    await customer.tell(ended(customer, message, 2, fate=Fate.LATER))
    assert await queued(customer) == [("ready", 2)]
    rows = await query(
        customer.running,
        "SELECT extract(epoch FROM available_at - now()) AS pause FROM outbox WHERE shop_id = :id",
        id=customer.shop.uuid,
    )
    assert rows[0].pause <= 1
    await hurry(customer)
    await settled(customer, message, "sent")
    assert [line[2] for line in await ledger_of(customer, message)] == [1, 3]
    first.let_go()
    second.let_go()


async def test_sent_then_failed_then_sent_again_into_the_unknown_is_uncertain(
    customer: Customer, script: Script
) -> None:
    number = fresh("first")
    script.then(Sent(external_ids=(number,)), Uncertain("The connection broke."))
    message = await settled(customer, await answer(customer), "sent")
    await customer.tell(customer.receipt(Status.FAILED, number, reason=GONE))
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "uncertain")
    await customer.tell(customer.receipt(Status.DELIVERED, number))
    assert await status(customer, message) == "delivered"


async def test_an_attempt_that_is_on_its_way_is_not_doubled_by_a_retry(customer: Customer, script: Script) -> None:
    """The provider's hook says failed before its own answer to our call has come."""
    message, held = await on_its_way(customer)
    await customer.tell(customer.receipt(Status.FAILED, message_id=message.id, reason=GONE))
    assert await status(customer, message) == "failed"
    with pytest.raises(Conflict, match="on its way"):
        await customer.shop.client.messages.retry(message.id)
    await customer.tell(ended(customer, message, 1, fate=Fate.LATER))
    await customer.shop.client.messages.retry(message.id)
    assert await queued(customer) == [("ready", 1)] or len(script.calls) == 2
    await settled(customer, message, "sent")
    assert len(script.calls) == 2
    held.let_go()


async def test_a_failure_told_of_the_first_try_while_the_second_waits_does_not_fail_it(
    customer: Customer, script: Script
) -> None:
    message, first = await on_its_way(customer)
    await lapse(customer)
    blocking = Held()
    script.then(blocking)
    await answer(customer, "before it in the lane")
    await blocking.begun.wait()
    await customer.shop.client.messages.retry(message.id)
    await customer.tell(customer.receipt(Status.FAILED, message_id=message.id, reason=GONE))
    assert await status(customer, message) == "queued"
    blocking.let_go()
    await settled(customer, message, "sent")
    first.let_go()


ORDERS = list(itertools.permutations(range(5)))


@pytest.mark.slow
async def test_statuses_of_two_tries_give_the_same_in_some_orders(customer: Customer, script: Script) -> None:
    await tell_of_two_tries(customer, script, random.sample(ORDERS, 16))


@pytest.mark.slow
async def test_statuses_of_two_tries_give_the_same_in_every_order(customer: Customer, script: Script) -> None:
    await tell_of_two_tries(customer, script, ORDERS)


async def tell_of_two_tries(customer: Customer, script: Script, orders: Sequence[tuple[int, ...]]) -> None:
    """The first try's late answer and receipts of its id, the second's answer, and a receipt of its id."""
    wrong: dict[tuple[int, ...], tuple[str, str]] = {}
    for order in orders:
        message, first, second = await second_try(customer, script)
        early, late = fresh("early"), fresh("late")
        told: tuple[ReceiptReported, ...] = (
            ended(customer, message, 1, early),
            ended(customer, message, 2, late),
            customer.receipt(Status.FAILED, early, reason=GONE),
            customer.receipt(Status.DELIVERED, late),
            customer.receipt(Status.READ, early),
        )
        last = order[-1]  # what is said without it is as telling as the whole
        for place in order[:-1]:
            await customer.tell(told[place])
        wanted = fold([ENTRIES[place] for place in order[:-1] if heard(place, order[:-1])], generation=2).status
        if (found := await status(customer, message)) != wanted:
            wrong[order[:-1]] = (found, wanted)
        await customer.tell(told[last])
        if (found := await status(customer, message)) != "read":
            wrong[order] = (found, "read")
        first.let_go()
        second.let_go()
        await eventually(lambda: queued(customer), lambda rows: rows == [])
    assert wrong == {}
    assert await parked(customer) == 0


ENTRIES = (
    Entry(Status.SENT, Evidence.PROVIDER_ACCEPT, None, 1),
    Entry(Status.SENT, Evidence.PROVIDER_ACCEPT, None, 2),
    Entry(Status.FAILED, Evidence.PROVIDER_RECEIPT, 0, 1),
    Entry(Status.DELIVERED, Evidence.PROVIDER_RECEIPT, 0, 2),
    Entry(Status.READ, Evidence.PROVIDER_RECEIPT, 0, 1),
)


def heard(place: int, told: tuple[int, ...]) -> bool:
    """A receipt of an id counts once the answer that gave the id has come."""
    gave_the_id = {2: 0, 3: 1, 4: 0}
    return gave_the_id.get(place, place) in told
