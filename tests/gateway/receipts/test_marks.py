"""Watermarks that overtake what they cover: the same truth in whatever order they, answers and receipts come."""

import itertools
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from shopbell_client import Message

from shared.content import Text
from shared.errors import Unavailable
from shared.events import Echo, Evidence, Fate, ReceiptReported, Status
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
    someone_on,
    status,
)
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.scripted import Script

MARK = {"evidence": Evidence.WATERMARK}


def external_id(message: Message) -> str:
    (part,) = message.parts
    assert part.external_id
    return part.external_id


async def test_a_watermark_of_time_that_overtakes_the_answer_to_our_send_counts(customer: Customer) -> None:
    message, held = await on_its_way(customer)
    await customer.tell(customer.receipt(Status.READ, up_to=datetime.now(UTC) + timedelta(seconds=2), **MARK))
    assert await status(customer, message) == "queued"
    held.let_go()
    await settled(customer, message, "read")
    assert (await customer.conversation()).contact_read_seq == message.seq


async def test_the_highest_of_several_overtaking_watermarks_counts(customer: Customer) -> None:
    message, held = await on_its_way(customer)
    moment = datetime.now(UTC) + timedelta(seconds=2)
    for told in (Status.DELIVERED, Status.READ, Status.DELIVERED):
        await customer.tell(customer.receipt(told, up_to=moment, **MARK))
    held.let_go()
    await settled(customer, message, "read")


async def test_a_watermark_during_an_attempt_that_came_to_nothing_says_nothing_of_the_next(customer: Customer) -> None:
    message, held = await on_its_way(customer)
    await customer.tell(customer.receipt(Status.READ, up_to=datetime.now(UTC) + timedelta(seconds=2), **MARK))
    await customer.tell(ended(customer, message, 1, fate=Fate.LATER))
    await hurry(customer)
    await settled(customer, message, "sent")
    held.let_go()


async def test_a_watermark_counts_for_a_doubtful_send_once_it_proves_to_have_gone_out(customer: Customer) -> None:
    """Before or after the doubt, it makes no difference."""
    for early in (True, False):
        message, held = await on_its_way(customer)
        mark = customer.receipt(Status.READ, up_to=datetime.now(UTC) + timedelta(seconds=2), **MARK)
        if early:
            await customer.tell(mark)
        await lapse(customer)
        if not early:
            await customer.tell(mark)
        assert await status(customer, message) == "uncertain"
        held.let_go()
        await settled(customer, message, "read")


async def test_a_watermark_of_an_id_that_is_not_known_yet_covers_the_messages_before_it(customer: Customer) -> None:
    before = [await settled(customer, await answer(customer, text), "sent") for text in ("1", "2")]
    message, held = await on_its_way(customer, "3")
    number = fresh("ahead")
    await customer.tell(customer.receipt(Status.READ, up_to_id=number, **MARK))
    assert [await status(customer, earlier) for earlier in before] == ["sent", "sent"]
    await customer.tell(ended(customer, message, 1, number))
    assert [await status(customer, each) for each in (*before, message)] == ["read"] * 3
    held.let_go()
    assert await parked(customer) == 0


async def test_a_watermark_of_time_does_not_cover_what_waits_in_the_lane(customer: Customer, script: Script) -> None:
    message, held = await on_its_way(customer)
    waiting = await answer(customer, "behind it")
    await customer.tell(customer.receipt(Status.READ, up_to=datetime.now(UTC) + timedelta(seconds=2), **MARK))
    held.let_go()
    await settled(customer, message, "read")
    await settled(customer, waiting, "sent")


async def test_a_repeated_watermark_adds_nothing_to_the_ledger(customer: Customer) -> None:
    message = await settled(customer, await answer(customer), "sent")
    await customer.tell(customer.receipt(Status.FAILED, external_id(message), reason=GONE))
    for second in range(3):
        moment = datetime.now(UTC) + timedelta(seconds=second)
        await customer.tell(customer.receipt(Status.READ, up_to=moment, **MARK))
    lines = await customer.shop.client.messages.receipts(message.id)
    assert [line.status for line in lines] == ["sent", "failed", "read"]
    assert await status(customer, message) == "failed"


async def test_what_was_sent_from_elsewhere_is_covered_too(customer: Customer) -> None:
    echo = Echo(
        address=customer.address,
        occurred_at=datetime.now(UTC),
        external_id=fresh("echo"),
        content=Text(text="From the phone"),
        origin="provider_app",
    )
    await customer.tell(echo)
    conversation = await customer.conversation()
    (message,) = (await customer.shop.client.messages.list(conversation.id, limit=1)).items
    late = datetime.now(UTC) + timedelta(seconds=2)
    await customer.tell(customer.receipt(Status.DELIVERED, up_to=late, **MARK))
    assert await status(customer, message) == "delivered"


async def test_a_device_shows_what_it_has_whatever_we_believe(customer: Customer, script: Script) -> None:
    script.then(Unavailable("not now"))
    message = await answer(customer)
    await eventually(lambda: queued(customer), lambda rows: rows == [("ready", 1)])
    await customer.tell(customer.receipt(Status.READ, evidence=Evidence.DEVICE, up_to_id=message.id))
    assert await status(customer, message) == "read"


# Every order

STEPS = 5
ORDERS = list(itertools.permutations(range(STEPS)))


@pytest.mark.slow
async def test_answers_watermarks_and_receipts_give_the_same_in_some_orders(customer: Customer) -> None:
    await tell_in_orders(customer, itertools.product(random.sample(ORDERS, 8), (False, True)))


@pytest.mark.slow
async def test_answers_watermarks_and_receipts_give_the_same_in_every_order(customer: Customer) -> None:
    await tell_in_orders(customer, zip(ORDERS, itertools.cycle((False, True)), strict=False))


async def tell_in_orders(first: Customer, orders: Iterable[tuple[tuple[int, ...], bool]]) -> None:
    """For each order somebody with one message sent and one on its way; one event after another, or all at once."""
    found = {}
    for order, at_once in orders:
        customer = await someone_on("scripted", first.running, first.shop, channel=first.channel_id)
        sent = await settled(customer, await answer(customer, "sent"), "sent")
        coming, held = await on_its_way(customer, "coming")
        events = in_order(customer, sent, coming, order)
        for told in [events] if at_once else [[event] for event in events]:
            await customer.tell(*told)
        found[order, at_once] = (await status(customer, sent), await status(customer, coming))
        held.let_go()
    assert {key: seen for key, seen in found.items() if seen != ("read", "delivered")} == {}
    assert await parked(first) == 0


def in_order(customer: Customer, sent: Message, coming: Message, order: Sequence[int]) -> list[ReceiptReported]:
    number = fresh("coming")
    told = (
        ended(customer, coming, 1, number),
        customer.receipt(Status.DELIVERED, up_to=datetime.now(UTC) + timedelta(seconds=2), **MARK),
        customer.receipt(Status.DELIVERED, up_to_id=number, **MARK),
        customer.receipt(Status.READ, up_to=sent.created_at, **MARK),
        customer.receipt(Status.SENT, number),
    )
    return [told[place] for place in order]
