"""Any life of a conversation, against a small model of it and against someone who only hears the feed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from shopbell_client import Client, Conversation, Message

from shared.commands import Sent
from shared.errors import Rejected, Uncertain
from shared.events import Evidence, InboundEvent, Reason, Status
from tests.gateway.conversations.life_model import Follower, Life, Line, facts
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.scripted import Step, new_channel, script_of

T = TypeVar("T")
WORDS = st.sampled_from(["Hello", "Yes", "No", "Why?", "äöü", "🦜"])
PART = st.floats(0, 1)  # which of what there is
ENDS = st.sampled_from(["sent", "failed", "uncertain"])  # of an attempt to send
STEPS: dict[str, tuple[Step, ...]] = {
    "sent": (),
    "failed": (Rejected("Not this."),),
    "uncertain": (Uncertain("The line broke."),),
}


class Lives(RuleBasedStateMachine):
    """The machine runs in a thread of its own; what it does happens in the product's loop."""

    running: ClassVar[Running]
    shop: ClassVar[Shop]
    channel: ClassVar[str]
    agent: ClassVar[Client]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    @initialize(text=WORDS)
    def a_customer_writes_first(self, text: str) -> None:
        self.life, self.follower = Life(), Follower()
        self.customer = Customer(self.running, self.shop, channel=self.channel, channel_type="scripted")
        self.script = script_of(self.channel)
        self.script.calls.clear()
        self.sends: list[str] = []
        self.cursor = self.do(self.shop.client.events_page(after="now")).next
        self.told: list[InboundEvent] = []
        self.marks: set[tuple[Status, object]] = set()
        self.repeats: list[tuple[Callable[[], Coroutine[Any, Any, Message]], str]] = []
        self.write(text)
        self.id = self.do(self.customer.conversation()).id

    # The customer

    def write(self, *texts: str) -> None:
        messages = [self.customer.message(text) for text in texts]
        self.tell(*messages)
        for text, message in zip(texts, messages, strict=True):
            self.life.customer_writes(text, message.external_id)

    def tell(self, *events: InboundEvent) -> None:
        self.told += events
        self.do(self.customer.tell(*events))

    @rule(texts=st.lists(WORDS, min_size=1, max_size=4))
    def the_customer_writes(self, texts: list[str]) -> None:
        self.write(*texts)

    @rule(text=WORDS, better=WORDS)
    def the_customer_writes_and_corrects_it_at_once(self, text: str, better: str) -> None:
        message = self.customer.message(text)
        self.tell(message, self.customer.edit(message.external_id, better))
        self.life.customer_writes(text, message.external_id)
        self.life.customer_edits(self.life.lines[-1], better)

    @rule(part=PART, text=WORDS)
    def the_customer_edits(self, part: float, text: str) -> None:
        line = pick(self.theirs(), part)
        assert line.external_id is not None
        self.tell(self.customer.edit(line.external_id, text, fresh("version")))
        self.life.customer_edits(line, text)

    @rule(part=PART)
    def the_customer_deletes(self, part: float) -> None:
        line = pick(self.theirs(), part)
        assert line.external_id is not None
        self.tell(self.customer.deletion(line.external_id))
        line.deleted = True

    @rule(part=PART)
    def the_channel_tells_again_what_it_told_before(self, part: float) -> None:
        self.do(self.customer.tell(pick(self.told, part), self.told[-1]))

    # The shop writes

    @rule(text=WORDS, by_agent=st.booleans(), ends=st.lists(ENDS, min_size=1, max_size=3))
    def the_shop_answers(self, text: str, by_agent: bool, ends: list[str]) -> None:
        for end in ends:
            self.script.then(*STEPS[end])
            line = Line(text, inward=False)
            self.send(line, by_agent=by_agent)
            self.await_end(line, end)

    @rule(text=WORDS, by_agent=st.booleans())
    def somebody_keeps_a_note(self, text: str, by_agent: bool) -> None:
        self.send(Line(text, inward=False, public=False, rung="sent"), by_agent=by_agent)

    @rule(text=WORDS, status=st.sampled_from([Status.DELIVERED, Status.READ, Status.FAILED]))
    def a_receipt_overtakes_the_send_it_speaks_of(self, text: str, status: Status) -> None:
        external_id, line = fresh("early"), Line(text, inward=False)
        self.tell(self.customer.receipt(status, external_id, reason=reason_for(status)))
        self.script.then(Sent(external_ids=(external_id,)))
        self.send(line, by_agent=False)
        line.hears("sent")
        self.life.told_of(line, status)
        self.await_end(line, "sent")

    def send(self, line: Line, *, by_agent: bool) -> None:
        client, key = self.agent if by_agent else self.shop.client, fresh("key")
        visibility = "public" if line.public else "internal"

        def call() -> Coroutine[Any, Any, Message]:
            return client.messages.send(self.id, text=line.text, visibility=visibility, idempotency_key=key)

        line.id = self.do(call()).id
        self.repeats.append((call, line.id))
        self.life.shop_writes(line, agent=self.shop.agent if by_agent else None)

    def await_end(self, line: Line, end: str) -> None:
        """The attempt is over, and the message stands where the model says."""
        self.sends.append(line.id)
        line.hears(end)
        ended = self.do(eventually(lambda: self.shop.client.messages.get(line.id), lambda m: m.status == line.status))
        if end == "sent":
            (line.external_id,) = (part.external_id for part in ended.parts)

    @precondition(lambda self: self.ours("failed", "uncertain"))
    @rule(part=PART, end=ENDS)
    def somebody_sends_it_again(self, part: float, end: str) -> None:
        line, key = pick(self.ours("failed", "uncertain"), part), fresh("key")
        self.script.then(*STEPS[end])

        def call() -> Coroutine[Any, Any, Message]:
            return self.shop.client.messages.retry(line.id, idempotency_key=key)

        assert self.do(call()).status == "queued"
        self.repeats.append((call, line.id))
        line.goes_again()
        self.await_end(line, end)

    @precondition(lambda self: self.ours("uncertain"))
    @rule(part=PART, status=st.sampled_from(["sent", "failed"]))
    def somebody_finds_out_what_became_of_it(self, part: float, status: str) -> None:
        line = pick(self.ours("uncertain"), part)
        self.life.told_of(line, status)
        assert self.do(self.shop.client.messages.resolve(line.id, status=status)).status == line.status

    @precondition(lambda self: self.repeats)
    @rule(part=PART)
    def a_call_is_repeated(self, part: float) -> None:
        call, first = pick(self.repeats, part)
        assert self.do(call()).id == first

    # What becomes of what the shop wrote

    @precondition(lambda self: self.ours())
    @rule(part=PART, status=st.sampled_from([Status.DELIVERED, Status.READ]))
    def the_customers_device_shows_it(self, part: float, status: Status) -> None:
        line = pick(self.ours(), part)
        self.tell(self.customer.receipt(status, evidence=Evidence.DEVICE, up_to_id=line.id))
        self.life.marked(line, status, by_device=True)

    @precondition(lambda self: self.ours())
    @rule(part=PART, status=st.sampled_from([Status.SENT, Status.DELIVERED, Status.READ, Status.FAILED]))
    def the_provider_reports(self, part: float, status: Status) -> None:
        line = pick(self.ours(), part)
        which, named = (line.external_id,) if line.external_id else (), None if line.external_id else line.id
        self.tell(self.customer.receipt(status, *which, message_id=named, reason=reason_for(status)))
        self.life.told_of(line, status)

    @precondition(lambda self: self.to_be_marked())
    @rule(part=PART, status=st.sampled_from([Status.DELIVERED, Status.READ]), by_time=st.booleans())
    def the_provider_sets_a_mark(self, part: float, status: Status, by_time: bool) -> None:
        line = pick(self.to_be_marked(), part)
        at = self.do(self.shop.client.messages.get(line.id)).created_at
        mark: dict[str, object] = {"up_to": at} if by_time else {"up_to_id": line.external_id}
        self.tell(self.customer.receipt(status, evidence=Evidence.WATERMARK, **mark))
        told = (status, at if by_time else line.external_id)
        if told not in self.marks:  # told again it says nothing of what was sent again meanwhile
            self.life.marked(line, status, by_device=False)
        self.marks.add(told)

    # The shop sees to it

    @rule(part=PART)
    def the_shop_reads(self, part: float) -> None:
        message = pick(self.messages(), part)
        answer = self.do(self.shop.client.conversations.read(self.id, up_to=message.id))
        self.life.shop_reads(message.seq)
        assert answer.up_to == self.messages()[self.life.read_up_to - 1].id

    @rule(status=st.sampled_from(["closed", "closed", "open", "pending", "snoozed"]))
    def the_shop_changes_the_status(self, status: str) -> None:
        self.do(self.shop.client.conversations.update(self.id, status=status))
        self.life.becomes(status)

    @rule(tags=st.lists(st.sampled_from(["vip", "late", "red"]), max_size=3))
    def the_shop_tags(self, tags: list[str]) -> None:
        self.do(self.shop.client.conversations.update(self.id, tags=tags))
        self.life.tags = tuple(dict.fromkeys(tags))

    @rule(assigned=st.booleans())
    def the_shop_assigns(self, assigned: bool) -> None:
        agent = self.shop.agent if assigned else None
        self.do(self.shop.client.conversations.assign(self.id, agent=agent))
        self.life.assignee = agent

    @invariant()
    def the_api_shows_what_the_model_knows(self) -> None:
        conversation = self.do(self.customer.shop.client.conversations.get(self.id))
        self.life.seen_as(conversation, self.messages())

    @invariant()
    def whoever_hears_the_feed_knows_the_same(self) -> None:
        conversation, messages = self.do(self.shop.client.conversations.get(self.id)), self.messages()
        page = self.do(self.shop.client.events_page(after=self.cursor, limit=500))
        self.cursor = page.next
        for event in page.items:
            self.follower.hear(event)
        assert isinstance(self.follower.conversation, Conversation)
        assert facts(self.follower.conversation) == facts(conversation)
        assert self.follower.thread() == messages

    @invariant()
    def the_provider_was_asked_for_each_attempt_once(self) -> None:
        assert [call.message_id for call in self.script.calls] == self.sends

    def teardown(self) -> None:
        if hasattr(self, "customer"):
            contact = self.do(self.customer.conversation()).contact.id
            assert len(self.do(self.shop.client.conversations.list(contact=contact)).items) == 1

    def theirs(self) -> list[Line]:
        return [line for line in self.life.lines if line.inward]

    def ours(self, *statuses: str) -> list[Line]:
        """What was meant for the customer, of these statuses or of any."""
        mine = (line for line in self.life.lines if not line.inward and line.public)
        return [line for line in mine if not statuses or line.status in statuses]

    def to_be_marked(self) -> list[Line]:
        """The messages that the provider knows, the newest first, down to the first that it could tell news of."""
        unread = next((n for n, line in enumerate(self.ours()) if line.status != "read"), len(self.life.lines))
        return [line for line in self.ours()[unread:] if line.external_id][::-1]

    def messages(self) -> list[Message]:
        return list(self.do(self.shop.client.messages.list(self.id, limit=200)).items)


def reason_for(status: Status) -> Reason | None:
    """A failure of its own each time: the same one told again would be known."""
    return Reason(code=fresh("code"), detail="Gone.") if status is Status.FAILED else None


def pick(things: list[T], part: float) -> T:
    return things[min(int(part * len(things)), len(things) - 1)]


async def live(running: Running, shop: Shop, *, examples: int, steps: int) -> None:
    channel = await new_channel(shop, "scripted")
    token = (await shop.client.agents.token(shop.agent)).token
    async with Client(shop.url, token) as agent:
        loop = asyncio.get_running_loop()
        around = {"running": running, "shop": shop, "channel": channel, "agent": agent, "loop": loop}
        machine = type("TheseLives", (Lives,), around)
        rules = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # a failure tells its steps; making them fewer would take minutes
            suppress_health_check=list(HealthCheck),
        )
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=rules)


@pytest.mark.slow
async def test_a_few_lives_are_as_the_model_says(scripted: Running, scripted_shop: Shop) -> None:
    await live(scripted, scripted_shop, examples=4, steps=20)


@pytest.mark.slow
async def test_many_lives_are_as_the_model_says(scripted: Running, scripted_shop: Shop) -> None:
    await live(scripted, scripted_shop, examples=12, steps=30)
