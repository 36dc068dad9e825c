"""How long a send may take: what carries a file longer than words, and its conversation waits for it."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from shopbell_client import Message

from tests.gateway.receipts.answering import answer, queued, settled, status
from tests.support.customer import Customer, fresh
from tests.support.product import Running, Shop
from tests.support.scripted import Held
from tests.support.tables import execute, query
from tests.support.wordy import wordings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
async def customer(scripted: Running, scripted_shop: Shop) -> Customer:
    """Someone on a channel that carries files."""
    number = fresh("number")
    channel = await scripted_shop.client.channels.create(type="wordy", name="Wordy", settings={"number": number})
    customer = Customer(scripted, scripted_shop, channel=channel.id, channel_type="wordy", account=number)
    await customer.writes("Show me")
    return customer


@pytest.fixture
async def held(customer: Customer) -> AsyncIterator[Held]:
    """Sends stay on their way until they are let go."""
    held = Held()
    wordings(customer.account).wait = held.wait
    yield held
    held.let_go()


async def send(customer: Customer, content: dict[str, Any]) -> Message:
    conversation = await customer.conversation()
    return await customer.shop.client.messages.send(conversation.id, content=content)


async def picture(customer: Customer) -> dict[str, Any]:
    kept = await customer.shop.client.attachments.create(PNG + fresh("").encode(), name="one.png", mime="image/png")
    return {"kind": "media", "media": "image", "attachment": kept.id}


async def content_of(customer: Customer, what: str) -> dict[str, Any]:
    template = {"kind": "template", "name": "ready", "language": "en"}
    match what:
        case "picture":
            return await picture(customer)
        case "album":
            return {"kind": "album", "items": [await picture(customer), await picture(customer)]}
        case "template with a picture":
            return template | {"header_media": await picture(customer)}
        case "template":
            return template
        case _:
            return {"kind": "text", "text": "Hello!"}


async def lease(customer: Customer) -> timedelta:
    """What is left of the lease of the only command that is on its way."""
    (row,) = await query(
        customer.running,
        "SELECT lease_until - now() AS left FROM outbox WHERE shop_id = :id AND state = 'sending'",
        id=customer.shop.uuid,
    )
    left: timedelta = row.left
    return left


async def later(customer: Customer, by: timedelta) -> None:
    await execute(
        customer.running,
        "UPDATE outbox SET lease_until = lease_until - CAST(:by AS interval) WHERE shop_id = :id AND state = 'sending'",
        id=customer.shop.uuid,
        by=by,
    )
    await customer.running.gateway.relay.sweep()


@pytest.mark.parametrize("what", ["picture", "album", "template with a picture"])
async def test_what_carries_a_file_has_five_minutes(customer: Customer, held: Held, what: str) -> None:
    await send(customer, await content_of(customer, what))
    await held.begun.wait()
    assert timedelta(minutes=4, seconds=30) < await lease(customer) <= timedelta(minutes=5)


@pytest.mark.parametrize("what", ["text", "template"])
async def test_words_have_half_a_minute(customer: Customer, held: Held, what: str) -> None:
    await send(customer, await content_of(customer, what))
    await held.begun.wait()
    assert timedelta() < await lease(customer) <= timedelta(seconds=30)


async def test_nothing_overtakes_a_file_that_is_still_going_out(customer: Customer, held: Held) -> None:
    first, second = await send(customer, await picture(customer)), await answer(customer)
    await held.begun.wait()
    await later(customer, timedelta(minutes=4))
    assert await queued(customer) == [("sending", 1), ("ready", 0)]
    held.let_go()
    await settled(customer, second, "sent")
    assert await status(customer, first) == "sent"
    assert [command.content.kind for command in wordings(customer.account).sent] == ["media", "text"]


async def test_a_file_whose_sender_is_gone_is_uncertain_in_the_end_and_lets_the_next_go(
    customer: Customer, held: Held
) -> None:
    first, second = await send(customer, await picture(customer)), await answer(customer)
    await held.begun.wait()
    wordings(customer.account).wait = None
    await later(customer, timedelta(minutes=5, seconds=1))
    assert await status(customer, first) == "uncertain"
    await settled(customer, second, "sent")


async def test_a_process_that_knows_itself_alone_does_not_wait_for_the_lease(customer: Customer, held: Held) -> None:
    first = await send(customer, await picture(customer))
    await held.begun.wait()
    await customer.running.gateway.relay.reclaim()
    await customer.running.gateway.relay.sweep()
    assert await status(customer, first) == "uncertain"
