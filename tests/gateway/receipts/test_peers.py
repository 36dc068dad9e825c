"""Provider ids may count per chat: a receipt speaks of a message to the partner whom it names, or to nobody's."""

import itertools
from dataclasses import replace

import pytest
from shopbell_client import Message

from shared.commands import Sent
from shared.events import Evidence, Status
from shared.ids import new_uuid
from tests.gateway.receipts.answering import (
    GONE,
    answer,
    ended,
    on_its_way,
    parked,
    see,
    settled,
    someone_on,
    status,
)
from tests.support.customer import Customer, fresh
from tests.support.product import Running, Shop
from tests.support.scripted import Script
from tests.support.tables import execute


@pytest.fixture
async def other(scripted: Running, scripted_shop: Shop, customer: Customer) -> Customer:
    """Somebody else on the same channel."""
    return await someone_on("scripted", scripted, scripted_shop, channel=customer.channel_id)


async def sent_as(customer: Customer, script: Script, *external_ids: str) -> Message:
    script.then(Sent(external_ids=external_ids))
    return await settled(customer, await answer(customer), "sent")


async def also_known_as(customer: Customer, peer: str) -> Customer:
    """The same person under another id of the provider's."""
    await execute(
        customer.running,
        "INSERT INTO identities (shop_id, id, contact_id, channel_type, account, peer) "
        "SELECT shop_id, :new, contact_id, channel_type, account, :alias FROM identities "
        "WHERE shop_id = :shop AND peer = :peer",
        new=new_uuid(),
        alias=peer,
        shop=customer.shop.uuid,
        peer=customer.peer,
    )
    return replace(customer, peer=peer)


async def test_two_customers_with_the_same_id_do_not_get_each_others_receipts(
    customer: Customer, other: Customer, script: Script
) -> None:
    ours, theirs = await sent_as(customer, script, "7"), await sent_as(other, script, "7")
    await customer.tell(customer.receipt(Status.READ, "7"))
    assert (await status(customer, ours), await status(other, theirs)) == ("read", "sent")
    await other.tell(other.receipt(Status.FAILED, "7", reason=GONE))
    assert (await status(customer, ours), await status(other, theirs)) == ("read", "failed")


@pytest.mark.slow
async def test_receipts_for_two_that_come_too_early_find_their_own_in_every_order(
    customer: Customer, other: Customer
) -> None:
    for order in itertools.permutations(range(4)):
        number = fresh("7")
        ours, first = await on_its_way(customer)
        theirs, second = await on_its_way(other)
        told = (
            customer.receipt(Status.DELIVERED, number),
            other.receipt(Status.READ, number),
            ended(customer, ours, 1, number),
            ended(other, theirs, 1, number),
        )
        for place in order:
            await customer.tell(told[place])
        assert (await status(customer, ours), await status(other, theirs)) == ("delivered", "read"), order
        first.let_go()
        second.let_go()
    assert await parked(customer) == 0


async def test_a_watermark_at_an_id_covers_only_the_messages_to_that_customer(
    customer: Customer, other: Customer, script: Script
) -> None:
    ours = [await sent_as(customer, script, str(number)) for number in (7, 8)]
    theirs = [await sent_as(other, script, str(number)) for number in (7, 8)]
    await other.tell(other.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id="8"))
    assert [await status(customer, message) for message in ours] == ["sent", "sent"]
    assert [await status(other, message) for message in theirs] == ["read", "read"]


async def test_a_customer_who_is_known_under_two_ids_is_one_customer(customer: Customer, script: Script) -> None:
    alias = await also_known_as(customer, fresh("alias"))
    first, second = await sent_as(customer, script, "7"), await sent_as(customer, script, "8")
    await alias.tell(alias.receipt(Status.DELIVERED, "7"))
    assert await status(customer, first) == "delivered"
    await alias.tell(alias.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id="8"))
    assert [await status(customer, message) for message in (first, second)] == ["read", "read"]
    await alias.tell(alias.receipt(Status.FAILED, fresh("unknown"), reason=GONE))
    assert await parked(customer) == 1


async def test_an_id_of_the_customers_other_end_does_not_take_what_is_meant_for_this_one(
    customer: Customer, other: Customer, script: Script
) -> None:
    """One person with two accounts, in whose chats ids are counted apart."""
    ours, theirs = await sent_as(customer, script, "7"), await sent_as(other, script, "7")
    await execute(
        customer.running,
        "UPDATE identities SET contact_id = (SELECT contact_id FROM identities WHERE shop_id = :shop AND peer = :one) "
        "WHERE shop_id = :shop AND peer = :two",
        shop=customer.shop.uuid,
        one=customer.peer,
        two=other.peer,
    )
    await other.tell(other.receipt(Status.READ, "7"))
    assert (await status(customer, ours), await status(other, theirs)) == ("sent", "read")


async def test_somebody_unknown_is_believed_if_only_one_message_has_the_id(
    customer: Customer, other: Customer, script: Script
) -> None:
    stranger = replace(customer, peer=fresh("stranger"))
    number, shared_number = fresh("only"), fresh("twice")
    message = await sent_as(customer, script, number)
    ours, theirs = await sent_as(customer, script, shared_number), await sent_as(other, script, shared_number)
    await stranger.tell(stranger.receipt(Status.DELIVERED, number), stranger.receipt(Status.READ, shared_number))
    assert await status(customer, message) == "delivered"
    assert (await status(customer, ours), await status(other, theirs)) == ("sent", "sent")
    mark = {"evidence": Evidence.WATERMARK}
    await stranger.tell(stranger.receipt(Status.READ, up_to_id=number, **mark))
    assert (await status(customer, message), await status(customer, ours)) == ("read", "sent")


async def test_a_receipt_with_both_ids_that_names_somebody_else_speaks_of_the_try_whose_id_it_names(
    customer: Customer, other: Customer, script: Script
) -> None:
    first, second = fresh("wamid"), fresh("wamid")
    message = await sent_as(customer, script, first)
    await other.tell(other.receipt(Status.FAILED, first, message_id=message.id, reason=GONE))
    assert await status(customer, message) == "failed"
    script.then(Sent(external_ids=(second,)))
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    await other.tell(other.receipt(Status.FAILED, first, message_id=message.id, reason=GONE))
    assert await status(customer, message) == "sent"
    await other.tell(other.receipt(Status.FAILED, second, message_id=message.id, reason=GONE))
    assert await status(customer, message) == "failed"
    assert [part.external_id for part in (await see(customer, message)).parts] == [second]


async def test_a_receipt_with_both_ids_that_names_somebody_else_finds_the_part_by_theirs(
    customer: Customer, other: Customer, script: Script
) -> None:
    one, two = fresh("wamid"), fresh("wamid")
    message = await sent_as(customer, script, one, two)
    await other.tell(other.receipt(Status.FAILED, two, message_id=message.id, reason=GONE))
    failed = await see(customer, message)
    assert [(part.external_id, part.status) for part in failed.parts] == [(one, "sent"), (two, "failed")]


async def test_a_receipt_of_an_unknown_customer_that_comes_too_early_is_matched_later(customer: Customer) -> None:
    stranger, number = replace(customer, peer=fresh("stranger")), fresh("only")
    message, held = await on_its_way(customer)
    await stranger.tell(stranger.receipt(Status.DELIVERED, number))
    await customer.tell(ended(customer, message, 1, number))
    assert await status(customer, message) == "delivered"
    held.let_go()


async def test_a_customer_of_whom_we_learn_another_id_gets_what_was_said_under_it(customer: Customer) -> None:
    """The receipt names an end that belongs to nobody's message yet, and to this customer a moment later."""
    number = fresh("7")
    message, held = await on_its_way(customer)
    await customer.tell(ended(customer, message, 1, number))
    alias = replace(customer, peer=fresh("alias"))
    await alias.tell(alias.message("Who is this?"))
    await alias.tell(alias.receipt(Status.READ, number))
    assert await status(customer, message) == "sent"
    await execute(
        customer.running,
        "UPDATE identities SET contact_id = (SELECT contact_id FROM identities WHERE shop_id = :shop AND peer = :one) "
        "WHERE shop_id = :shop AND peer = :two",
        shop=customer.shop.uuid,
        one=customer.peer,
        two=alias.peer,
    )
    await customer.running.gateway.relay.sweep()
    assert await status(customer, message) == "read"
    held.let_go()
