"""The relay: order, second tries, and an honest "maybe" where nobody knows how a send ended."""

import asyncio
from datetime import timedelta

import pytest
from shopbell_client import Channel, Conflict, Message, ValidationFailed

from gateway.outbox.queue import BACKOFF_S, backoff_s
from shared.commands import Sent
from shared.content import Reaction
from shared.errors import AuthExpired, Rejected, Throttled, Unavailable, Uncertain
from shared.events import Reason, Status
from shared.ids import CHANNEL, MESSAGE, read_id
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.scripted import Held, Script, new_channel, script_of
from tests.support.tables import execute, query
from tests.support.wordy import wordings


@pytest.fixture
async def customer(scripted: Running, scripted_shop: Shop) -> Customer:
    """Someone on a channel whose provider does not know a repeat."""
    return await someone_on("scripted", scripted, scripted_shop)


async def someone_on(type_: str, scripted: Running, shop: Shop) -> Customer:
    customer = Customer(scripted, shop, channel=await new_channel(shop, type_), channel_type=type_)
    await customer.writes("Hello?")
    return customer


@pytest.fixture
def script(customer: Customer) -> Script:
    return script_of(customer.channel_id)


async def answer(customer: Customer, text: str = "Hello!") -> Message:
    conversation = await customer.conversation()
    return await customer.shop.client.messages.send(conversation.id, text=text)


async def settled(customer: Customer, message: Message, *statuses: str) -> Message:
    return await eventually(
        lambda: customer.shop.client.messages.get(message.id), lambda m: m.status in statuses, timeout_s=15
    )


async def hurry(customer: Customer) -> None:
    """Whatever waits for a later try waits no longer."""
    await execute(customer.running, "UPDATE outbox SET available_at = now() WHERE shop_id = :id", id=customer.shop.uuid)
    customer.running.gateway.relay._awake.set()


async def queued(customer: Customer) -> list[tuple[str, int]]:
    rows = await query(
        customer.running, "SELECT state, attempts FROM outbox WHERE shop_id = :id ORDER BY id", id=customer.shop.uuid
    )
    return [(row.state, row.attempts) for row in rows]


# Order


async def test_answers_go_out_in_the_order_in_which_they_stand(customer: Customer, script: Script) -> None:
    conversation = await customer.conversation()
    sends = (customer.shop.client.messages.send(conversation.id, text=str(n)) for n in range(30))
    messages = sorted(await asyncio.gather(*sends), key=lambda message: message.seq)
    await settled(customer, messages[-1], "sent")
    assert script.texts == [message.content.text for message in messages]  # type: ignore[union-attr]


async def test_one_conversation_does_not_wait_for_another(customer: Customer, script: Script) -> None:
    other = Customer(customer.running, customer.shop, channel=customer.channel_id, channel_type="scripted")
    await other.writes("Me too!")
    held = Held()
    script.then(held)
    slow = await answer(customer, "slow")
    await held.begun.wait()
    await settled(other, await answer(other, "quick"), "sent")
    assert (await customer.shop.client.messages.get(slow.id)).status == "queued"
    held.let_go()
    await settled(customer, slow, "sent")


async def test_the_next_waits_while_the_first_is_on_its_way(customer: Customer, script: Script) -> None:
    held = Held()
    script.then(held)
    await answer(customer, "1")
    second = await answer(customer, "2")
    await held.begun.wait()
    assert await queued(customer) == [("sending", 1), ("ready", 0)]
    held.let_go()
    await settled(customer, second, "sent")
    assert script.texts == ["1", "2"]


async def test_the_next_waits_while_the_first_will_be_tried_again(customer: Customer, script: Script) -> None:
    script.then(Throttled(retry_after_s=40))
    await answer(customer, "1")
    second = await answer(customer, "2")
    await eventually(lambda: queued(customer), lambda rows: rows[:1] == [("ready", 1)])
    await hurry(customer)
    await settled(customer, second, "sent")
    assert script.texts == ["1", "1", "2"]


# Fates


async def test_what_may_go_later_is_tried_again_after_a_pause(customer: Customer, script: Script) -> None:
    tries = 6  # after so many our own pause is a minute: long enough to be looked at
    script.then(*(Throttled(retry_after_s=40) for _ in range(tries - 1)), Unavailable())
    message = await answer(customer)
    for number in range(1, tries):
        await waits_after(customer, number)
        assert timedelta(seconds=10) < await pause(customer) <= timedelta(seconds=40)
        await hurry(customer)
    await waits_after(customer, tries)
    assert timedelta(seconds=40) < await pause(customer) <= timedelta(seconds=BACKOFF_S["chat"][tries - 1])
    assert (await customer.shop.client.messages.get(message.id)).status == "queued"
    await hurry(customer)
    await settled(customer, message, "sent")
    assert len(script.calls) == tries + 1
    assert len({call.message_id for call in script.calls}) == 1


async def waits_after(customer: Customer, tries: int) -> None:
    """Wait until the only message there is waits for its next try."""
    await eventually(lambda: queued(customer), lambda rows: rows == [("ready", tries)])


async def pause(customer: Customer) -> timedelta:
    rows = await query(
        customer.running, "SELECT available_at - now() AS pause FROM outbox WHERE shop_id = :id", id=customer.shop.uuid
    )
    found: timedelta = rows[0].pause
    return found


def test_the_pauses_grow_and_end_at_a_limit() -> None:
    for pace, steps in BACKOFF_S.items():
        pauses = [backoff_s(pace, attempt) for attempt in range(1, 50)]
        assert pauses == sorted(pauses)
        assert (pauses[0], pauses[-1]) == (steps[0], steps[-1])


async def test_what_cannot_go_within_its_time_fails_and_says_so(customer: Customer, script: Script) -> None:
    script.then(Throttled("The provider is down.", retry_after_s=40), Unavailable("The provider is down."))
    message = await answer(customer)
    await eventually(lambda: queued(customer), lambda rows: rows == [("ready", 1)])
    await execute(customer.running, "UPDATE outbox SET deadline_at = now() WHERE shop_id = :id", id=customer.shop.uuid)
    await hurry(customer)
    failed = await settled(customer, message, "failed")
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.retryable) == ("deadline", True)
    assert "The provider is down." in failed.failure.detail
    assert await queued(customer) == []


async def test_what_the_provider_refuses_fails_with_the_reason_and_lets_the_next_go(
    customer: Customer, script: Script
) -> None:
    script.then(Rejected("The picture is too large."))
    message, second = await answer(customer, "1"), await answer(customer, "2")
    failed = await settled(customer, message, "failed")
    assert failed.failure is not None
    assert (failed.failure.code, failed.failure.detail) == ("rejected", "The picture is too large.")
    assert not failed.failure.retryable
    await settled(customer, second, "sent")
    assert script.texts == ["1", "2"]


async def test_a_failed_message_is_sent_again_when_asked_for(customer: Customer, script: Script) -> None:
    script.then(Rejected("No."))
    message = await settled(customer, await answer(customer), "failed")
    client = customer.shop.client
    again = await client.messages.retry(message.id, idempotency_key="k1")
    assert (again.status, again.failure) == ("queued", None)
    repeated = await client.messages.retry(message.id, idempotency_key="k1")
    assert repeated.status == "queued"
    await settled(customer, message, "sent")
    assert len(script.calls) == 2
    with pytest.raises(Conflict, match="sent"):
        await client.messages.retry(message.id)


async def test_a_message_sent_again_quotes_what_it_quoted(customer: Customer, script: Script) -> None:
    script.then(Rejected("No."))
    question = await customer.writes("Which one?", "question-1")
    message = await customer.shop.client.messages.send(question.conversation, text="This", reply_to=question.id)
    await settled(customer, message, "failed")
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert [call.reply_to for call in script.calls] == ["question-1", "question-1"]


async def test_a_reaction_sent_again_names_the_message_as_the_channel_knows_it(
    scripted: Running, scripted_shop: Shop
) -> None:
    number = fresh("number")
    channel = await scripted_shop.client.channels.create(type="wordy", name="Wordy", settings={"number": number})
    customer = Customer(scripted, scripted_shop, channel=channel.id, channel_type="wordy", account=number)
    question = await customer.writes("Which one?", "question-1")
    content = {"kind": "reaction", "emoji": "👍", "target": question.id}
    message = await scripted_shop.client.messages.send(question.conversation, content=content)
    await settled(customer, message, "sent")
    gone = Reason(code="gone", detail="Not now.")
    await customer.tell(customer.receipt(Status.FAILED, message_id=message.id, reason=gone))
    await scripted_shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    targets = [call.content.target for call in wordings(number).sent if isinstance(call.content, Reaction)]
    assert targets == ["question-1", "question-1"]


async def test_receipts_of_a_second_try_reach_the_message(customer: Customer, script: Script) -> None:
    """The provider gave the second try an id of its own; what it reports of that one counts."""
    first, second = fresh("try"), fresh("try")
    script.then(Sent(external_ids=(first,)), Sent(external_ids=(second,)))
    message = await settled(customer, await answer(customer), "sent")
    gone = Reason(code="gone", detail="Not now.")
    await customer.tell(customer.receipt(Status.FAILED, first, reason=gone))
    assert (await customer.shop.client.messages.get(message.id)).status == "failed"
    await customer.shop.client.messages.retry(message.id)
    await eventually(lambda: queued(customer), lambda rows: rows == [])
    await customer.tell(customer.receipt(Status.DELIVERED, second))
    delivered = await customer.shop.client.messages.get(message.id)
    assert (delivered.status, [part.external_id for part in delivered.parts]) == ("delivered", [second])


async def test_expired_credentials_pause_the_channel_and_keep_the_queue(customer: Customer, script: Script) -> None:
    held = Held()
    script.then(held, AuthExpired("Renew the token."))
    client = customer.shop.client
    after = (await client.events_page(after="now")).next
    _, first, second = [await answer(customer, text) for text in ("0", "1", "2")]
    held.let_go()

    async def channel() -> Channel:
        return await client.channels.get(customer.channel_id)

    await eventually(channel, lambda seen: seen.state == "paused")
    assert await queued(customer) == [("ready", 1), ("ready", 0)]
    (told,) = (await client.events_page(after=after, types=["channel.state"])).items
    assert isinstance(told.data, Channel)
    assert told.data == await channel()
    with pytest.raises(ValidationFailed) as refusal:
        await answer(customer, "3")
    assert refusal.value.code == "channel_paused"
    await client.channels.update(customer.channel_id, state="active")
    await settled(customer, second, "sent")
    assert (await client.messages.get(first.id)).status == "sent"
    assert script.texts == ["0", "1", "1", "2"]


async def test_a_send_of_which_nobody_knows_the_end_is_uncertain_and_never_repeated(
    customer: Customer, script: Script
) -> None:
    script.then(Uncertain("The connection broke."), ValueError("a fault in the connector"))
    first, second, third = [await answer(customer, text) for text in ("1", "2", "3")]
    doubtful = await settled(customer, first, "uncertain")
    assert doubtful.failure is not None
    assert (doubtful.failure.code, doubtful.failure.retryable) == ("uncertain", True)
    await settled(customer, second, "uncertain")
    await settled(customer, third, "sent")
    await customer.running.gateway.relay.sweep()
    assert script.texts == ["1", "2", "3"]


@pytest.mark.parametrize("found", ["sent", "failed"])
async def test_a_person_may_say_how_an_uncertain_send_ended(customer: Customer, script: Script, found: str) -> None:
    script.then(Uncertain())
    message = await settled(customer, await answer(customer), "uncertain")
    resolved = await customer.shop.client.messages.resolve(message.id, status=found)
    assert (resolved.status, resolved.status_evidence) == (found, "person")
    assert (resolved.failure is not None) == (found == "failed")
    with pytest.raises(Conflict, match=found):
        await customer.shop.client.messages.resolve(message.id, status=found)
    if resolved.failure is not None:
        assert resolved.failure.retryable
        await customer.shop.client.messages.retry(message.id)
        await settled(customer, message, "sent")
    assert len(script.calls) == (2 if found == "failed" else 1)


async def test_a_receipt_resolves_an_uncertain_send(customer: Customer, script: Script) -> None:
    script.then(Uncertain())
    message = await settled(customer, await answer(customer), "uncertain")
    await customer.tell(customer.receipt(Status.DELIVERED, message_id=message.id))
    assert (await customer.shop.client.messages.get(message.id)).status == "delivered"


# Leases


async def lapse(customer: Customer) -> None:
    """The process that was sending is gone: its lease runs out."""
    await execute(
        customer.running,
        "UPDATE outbox SET lease_until = now() - interval '1 s' WHERE shop_id = :id AND state = 'sending'",
        id=customer.shop.uuid,
    )
    await customer.running.gateway.relay.sweep()


async def test_a_lapsed_lease_makes_the_message_uncertain_and_lets_the_next_go(
    customer: Customer, script: Script
) -> None:
    held = Held()
    script.then(held)
    first, second = await answer(customer, "1"), await answer(customer, "2")
    await held.begun.wait()
    await lapse(customer)
    doubtful = await settled(customer, first, "uncertain")
    assert doubtful.failure is not None
    assert doubtful.failure.code == "lease_lapsed"
    await settled(customer, second, "sent")
    assert script.texts == ["1", "2"]
    held.let_go()  # it did arrive, late: that is better news than a doubt
    await settled(customer, first, "sent")


async def test_a_lapsed_lease_is_sent_again_where_the_provider_knows_a_repeat(
    scripted: Running, scripted_shop: Shop
) -> None:
    customer = await someone_on("repeatable", scripted, scripted_shop)
    script, held = script_of(customer.channel_id), Held()
    script.then(held)
    message = await answer(customer)
    await held.begun.wait()
    await lapse(customer)
    await settled(customer, message, "sent")
    assert [call.message_id for call in script.calls] == [message.id, message.id]
    held.let_go()
    assert await queued(customer) == []


async def test_the_outcome_of_a_try_that_was_given_up_does_not_end_the_next(
    scripted: Running, scripted_shop: Shop
) -> None:
    """The first try fails for good, but late: the second, on its way by then, decides."""
    customer = await someone_on("repeatable", scripted, scripted_shop)
    script, first, second = script_of(customer.channel_id), Held(), Held()
    script.then(first, second)
    message = await answer(customer)
    await first.begun.wait()
    await lapse(customer)
    await second.begun.wait()
    late = customer.receipt(
        Status.FAILED,
        message_id=message.id,
        reason=Reason(code="rejected", detail="No."),
        outcome={"attempt": 1, "fate": "never"},
    )
    await customer.tell(late)
    assert (await customer.shop.client.messages.get(message.id)).status == "queued"
    assert await queued(customer) == [("sending", 2)]
    first.let_go()
    second.let_go()
    await settled(customer, message, "sent")


async def test_a_live_lease_is_left_alone(customer: Customer, script: Script) -> None:
    held = Held()
    script.then(held)
    message = await answer(customer)
    await held.begun.wait()
    await customer.running.gateway.relay.sweep()
    assert await queued(customer) == [("sending", 1)]
    held.let_go()
    await settled(customer, message, "sent")


async def test_a_message_is_sent_once_by_two_relays(customer: Customer, script: Script) -> None:
    """Two processes on one database: the rows that one has taken the other does not see."""
    from gateway.outbox.relay import Relay

    core = customer.running.core
    second = Relay(core.db, core.bus, core.types)
    working = asyncio.create_task(second.run())
    conversation = await customer.conversation()
    try:
        messages = [await customer.shop.client.messages.send(conversation.id, text=str(n)) for n in range(30)]
        await settled(customer, messages[-1], "sent")
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert script.texts == [str(n) for n in range(30)]


async def test_a_channel_that_was_deleted_takes_nothing_new(customer: Customer, script: Script) -> None:
    script.then(Throttled(retry_after_s=40))
    message = await answer(customer)
    await eventually(lambda: queued(customer), lambda rows: rows == [("ready", 1)])
    await customer.shop.client.channels.delete(customer.channel_id)
    await hurry(customer)
    with pytest.raises(ValidationFailed):
        await answer(customer)
    await settled(customer, message, "failed")
    assert len(script.calls) == 1
    rows = await query(
        customer.running, "SELECT state FROM channels WHERE id = :id", id=read_id(CHANNEL, customer.channel_id)
    )
    assert rows[0].state == "paused"


async def test_the_ledger_of_a_message_tells_the_whole_story(customer: Customer, script: Script) -> None:
    script.then(Uncertain("The connection broke."))
    message = await settled(customer, await answer(customer), "uncertain")
    await customer.shop.client.messages.resolve(message.id, status="failed")
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    lines = await customer.shop.client.messages.receipts(message.id)
    assert [line.status for line in lines] == ["uncertain", "failed", "sent"]
    generations = await query(
        customer.running,
        "SELECT generation FROM receipts WHERE message_id = :id ORDER BY id",
        id=read_id(MESSAGE, message.id),
    )
    assert [row.generation for row in generations] == [1, 1, 2]
