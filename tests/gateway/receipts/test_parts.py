"""Messages that the provider carries in several: each part goes out once, and the message says what became of all."""

from dataclasses import replace

import pytest
from shopbell_client import Message

from shared.commands import LEFT_OUT, Sent
from shared.errors import AuthExpired, Rejected, SendError, Throttled, Unavailable, Uncertain
from shared.events import Fate, Status
from shared.ids import MESSAGE, new_id, read_id
from tests.gateway.receipts.answering import (
    GONE,
    answer,
    ended,
    hurry,
    lapse,
    on_its_way,
    parked,
    queued,
    see,
    settled,
    someone_on,
    status,
)
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop, new_shop
from tests.support.scripted import Held, Script, new_channel, script_of
from tests.support.tables import execute, query


def ids(message: Message) -> list[str | None]:
    return [part.external_id for part in message.parts]


def ways(message: Message) -> list[str | None]:
    return [part.status for part in message.parts]


async def once_tried(customer: Customer, attempts: int = 1) -> None:
    await eventually(lambda: queued(customer), lambda rows: rows[:1] == [("ready", attempts)])


# Resuming


async def test_the_next_attempt_begins_behind_the_parts_that_went_out(customer: Customer, script: Script) -> None:
    a, b, c = fresh("a"), fresh("b"), fresh("c")
    script.then(Throttled(retry_after_s=0.1).after([a]), Unavailable().after([b]), Sent(external_ids=(c,)))
    message = await answer(customer)
    await once_tried(customer)
    waiting = await see(customer, message)
    assert (waiting.status, ids(waiting), ways(waiting)) == ("queued", [a], ["sent"])
    await hurry(customer)
    await once_tried(customer, 2)
    await hurry(customer)
    sent = await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1, 2]
    assert (ids(sent), ways(sent)) == ([a, b, c], ["sent"] * 3)


async def test_a_message_is_queued_while_a_part_of_it_waits_though_the_others_arrived(
    customer: Customer, script: Script
) -> None:
    a, b = fresh("a"), fresh("b")
    script.then(Unavailable().after([a]), Sent(external_ids=(b,)))
    message = await answer(customer)
    await once_tried(customer)
    await customer.tell(customer.receipt(Status.READ, a))
    waiting = await see(customer, message)
    assert (waiting.status, ways(waiting)) == ("queued", ["read"])
    await hurry(customer)
    sent = await settled(customer, message, "sent")
    assert ways(sent) == ["read", "sent"]
    await customer.tell(customer.receipt(Status.READ, b))
    assert await status(customer, message) == "read"


@pytest.mark.parametrize(
    ("error", "becomes"), [(Rejected("The second is too large."), "failed"), (Uncertain("It broke."), "uncertain")]
)
async def test_a_persons_retry_begins_behind_the_parts_that_went_out(
    customer: Customer, script: Script, error: SendError, becomes: str
) -> None:
    a, b, c = fresh("a"), fresh("b"), fresh("c")
    script.then(error.after([a]), Sent(external_ids=(b, c)))
    message = await answer(customer)
    ended = await settled(customer, message, becomes)
    assert (ids(ended), ways(ended)) == ([a], ["sent"])
    await customer.shop.client.messages.retry(message.id)
    sent = await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1]
    assert (ids(sent), ways(sent)) == ([a, b, c], ["sent"] * 3)
    await customer.tell(*(customer.receipt(Status.DELIVERED, external_id) for external_id in (c, a, b)))
    assert await status(customer, message) == "delivered"


async def test_what_is_said_of_a_kept_part_counts_for_the_retry(customer: Customer, script: Script) -> None:
    a, b = fresh("a"), fresh("b")
    script.then(Rejected("No.").after([a]), Sent(external_ids=(b,)))
    message = await settled(customer, await answer(customer), "failed")
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    await customer.tell(customer.receipt(Status.FAILED, a, reason=GONE))
    failed = await see(customer, message)
    assert (failed.status, ways(failed)) == ("failed", ["failed", "sent"])


async def test_a_part_that_the_provider_reported_as_failed_is_sent_again(customer: Customer, script: Script) -> None:
    a, b, again = fresh("a"), fresh("b"), fresh("again")
    script.then(Sent(external_ids=(a, b)), Sent(external_ids=(again,)))
    message = await settled(customer, await answer(customer), "sent")
    await customer.tell(customer.receipt(Status.DELIVERED, a), customer.receipt(Status.FAILED, b, reason=GONE))
    failed = await see(customer, message)
    assert (failed.status, ways(failed)) == ("failed", ["delivered", "failed"])
    again_queued = await customer.shop.client.messages.retry(message.id)
    assert (again_queued.status, ways(again_queued)) == ("queued", ["delivered", None])
    resumed = await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1]
    assert (ids(resumed), ways(resumed)) == ([a, again], ["delivered", "sent"])


async def test_a_message_of_which_all_failed_is_sent_again_whole(customer: Customer, script: Script) -> None:
    a, b = fresh("a"), fresh("b")
    script.then(Sent(external_ids=(a, b)))
    message = await settled(customer, await answer(customer), "sent")
    await customer.tell(customer.receipt(Status.FAILED, message_id=message.id, reason=GONE))
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 0]


async def test_a_person_who_finds_that_the_rest_did_not_arrive_has_only_the_rest_sent_again(
    customer: Customer, script: Script
) -> None:
    a, b = fresh("a"), fresh("b")
    script.then(Uncertain().after([a]), Sent(external_ids=(b,)))
    message = await settled(customer, await answer(customer), "uncertain")
    resolved = await customer.shop.client.messages.resolve(message.id, status="failed")
    assert (resolved.status, ways(resolved)) == ("failed", ["sent"])
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1]


async def test_what_went_out_before_an_interruption_is_known_to_the_person_who_resolves_it(
    customer: Customer, script: Script
) -> None:
    a, b = fresh("a"), fresh("b")
    message, held = await on_its_way(customer)
    await lapse(customer)
    await customer.tell(ended(customer, message, 1, a, fate=Fate.ASK))
    assert await status(customer, message) == "uncertain"
    await customer.shop.client.messages.resolve(message.id, status="failed")
    script.then(Sent(external_ids=(b,)))
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1]
    held.let_go()


async def test_a_lapsed_lease_of_a_resumed_attempt_leaves_the_rest_uncertain(
    customer: Customer, script: Script
) -> None:
    a = fresh("a")
    script.then(Unavailable().after([a]))
    message = await answer(customer)
    await once_tried(customer)
    held = Held()
    script.then(held)
    await hurry(customer)
    await held.begun.wait()
    await lapse(customer)
    doubtful = await see(customer, message)
    assert (doubtful.status, ways(doubtful)) == ("uncertain", ["sent"])
    held.let_go()
    await settled(customer, message, "sent")
    assert len(ids(await see(customer, message))) == 2


async def test_a_late_failure_of_an_interrupted_attempt_tells_which_parts_went_out(
    customer: Customer, script: Script
) -> None:
    a, b = fresh("a"), fresh("b")
    message, held = await on_its_way(customer)
    await lapse(customer)
    await customer.tell(ended(customer, message, 1, a, fate=Fate.LATER))
    failed = await see(customer, message)
    assert (failed.status, ids(failed), ways(failed)) == ("failed", [a], ["sent"])
    script.then(Sent(external_ids=(b,)))
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1]
    held.let_go()


async def test_a_paused_channel_resumes_behind_the_parts_that_went_out(customer: Customer, script: Script) -> None:
    a, b = fresh("a"), fresh("b")
    script.then(AuthExpired().after([a]), Sent(external_ids=(b,)))
    message = await answer(customer)
    await once_tried(customer)
    await customer.shop.client.channels.update(customer.channel_id, state="active")
    await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1]


async def test_an_outcome_that_is_told_twice_changes_nothing_more(customer: Customer, script: Script) -> None:
    a = fresh("a")
    message, held = await on_its_way(customer)
    outcome = ended(customer, message, 1, a, fate=Fate.LATER)
    await customer.tell(outcome)
    await customer.tell(outcome)
    assert ids(await see(customer, message)) == [a]
    await hurry(customer)
    await settled(customer, message, "sent")
    assert [call.from_part for call in script.calls] == [0, 1]
    held.let_go()


async def test_a_message_that_goes_to_another_channel_begins_anew(
    scripted: Running, scripted_shop: Shop, customer: Customer, script: Script
) -> None:
    script.then(Rejected("No.").after([fresh("a")]))
    message = await settled(customer, await answer(customer), "failed")
    elsewhere = replace(customer, channel=await new_channel(scripted_shop, "scripted"), peer=fresh("elsewhere"))
    await elsewhere.tell(elsewhere.message("I am here now"))
    await execute(
        scripted,
        "UPDATE conversations SET channel_id = i.channel_id, identity_id = i.id "
        "FROM (SELECT i.id, c.channel_id FROM identities i JOIN conversations c ON c.identity_id = i.id "
        "      WHERE i.peer = :peer) i "
        "WHERE conversations.id = (SELECT conversation_id FROM messages WHERE shop_id = :shop AND id = :id)",
        peer=elsewhere.peer,
        shop=scripted_shop.uuid,
        id=read_id(MESSAGE, message.id),
    )
    number = fresh("there")
    script_of(elsewhere.channel_id).then(Sent(external_ids=(number,)))
    await customer.shop.client.messages.retry(message.id)
    sent = await settled(customer, message, "sent")
    assert (ids(sent), [call.from_part for call in script_of(elsewhere.channel_id).calls]) == ([number], [0])
    await elsewhere.tell(elsewhere.receipt(Status.DELIVERED, number))
    assert await status(customer, message) == "delivered"


# Gaps: parts that went out behind one that did not


async def with_gaps(customer: Customer, script: Script, *failing: int) -> tuple[Message, list[str]]:
    """A message that went out in four parts, of which some failed later."""
    numbers = [fresh("part") for _ in range(4)]
    script.then(Sent(external_ids=tuple(numbers)))
    message = await settled(customer, await answer(customer), "sent")
    await customer.tell(*(customer.receipt(Status.FAILED, numbers[part], reason=GONE) for part in failing))
    return await settled(customer, message, "failed"), numbers


def asked_for(script: Script) -> list[tuple[int, tuple[int, ...]]]:
    """With which part each attempt behind the first begins, and what it leaves out."""
    return [(call.from_part, call.skip) for call in script.calls[1:]]


async def test_a_persons_retry_leaves_out_later_parts_that_went_out(customer: Customer, script: Script) -> None:
    message, (_, b, c, d) = await with_gaps(customer, script, 0)
    await customer.tell(*(customer.receipt(Status.DELIVERED, number) for number in (b, c, d)))
    again = fresh("again")
    script.then(Sent(external_ids=(again,)))
    waiting = await customer.shop.client.messages.retry(message.id)
    assert (waiting.status, ways(waiting)) == ("queued", [None, "delivered", "delivered", "delivered"])
    sent = await settled(customer, message, "sent")
    assert asked_for(script) == [(0, (1, 2, 3))]
    assert (ids(sent), ways(sent)) == ([again, b, c, d], ["sent", "delivered", "delivered", "delivered"])
    await customer.tell(customer.receipt(Status.DELIVERED, again))
    assert await status(customer, message) == "delivered"


async def test_the_ids_of_a_retry_belong_to_the_parts_that_it_sent(customer: Customer, script: Script) -> None:
    message, (_, b, _, d) = await with_gaps(customer, script, 0, 2)
    first, third, fifth = fresh("again"), fresh("again"), fresh("more")
    script.then(Sent(external_ids=(first, LEFT_OUT, third, LEFT_OUT, fifth)))
    await customer.shop.client.messages.retry(message.id)
    sent = await settled(customer, message, "sent")
    assert asked_for(script) == [(0, (1, 3))]
    assert (ids(sent), ways(sent)) == ([first, b, third, d, fifth], ["sent"] * 5)


async def test_the_next_attempt_of_a_retry_leaves_the_same_parts_out(customer: Customer, script: Script) -> None:
    message, (_, b, _, d) = await with_gaps(customer, script, 0, 2)
    first, third = fresh("again"), fresh("again")
    script.then(Unavailable().after([first, LEFT_OUT]), Sent(external_ids=(third, LEFT_OUT)))
    await customer.shop.client.messages.retry(message.id)
    await eventually(lambda: see(customer, message), lambda m: ids(m)[0] == first)
    await hurry(customer)
    sent = await settled(customer, message, "sent")
    assert asked_for(script) == [(0, (1, 3)), (2, (1, 3))]
    assert (ids(sent), ways(sent)) == ([first, b, third, d], ["sent"] * 4)


@pytest.mark.parametrize("error", [Rejected("No."), Uncertain("It broke.")])
async def test_a_retry_that_goes_wrong_says_nothing_of_the_parts_that_it_left_out(
    customer: Customer, script: Script, error: SendError
) -> None:
    message, _ = await with_gaps(customer, script, 0)
    script.then(error)
    await customer.shop.client.messages.retry(message.id)
    wrong = await eventually(lambda: see(customer, message), lambda m: m.failure and m.failure.code == error.code)
    if wrong.status == "uncertain":
        wrong = await customer.shop.client.messages.resolve(message.id, status="failed")
    assert ways(wrong) == ["failed", "sent", "sent", "sent"]
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert asked_for(script) == [(0, (1, 2, 3)), (0, (1, 2, 3))]


async def test_a_retry_whose_time_is_over_says_nothing_of_the_parts_that_it_left_out(
    customer: Customer, script: Script
) -> None:
    message, _ = await with_gaps(customer, script, 0)
    script.then(Unavailable())
    await customer.shop.client.messages.retry(message.id)
    await once_tried(customer, 2)
    await execute(customer.running, "UPDATE outbox SET deadline_at = now() WHERE shop_id = :id", id=customer.shop.uuid)
    await customer.running.gateway.relay.sweep()
    assert ways(await see(customer, message)) == ["failed", "sent", "sent", "sent"]


async def test_the_late_answer_of_an_interrupted_retry_tells_which_parts_it_sent(
    customer: Customer, script: Script
) -> None:
    message, (_, b, _, d) = await with_gaps(customer, script, 0, 2)
    held, first, third = Held(), fresh("again"), fresh("again")
    script.then(held)
    await customer.shop.client.messages.retry(message.id)
    await held.begun.wait()
    await lapse(customer)
    doubtful = await see(customer, message)
    assert (doubtful.status, ways(doubtful)) == ("uncertain", ["uncertain", "sent", "uncertain", "sent"])
    await customer.tell(ended(customer, message, 2, first, LEFT_OUT, third, LEFT_OUT))
    sent = await see(customer, message)
    assert (ids(sent), ways(sent)) == ([first, b, third, d], ["sent"] * 4)
    held.let_go()


@pytest.mark.parametrize("broke_off_at", [0, 2])
async def test_a_part_that_was_not_reached_again_can_be_retried_when_the_doubt_is_over(
    customer: Customer, script: Script, broke_off_at: int
) -> None:
    message, _ = await with_gaps(customer, script, 0, 2, 3)
    first, third = fresh("again"), fresh("again")
    script.then(Uncertain().after([first, LEFT_OUT][:broke_off_at]))
    await customer.shop.client.messages.retry(message.id)
    doubtful = await settled(customer, message, "uncertain")
    assert ways(doubtful)[2:] == ["uncertain", "uncertain"]
    for part, number in ((0, first), (2, third)):
        await customer.tell(customer.receipt(Status.DELIVERED, number, message_id=message.id, part=part))
    assert await status(customer, message) == "uncertain"
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert asked_for(script)[1:] == [(3, ())]


async def test_a_command_that_was_stored_before_parts_were_left_out_is_carried_out(
    customer: Customer, script: Script
) -> None:
    script.then(Unavailable().after([fresh("a")]))
    message = await answer(customer)
    await once_tried(customer)
    await execute(
        customer.running,
        "UPDATE outbox SET command = (command::jsonb - 'skip')::text WHERE shop_id = :id",
        id=customer.shop.uuid,
    )
    await hurry(customer)
    await settled(customer, message, "sent")
    assert asked_for(script) == [(1, ())]


async def test_what_is_said_of_a_part_that_was_left_out_counts_for_the_retry(
    customer: Customer, script: Script
) -> None:
    message, (_, b, _, _) = await with_gaps(customer, script, 0)
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    await customer.tell(customer.receipt(Status.FAILED, b, reason=GONE))
    failed = await see(customer, message)
    assert (failed.status, ways(failed)) == ("failed", ["sent", "failed", "sent", "sent"])
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    assert asked_for(script) == [(0, (1, 2, 3)), (1, (2, 3))]


# What was lost on the way


async def test_what_was_lost_on_the_way_is_shown_on_the_message(customer: Customer, script: Script) -> None:
    script.then(Sent(external_ids=(fresh("a"),), degraded=("The buttons became a numbered list.",)))
    message = await settled(customer, await answer(customer), "sent")
    assert message.degraded == ("The buttons became a numbered list.",)
    page = await customer.shop.client.events_page(types=["message.status"])
    (told,) = [event.data for event in page.items if isinstance(event.data, Message)]
    assert told.degraded == message.degraded
    plain = await settled(customer, await answer(customer), "sent")
    assert plain.degraded == ()


# A provider that tells our own id back, with its own


async def test_a_receipt_with_both_ids_settles_a_doubt_and_is_found_by_theirs_afterwards(
    customer: Customer, script: Script
) -> None:
    number = fresh("wamid")
    script.then(Uncertain())
    message = await settled(customer, await answer(customer), "uncertain")
    await customer.tell(customer.receipt(Status.SENT, number, message_id=message.id, part=0))
    sent = await see(customer, message)
    assert (sent.status, ids(sent), ways(sent)) == ("sent", [number], ["sent"])
    await customer.tell(customer.receipt(Status.READ, number))
    assert await status(customer, message) == "read"


async def test_receipts_by_their_id_that_came_first_are_matched_by_the_one_with_both(
    customer: Customer, script: Script
) -> None:
    number = fresh("wamid")
    script.then(Uncertain())
    message = await settled(customer, await answer(customer), "uncertain")
    await customer.tell(customer.receipt(Status.READ, number))
    assert await status(customer, message) == "uncertain"
    await customer.tell(customer.receipt(Status.SENT, number, message_id=message.id))
    assert await status(customer, message) == "read"
    assert await parked(customer) == 0


async def test_a_receipt_with_both_ids_speaks_of_the_part_that_it_names(customer: Customer, script: Script) -> None:
    one, two = fresh("wamid"), fresh("wamid")
    script.then(Uncertain().after([one]))
    message = await settled(customer, await answer(customer), "uncertain")
    await customer.tell(customer.receipt(Status.DELIVERED, two, message_id=message.id, part=1))
    settled_now = await see(customer, message)
    assert (settled_now.status, ids(settled_now), ways(settled_now)) == ("sent", [one, two], ["sent", "delivered"])
    await customer.tell(customer.receipt(Status.DELIVERED, one, message_id=message.id))
    assert await status(customer, message) == "delivered"


async def test_an_answer_after_the_receipt_with_both_ids_keeps_the_same_id(customer: Customer) -> None:
    number = fresh("wamid")
    message, held = await on_its_way(customer)
    await customer.tell(customer.receipt(Status.DELIVERED, number, message_id=message.id))
    assert await status(customer, message) == "delivered"
    await customer.tell(ended(customer, message, 1, number))
    assert ids(await see(customer, message)) == [number]
    held.let_go()


async def test_a_receipt_with_both_ids_of_an_earlier_try_does_not_take_the_part_of_the_present_one(
    customer: Customer, script: Script
) -> None:
    first, second = fresh("wamid"), fresh("wamid")
    script.then(Uncertain(), Sent(external_ids=(second,)))
    message = await settled(customer, await answer(customer), "uncertain")
    await customer.shop.client.messages.retry(message.id)
    await settled(customer, message, "sent")
    await customer.tell(customer.receipt(Status.FAILED, first, message_id=message.id, reason=GONE))
    assert (await status(customer, message), ids(await see(customer, message))) == ("sent", [second])
    await customer.tell(customer.receipt(Status.DELIVERED, first))
    assert await status(customer, message) == "delivered"


async def test_a_receipt_with_an_id_of_ours_that_there_is_not_is_recorded_nowhere(
    scripted: Running, customer: Customer
) -> None:
    async with new_shop(scripted, "Another shop") as other:
        stranger = await someone_on("scripted", scripted, other)
        theirs = await settled(stranger, await answer(stranger), "sent")
        for named in (theirs.id, new_id(MESSAGE), "not an id"):
            await customer.tell(customer.receipt(Status.READ, message_id=named))
            await customer.tell(customer.receipt(Status.FAILED, message_id=named, reason=GONE))
        assert await status(stranger, theirs) == "sent"
    rows = await query(scripted, "SELECT 1 FROM receipts WHERE shop_id = :id", id=customer.shop.uuid)
    assert rows == []


async def test_a_receipt_with_a_foreign_id_of_ours_is_matched_by_theirs(customer: Customer, script: Script) -> None:
    number = fresh("wamid")
    script.then(Sent(external_ids=(number,)))
    message = await settled(customer, await answer(customer), "sent")
    await customer.tell(customer.receipt(Status.DELIVERED, number, message_id=new_id(MESSAGE)))
    assert await status(customer, message) == "delivered"


async def test_the_ledger_tells_why_a_part_waits(customer: Customer, script: Script) -> None:
    script.then(Unavailable("The provider is down.").after([fresh("a")]))
    message = await answer(customer)
    await once_tried(customer)
    lines = await customer.shop.client.messages.receipts(message.id)
    assert [(line.status, line.part) for line in lines] == [("sent", 0), ("queued", 1)]
    assert lines[1].reason is not None
    assert lines[1].reason.detail == "The provider is down."
