"""Receipts against the real tables: the same truth in whatever order they come, and only for whom they are meant."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from shopbell_client import Message

from gateway.receipts.fold import Entry, fold
from shared.errors import Unavailable
from shared.events import Evidence, Reason, SendOutcome, Status
from shared.ids import MESSAGE, new_id
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.scripted import Held, new_channel, script_of
from tests.support.tables import query

REPORTED = (Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED)
GONE = Reason(code="gone", detail="The number is no longer in use.")


@pytest.fixture
async def customer(scripted: Running, scripted_shop: Shop) -> Customer:
    """Someone on a channel that reports each message, with a first message written."""
    channel = await new_channel(scripted_shop, "scripted")
    someone = Customer(scripted, scripted_shop, channel=channel, channel_type="scripted")
    await someone.writes("Hello?")
    return someone


async def answers(customer: Customer, count: int) -> list[Message]:
    """That many answers, on their way out."""
    conversation = await customer.conversation()
    sent = [await customer.shop.client.messages.send(conversation.id, text=str(n)) for n in range(count)]
    last = await eventually(
        lambda: customer.shop.client.messages.get(sent[-1].id), lambda m: m.status == "sent", timeout_s=30
    )
    assert last.parts
    return [await customer.shop.client.messages.get(message.id) for message in sent]


def external_id(message: Message) -> str:
    (part,) = message.parts
    assert part.external_id
    return part.external_id


async def status(customer: Customer, message: Message) -> str:
    return (await customer.shop.client.messages.get(message.id)).status


@pytest.mark.slow
async def test_every_order_of_every_receipt_gives_the_same_status(customer: Customer) -> None:
    orders = [order for count in range(1, 5) for order in itertools.permutations(REPORTED, count)]
    messages = await answers(customer, len(orders))
    after = (await customer.shop.client.events_page(after="now")).next
    for message, order in zip(messages, orders, strict=True):
        for told in (*order, order[0]):
            reason = GONE if told is Status.FAILED else None
            await customer.tell(customer.receipt(told, external_id(message), reason=reason))
    wrong = {}
    for message, order in zip(messages, orders, strict=True):
        wanted = fold([Entry(told, Evidence.PROVIDER_RECEIPT) for told in order], generation=1).status
        if (found := await status(customer, message)) != wanted:
            wrong[order] = found
    assert wrong == {}
    await check_that_no_status_fell(customer, after)


async def check_that_no_status_fell(customer: Customer, after: str) -> None:
    """As the feed tells it: upwards only; from failed only to proof that it did arrive."""
    rank = {"sent": 0, "failed": 1, "delivered": 2, "read": 3}
    seen: dict[str, int] = {}
    page = await customer.shop.client.events_page(after=after, types=["message.status"], limit=500)
    assert page.items
    for event in page.items:
        assert isinstance(event.data, Message)
        assert rank[event.data.status] >= seen.get(event.data.id, 0), event.data
        seen[event.data.id] = rank[event.data.status]


async def test_a_repeated_receipt_is_told_once(customer: Customer) -> None:
    (message,) = await answers(customer, 1)
    for _ in range(3):
        receipt = customer.receipt(Status.DELIVERED, external_id(message))
        await customer.tell(receipt, receipt)
    lines = await customer.shop.client.messages.receipts(message.id)
    assert [line.status for line in lines] == ["sent", "delivered"]


async def test_a_failure_tells_why(customer: Customer) -> None:
    (message,) = await answers(customer, 1)
    await customer.tell(customer.receipt(Status.FAILED, external_id(message), reason=GONE))
    failed = await customer.shop.client.messages.get(message.id)
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.detail) == (GONE.code, GONE.detail)
    await customer.tell(customer.receipt(Status.DELIVERED, external_id(message)))
    assert (await customer.shop.client.messages.get(message.id)).failure is None


async def test_receipts_that_come_before_the_message_is_known_are_matched_later(customer: Customer) -> None:
    """The provider's hook overtakes its own answer to our call."""
    script = script_of(customer.channel_id)
    held = Held()
    script.then(held)
    conversation = await customer.conversation()
    message = await customer.shop.client.messages.send(conversation.id, text="Hello!")
    await held.begun.wait()
    theirs = fresh("overtaken")
    await customer.tell(customer.receipt(Status.DELIVERED, theirs), customer.receipt(Status.READ, theirs))
    assert await status(customer, message) == "queued"
    await customer.tell(
        customer.receipt(
            Status.SENT,
            evidence=Evidence.PROVIDER_ACCEPT,
            message_id=message.id,
            outcome=SendOutcome(attempt=1, external_ids=(theirs,)),
        )
    )
    assert await status(customer, message) == "read"
    held.let_go()
    parked = await query(
        customer.running, "SELECT 1 FROM receipts WHERE shop_id = :id AND message_id IS NULL", id=customer.shop.uuid
    )
    assert parked == []


async def test_a_watermark_that_overtakes_its_message_is_matched_later(customer: Customer) -> None:
    held = Held()
    script_of(customer.channel_id).then(held)
    conversation = await customer.conversation()
    message = await customer.shop.client.messages.send(conversation.id, text="Hello!")
    await held.begun.wait()
    theirs = fresh("overtaken")
    await customer.tell(customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id=theirs))
    await customer.tell(
        customer.receipt(
            Status.SENT,
            evidence=Evidence.PROVIDER_ACCEPT,
            message_id=message.id,
            outcome=SendOutcome(attempt=1, external_ids=(theirs,)),
        )
    )
    assert await status(customer, message) == "read"
    held.let_go()


async def test_a_receipt_for_nobodys_message_waits_and_harms_nobody(customer: Customer) -> None:
    (message,) = await answers(customer, 1)
    await customer.tell(customer.receipt(Status.READ, "never-heard-of"), customer.receipt(Status.FAILED, fresh("x")))
    await customer.tell(customer.receipt(Status.READ, message_id=new_id(MESSAGE)))
    await customer.tell(customer.receipt(Status.READ, message_id="not an id"))
    assert await status(customer, message) == "sent"


async def test_a_message_of_several_parts_is_delivered_when_all_are(customer: Customer) -> None:
    script = script_of(customer.channel_id)
    one, two = fresh("part"), fresh("part")
    from shared.commands import Sent

    script.then(Sent(external_ids=(one, two)))
    conversation = await customer.conversation()
    message = await customer.shop.client.messages.send(conversation.id, text="A long one")
    await eventually(lambda: status(customer, message), lambda seen: seen == "sent")
    await customer.tell(customer.receipt(Status.READ, two))
    assert await status(customer, message) == "sent"
    await customer.tell(customer.receipt(Status.DELIVERED, one))
    assert await status(customer, message) == "delivered"
    await customer.tell(customer.receipt(Status.READ, one))
    assert await status(customer, message) == "read"


# Watermarks


async def test_a_watermark_up_to_a_message_covers_it_and_all_before(customer: Customer) -> None:
    messages = await answers(customer, 4)
    mark = customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id=external_id(messages[2]))
    await customer.tell(mark, mark)
    assert [await status(customer, message) for message in messages] == ["read", "read", "read", "sent"]
    assert (await customer.conversation()).contact_read_seq == messages[2].seq


async def test_a_late_delivered_does_not_unread_a_message(customer: Customer) -> None:
    messages = await answers(customer, 2)
    newest = external_id(messages[1])
    await customer.tell(customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id=newest))
    await customer.tell(customer.receipt(Status.DELIVERED, evidence=Evidence.WATERMARK, up_to_id=newest))
    await customer.tell(customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id=external_id(messages[0])))
    assert [await status(customer, message) for message in messages] == ["read", "read"]
    assert (await customer.conversation()).contact_read_seq == messages[1].seq


async def test_a_watermark_of_time_covers_what_went_out_before(customer: Customer) -> None:
    messages = await answers(customer, 3)
    moment = messages[1].created_at
    await customer.tell(customer.receipt(Status.DELIVERED, evidence=Evidence.WATERMARK, up_to=moment))
    found = [await status(customer, message) for message in messages]
    assert found[2] == "sent"
    assert found[0] == "delivered"
    late = datetime.now(UTC) + timedelta(seconds=5)
    await customer.tell(customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to=late))
    assert [await status(customer, message) for message in messages] == ["read"] * 3


async def test_a_watermark_of_time_does_not_cover_what_has_not_gone_out(customer: Customer) -> None:
    """A customer cannot have read what still waits in our outbox."""
    script_of(customer.channel_id).then(Unavailable("not now"))
    conversation = await customer.conversation()
    message = await customer.shop.client.messages.send(conversation.id, text="Hello!")
    late = datetime.now(UTC) + timedelta(seconds=5)
    await customer.tell(customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to=late))
    assert await status(customer, message) == "queued"
    await eventually(lambda: status(customer, message), lambda seen: seen == "sent")


async def test_a_watermark_does_not_cover_what_never_went_out(customer: Customer) -> None:
    """The provider refused the first; the customer read the second: they have not read the first."""
    messages = await answers(customer, 2)
    await customer.tell(customer.receipt(Status.FAILED, external_id(messages[0]), reason=GONE))
    mark = {"evidence": Evidence.WATERMARK}
    await customer.tell(customer.receipt(Status.READ, up_to_id=external_id(messages[1]), **mark))
    late = datetime.now(UTC) + timedelta(seconds=5)
    await customer.tell(customer.receipt(Status.READ, up_to=late, **mark))
    assert [await status(customer, message) for message in messages] == ["failed", "read"]


async def test_a_watermark_that_names_anothers_message_changes_nothing(scripted: Running, customer: Customer) -> None:
    other = Customer(scripted, customer.shop, channel=customer.channel_id, channel_type="scripted")
    await other.writes("Me too!")
    ours, theirs = (await answers(customer, 1))[0], (await answers(other, 1))[0]
    for named in (theirs.id, external_id(theirs)):
        await customer.tell(customer.receipt(Status.READ, evidence=Evidence.DEVICE, up_to_id=named))
        await customer.tell(customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id=named))
    assert (await status(customer, ours), await status(customer, theirs)) == ("sent", "sent")


async def test_a_watermark_never_covers_a_note(customer: Customer) -> None:
    conversation = await customer.conversation()
    note = await customer.shop.client.messages.send(conversation.id, text="Careful.", visibility="internal")
    (answer,) = await answers(customer, 1)
    await customer.tell(customer.receipt(Status.READ, evidence=Evidence.WATERMARK, up_to_id=external_id(answer)))
    assert await status(customer, note) == "sent"
    assert await status(customer, answer) == "read"
