"""What is over: commands past their time or without a channel, signals that do not get through, old receipts."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shopbell_client import Message
from shopbell_client.content import Media as Shown

from gateway.database import driver
from gateway.housekeeping import clean
from gateway.outbox import queue
from shared.commands import MarkRead
from shared.content import Media
from shared.errors import AuthExpired, Rejected, Throttled, Unavailable
from shared.events import ChannelReported, MessageReceived, Reason, Status
from shared.ids import CHANNEL, CONVERSATION, read_id
from shared.subjects import CHANNEL_CHANGED, ChannelChanged
from tests.gateway.receipts.answering import answer, hurry, lapse, parked, queued, see, settled, someone_on, status
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.scripted import Held, Script, script_of
from tests.support.tables import execute, query
from tests.support.wordy import wordings


@pytest.fixture
async def customer(scripted: Running, scripted_shop: Shop) -> Customer:
    return await someone_on("scripted", scripted, scripted_shop)


@pytest.fixture
def script(customer: Customer) -> Script:
    return script_of(customer.channel_id)


async def too_late(customer: Customer) -> None:
    """Three days later."""
    await execute(
        customer.running,
        "UPDATE outbox SET deadline_at = now() - interval '3 days', available_at = now() - interval '3 days' "
        "WHERE shop_id = :id",
        id=customer.shop.uuid,
    )


async def waiting_for_the_channel(customer: Customer) -> Message:
    """An answer that was queued when its channel was paused."""
    held = Held()
    script_of(customer.channel_id).then(held)
    first = await answer(customer, "before")
    message = await answer(customer)
    await held.begun.wait()
    await customer.shop.client.channels.update(customer.channel_id, state="paused")
    held.let_go()
    await settled(customer, first, "sent")
    assert await queued(customer) == [("ready", 0)]
    return message


# Deadlines


async def test_a_message_that_waited_too_long_for_a_paused_channel_fails_and_says_so(
    customer: Customer, script: Script
) -> None:
    message = await waiting_for_the_channel(customer)
    await too_late(customer)
    failed = await settled(customer, message, "failed")
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.retryable) == ("deadline", True)
    assert "paused" in failed.failure.detail
    assert await queued(customer) == []
    await customer.shop.client.channels.update(customer.channel_id, state="active")
    following = await answer(customer, "after")
    await settled(customer, following, "sent")
    assert script.texts == ["before", "after"]


async def test_a_message_past_its_time_is_not_sent_though_the_channel_comes_back_first(
    customer: Customer, script: Script
) -> None:
    message = await waiting_for_the_channel(customer)
    await execute(
        customer.running,
        "WITH late AS (UPDATE outbox SET deadline_at = now() - interval '1 s' WHERE shop_id = :id) "
        "UPDATE channels SET state = 'active' WHERE shop_id = :id AND id = :channel",
        id=customer.shop.uuid,
        channel=read_id(CHANNEL, customer.channel_id),
    )
    customer.running.gateway.relay._awake.set()
    await settled(customer, message, "failed")
    assert script.texts == ["before"]


async def test_a_message_that_failed_for_its_deadline_can_be_sent_again(customer: Customer, script: Script) -> None:
    message = await waiting_for_the_channel(customer)
    await too_late(customer)
    await settled(customer, message, "failed")
    await customer.shop.client.channels.update(customer.channel_id, state="active")
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")


async def test_a_retry_that_is_over_before_its_first_try_fails_and_says_so(customer: Customer, script: Script) -> None:
    script.then(Rejected("No."))
    message = await settled(customer, await answer(customer), "failed")
    held = Held()
    script.then(held)
    other = await answer(customer, "another")
    await held.begun.wait()
    await customer.shop.client.messages.retry(message.id)  # behind the other
    await customer.shop.client.channels.update(customer.channel_id, state="paused")
    held.let_go()
    await settled(customer, other, "sent")
    assert (await see(customer, message)).status == "queued"
    await too_late(customer)
    failed = await settled(customer, message, "failed")
    assert failed.failure is not None
    assert failed.failure.code == "deadline"


async def test_what_is_queued_for_a_deleted_channel_fails_and_says_so(customer: Customer, script: Script) -> None:
    script.then(Unavailable())
    message, second = await answer(customer, "1"), await answer(customer, "2")
    await eventually(lambda: queued(customer), lambda rows: rows[:1] == [("ready", 1)])
    await customer.shop.client.channels.delete(customer.channel_id)
    for each in (message, second):
        failed = await settled(customer, each, "failed")
        assert failed.failure is not None
        assert (failed.failure.code, failed.failure.retryable) == ("channel_deleted", False)
        assert "deleted" in failed.failure.detail
    assert await queued(customer) == []
    assert len(script.calls) == 1


async def test_being_throttled_gives_nothing_up_before_the_deadline(customer: Customer, script: Script) -> None:
    """The provider wants us to wait beyond the deadline: one more try is made shortly before it."""
    script.then(*(Throttled(retry_after_s=7200) for _ in range(12)))
    message = await answer(customer)
    for attempt in range(1, 13):
        await eventually(lambda: queued(customer), lambda rows, n=attempt: rows == [("ready", n)])  # type: ignore[misc]
        assert await status(customer, message) == "queued"
        (row,) = await query(
            customer.running,
            "SELECT deadline_at - available_at AS left FROM outbox WHERE shop_id = :id",
            id=customer.shop.uuid,
        )
        assert row.left == timedelta(seconds=10)
        await hurry(customer)
    await settled(customer, message, "sent")


async def test_an_interrupted_send_whose_time_is_over_is_not_repeated(scripted: Running, scripted_shop: Shop) -> None:
    """The provider would know a repeat, but it would come too late; whether the first arrived is not known."""
    customer = await someone_on("repeatable", scripted, scripted_shop)
    script, held = script_of(customer.channel_id), Held()
    script.then(held)
    message = await answer(customer)
    await held.begun.wait()
    await too_late(customer)
    await lapse(customer)
    await settled(customer, message, "uncertain")
    assert len(script.calls) == 1
    held.let_go()


# Files


@pytest.fixture
async def sender(scripted: Running, scripted_shop: Shop) -> AsyncIterator[Customer]:
    """Someone whose files the provider does not hand over just now."""
    number = fresh("number")
    channel = await scripted_shop.client.channels.create(type="wordy", name="Wordy", settings={"number": number})
    wordings(number).refusals.extend(Unavailable("not now") for _ in range(50))
    yield Customer(scripted, scripted_shop, channel=channel.id, channel_type="wordy", account=number)
    wordings(number).refusals.clear()


async def sends_a_picture(sender: Customer) -> Message:
    picture = MessageReceived(
        address=sender.address,
        occurred_at=datetime.now(UTC),
        external_id=fresh("pic"),
        content=Media.model_validate({"media": "image", "source": "f1", "mime": "image/png"}),
    )
    await sender.tell(picture)
    await eventually(lambda: queued(sender), lambda rows: rows == [("ready", 1)])
    conversation = await sender.conversation()
    return (await sender.shop.client.messages.list(conversation.id)).items[-1]


async def failure_of(sender: Customer, message: Message) -> str | None:
    content = (await see(sender, message)).content
    assert isinstance(content, Shown)
    return content.failure


@pytest.mark.parametrize("deleted", [True, False])
async def test_a_file_that_is_over_says_so_on_its_message(sender: Customer, deleted: bool) -> None:
    message = await sends_a_picture(sender)
    if deleted:
        await sender.shop.client.channels.delete(sender.channel_id)
        await hurry(sender)
    else:
        await too_late(sender)
    await eventually(lambda: failure_of(sender, message))
    assert await queued(sender) == []


async def test_an_interrupted_fetch_is_repeated(sender: Customer) -> None:
    await sends_a_picture(sender)
    await execute(
        sender.running,
        "UPDATE outbox SET state = 'sending', lease_until = now() - interval '1 s' WHERE shop_id = :id",
        id=sender.shop.uuid,
    )
    await sender.running.gateway.relay.sweep()
    await eventually(lambda: queued(sender), lambda rows: rows == [("ready", 2)])


# That we read


async def mark_read(customer: Customer, external_id: str, *, channel_type: str = "nobody") -> None:
    """Queue it for a kind of channel that nobody in the process takes commands of."""
    conversation = read_id(CONVERSATION, (await customer.conversation()).id)
    command = MarkRead(address=customer.address, external_id=external_id, read_at=datetime.now(UTC))
    async with customer.running.core.db.system() as connection:
        await queue.put(
            await driver(connection),
            command,
            shop_id=customer.shop.uuid,
            lane=f"read:{conversation}",
            channel_id=read_id(CHANNEL, customer.channel_id),
            channel_type=channel_type,
        )


async def marks(customer: Customer) -> list[Any]:
    return await query(
        customer.running,
        "SELECT attempts, state, available_at - now() AS pause, command::json->>'external_id' AS external_id "
        "FROM outbox WHERE shop_id = :id AND kind = 'mark_read' ORDER BY id",
        id=customer.shop.uuid,
    )


async def tried(customer: Customer, attempts: int) -> Any:
    (row,) = await eventually(
        lambda: marks(customer), lambda rows: [(r.attempts, r.state) for r in rows] == [(attempts, "ready")]
    )
    return row


async def test_a_read_mark_that_is_not_taken_is_told_later_and_later(customer: Customer) -> None:
    await mark_read(customer, "in-1")
    assert (await tried(customer, 1)).pause <= timedelta(seconds=1)
    for attempts, least, most in ((3, 5, 10), (40, 30, 60)):
        await execute(
            customer.running, "UPDATE outbox SET attempts = :n WHERE shop_id = :id", n=attempts, id=customer.shop.uuid
        )
        await hurry(customer)
        pause = (await tried(customer, attempts + 1)).pause
        assert timedelta(seconds=least) < pause <= timedelta(seconds=most)


async def test_a_read_mark_is_dropped_at_its_deadline_without_a_word(customer: Customer) -> None:
    await mark_read(customer, "in-1")
    await tried(customer, 1)
    await too_late(customer)
    await customer.running.gateway.relay.sweep()
    assert await marks(customer) == []
    assert await query(customer.running, "SELECT 1 FROM receipts WHERE shop_id = :id", id=customer.shop.uuid) == []


async def test_a_read_mark_that_is_not_taken_holds_up_no_answer(customer: Customer) -> None:
    await mark_read(customer, "in-1")
    await tried(customer, 1)
    await settled(customer, await answer(customer), "sent")
    assert len(await marks(customer)) == 1


async def test_a_newer_read_mark_takes_the_place_of_one_that_is_not_taken(customer: Customer) -> None:
    await mark_read(customer, "in-1")
    await tried(customer, 1)
    await mark_read(customer, "in-2")
    await hurry(customer)
    assert (await tried(customer, 1)).external_id == "in-2"


async def test_a_newer_read_mark_takes_the_place_of_one_that_waits(running: Running, shop: Shop) -> None:
    customer = Customer(running, shop)
    message = await customer.writes("Hello?")
    await set_channel(customer, "paused")
    await mark_read(customer, "in-1", channel_type="webchat")
    await execute(
        running, "UPDATE outbox SET available_at = now() + interval '1 hour' WHERE shop_id = :id", id=shop.uuid
    )
    await set_channel(customer, "active")
    answered = await shop.client.conversations.read(message.conversation, up_to=message.id)
    assert answered.told_customer
    await eventually(lambda: marks(customer), lambda rows: rows == [])


async def set_channel(customer: Customer, state: str) -> None:
    sql = "UPDATE channels SET state = :state WHERE shop_id = :id"
    await execute(customer.running, sql, state=state, id=customer.shop.uuid)


# Channels that stop


@pytest.fixture
def changed(scripted: Running) -> Iterator[list[str]]:
    """The channels of which everyone was told that they have changed."""
    heard: list[str] = []

    def hear(hint: ChannelChanged) -> None:
        heard.append(hint.channel_id)

    stop = scripted.core.bus.listen(CHANNEL_CHANGED, hear)
    yield heard
    stop()


async def test_whoever_holds_a_connector_hears_that_its_channel_was_paused(
    customer: Customer, script: Script, changed: list[str]
) -> None:
    script.then(AuthExpired("Renew the token."))
    await answer(customer)
    assert await eventually(lambda: told(changed, customer)) == 1
    channel = await customer.shop.client.channels.get(customer.channel_id)
    assert channel.state == "paused"


async def test_whoever_holds_a_connector_hears_that_the_provider_closed_the_account(
    customer: Customer, changed: list[str]
) -> None:
    report = ChannelReported(
        address=customer.address.model_copy(update={"peer": customer.channel_id}),
        occurred_at=datetime.now(UTC),
        external_id=fresh("report"),
        topic="account",
        problem=Reason(code="account_disabled", detail="The account was closed."),
    )
    await customer.tell(report)
    assert await told(changed, customer) == 1


async def told(changed: list[str], customer: Customer) -> int:
    return changed.count(customer.channel_id)


# Receipts that nobody claims


async def test_a_receipt_that_nobody_claims_is_looked_at_for_minutes_and_kept_for_days(customer: Customer) -> None:
    stranger = await someone_on("scripted", customer.running, customer.shop, channel=customer.channel_id)
    message = await settled(customer, await answer(customer), "sent")
    (part,) = message.parts
    receipt = stranger.receipt(Status.READ, str(part.external_id))
    await stranger.tell(receipt, stranger.receipt(Status.READ, fresh("nobodys")))
    await make_one(customer, stranger)
    await grow_older(customer, timedelta(minutes=11))
    await customer.running.gateway.relay.sweep()
    assert (await status(customer, message), await parked(customer)) == ("sent", 2)
    await grow_older(customer, timedelta(minutes=9))
    await customer.running.gateway.relay.sweep()
    assert (await status(customer, message), await parked(customer)) == ("read", 1)
    await grow_older(customer, timedelta(days=6))
    await clean(customer.running.core)
    assert await parked(customer) == 1
    await grow_older(customer, timedelta(days=8))
    await clean(customer.running.core)
    assert await parked(customer) == 0
    assert await status(customer, message) == "read"


async def grow_older(customer: Customer, age: timedelta) -> None:
    sql = "UPDATE receipts SET recorded_at = now() - CAST(:age AS interval) WHERE shop_id = :id"
    await execute(customer.running, sql, age=age, id=customer.shop.uuid)


async def make_one(customer: Customer, stranger: Customer) -> None:
    """It turns out to be the same person."""
    sql = (
        "UPDATE identities SET contact_id = (SELECT contact_id FROM identities WHERE shop_id = :id AND peer = :one) "
        "WHERE shop_id = :id AND peer = :two"
    )
    await execute(customer.running, sql, id=customer.shop.uuid, one=customer.peer, two=stranger.peer)
