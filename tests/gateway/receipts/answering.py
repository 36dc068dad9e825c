"""Answers of a shop while a test holds their sends in its hands."""

from datetime import UTC, datetime
from typing import Any

from shopbell_client import Message

from shared.events import Evidence, Fate, Reason, ReceiptReported, SendOutcome, Status
from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.scripted import Held, new_channel, script_of
from tests.support.tables import execute, query

GONE = Reason(code="gone", detail="The number is no longer in use.")


async def someone_on(type_: str, scripted: Running, shop: Shop, *, channel: str = "") -> Customer:
    """Someone who has written, on a channel of their own unless one is given."""
    customer = Customer(scripted, shop, channel=channel or await new_channel(shop, type_), channel_type=type_)
    await customer.writes("Hello?")
    return customer


async def answer(customer: Customer, text: str = "Hello!") -> Message:
    conversation = await customer.conversation()
    return await customer.shop.client.messages.send(conversation.id, text=text)


async def see(customer: Customer, message: Message) -> Message:
    return await customer.shop.client.messages.get(message.id)


async def status(customer: Customer, message: Message) -> str:
    return (await see(customer, message)).status


async def settled(customer: Customer, message: Message, *statuses: str) -> Message:
    return await eventually(lambda: see(customer, message), lambda m: m.status in statuses, timeout_s=30)


async def on_its_way(customer: Customer, text: str = "Hello!") -> tuple[Message, Held]:
    """An answer whose send has begun and does not end by itself."""
    held = Held()
    script_of(customer.channel_id).then(held)
    message = await answer(customer, text)
    await held.begun.wait()
    return message, held


def ended(
    customer: Customer, message: Message, attempt: int, *external_ids: str, fate: Fate | None = None, **more: Any
) -> ReceiptReported:
    """What a connector reports of an attempt."""
    told = {None: Status.SENT, Fate.ASK: Status.UNCERTAIN}.get(fate, Status.FAILED)
    reason = None if fate is None else Reason(code=more.pop("code", "rejected"), detail="No.")
    return ReceiptReported(
        address=customer.address,
        occurred_at=datetime.now(UTC),
        status=told,
        evidence=Evidence.PROVIDER_ACCEPT if fate is None else Evidence.NONE,
        message_id=message.id,
        reason=reason,
        outcome=SendOutcome(attempt=attempt, external_ids=external_ids, fate=fate, **more),
    )


async def queued(customer: Customer) -> list[tuple[str, int]]:
    rows = await query(
        customer.running, "SELECT state, attempts FROM outbox WHERE shop_id = :id ORDER BY id", id=customer.shop.uuid
    )
    return [(row.state, row.attempts) for row in rows]


async def hurry(customer: Customer) -> None:
    """Whatever waits for a later try waits no longer."""
    await execute(customer.running, "UPDATE outbox SET available_at = now() WHERE shop_id = :id", id=customer.shop.uuid)
    customer.running.gateway.relay._awake.set()


async def lapse(customer: Customer) -> None:
    """The process that was sending is gone: its lease runs out."""
    await execute(
        customer.running,
        "UPDATE outbox SET lease_until = now() - interval '1 s' WHERE shop_id = :id AND state = 'sending'",
        id=customer.shop.uuid,
    )
    await customer.running.gateway.relay.sweep()


async def parked(customer: Customer) -> int:
    """How many receipts of the shop still look for their message."""
    sql = "SELECT count(*) AS n FROM receipts WHERE shop_id = :id AND message_id IS NULL"
    count: int = (await query(customer.running, sql, id=customer.shop.uuid))[0].n
    return count
