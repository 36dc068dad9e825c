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

from shared.events import Evidence, MessageReceived, Status
from tests.gateway.conversations.life_model import Follower, Life, Line, facts
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop

T = TypeVar("T")
WORDS = st.sampled_from(["Hello", "Yes", "No", "Why?", "äöü", "🦜"])
PART = st.floats(0, 1)  # which of what there is


class Lives(RuleBasedStateMachine):
    """The machine runs in a thread of its own; what it does happens in the product's loop."""

    running: ClassVar[Running]
    shop: ClassVar[Shop]
    agent: ClassVar[Client]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    @initialize(text=WORDS)
    def a_customer_writes_first(self, text: str) -> None:
        self.life, self.follower = Life(), Follower()
        self.customer = Customer(self.running, self.shop)
        self.cursor = self.do(self.shop.client.events_page(after="now")).next
        self.told: list[MessageReceived] = []
        self.repeats: list[tuple[Callable[[], Coroutine[Any, Any, Message]], str]] = []
        self.write(text)
        self.id = self.do(self.customer.conversation()).id

    def write(self, text: str) -> None:
        message = self.customer.message(text)
        self.told.append(message)
        self.do(self.customer.tell(message))
        self.life.customer_writes(text)

    @rule(text=WORDS)
    def the_customer_writes(self, text: str) -> None:
        self.write(text)

    @rule(texts=st.lists(WORDS, min_size=2, max_size=4))
    def the_customer_writes_several_at_once(self, texts: list[str]) -> None:
        messages = [self.customer.message(text) for text in texts]
        self.told += messages
        self.do(self.customer.tell(*messages))
        for text in texts:
            self.life.customer_writes(text)

    @rule(part=PART)
    def the_channel_tells_an_old_message_again(self, part: float) -> None:
        self.do(self.customer.tell(pick(self.told, part), self.told[-1]))

    @rule(text=WORDS, by_agent=st.booleans())
    def the_shop_answers(self, text: str, by_agent: bool) -> None:
        self.send(Line(text, inward=False), by_agent=by_agent)

    @rule(text=WORDS, by_agent=st.booleans())
    def somebody_keeps_a_note(self, text: str, by_agent: bool) -> None:
        self.send(Line(text, inward=False, public=False), by_agent=by_agent)

    def send(self, line: Line, *, by_agent: bool) -> None:
        client, key = self.agent if by_agent else self.shop.client, fresh("key")
        visibility = "public" if line.public else "internal"

        def call() -> Coroutine[Any, Any, Message]:
            return client.messages.send(self.id, text=line.text, visibility=visibility, idempotency_key=key)

        sent = self.do(call())
        line.id = sent.id
        self.repeats.append((call, sent.id))
        self.life.shop_writes(line, agent=self.shop.agent if by_agent else None)
        self.do(eventually(lambda: self.shop.client.messages.get(sent.id), lambda m: m.status == "sent"))

    @precondition(lambda self: self.repeats)
    @rule(part=PART)
    def a_call_is_repeated(self, part: float) -> None:
        call, first = pick(self.repeats, part)
        assert self.do(call()).id == first

    @rule(part=PART)
    def the_shop_reads(self, part: float) -> None:
        message = pick(self.messages(), part)
        answer = self.do(self.shop.client.conversations.read(self.id, up_to=message.id))
        self.life.shop_reads(message.seq)
        assert answer.up_to == self.messages()[self.life.read_up_to - 1].id

    @precondition(lambda self: any(not line.inward and line.public for line in self.life.lines))
    @rule(part=PART, status=st.sampled_from([Status.DELIVERED, Status.READ]))
    def the_customer_has_read_or_received(self, part: float, status: Status) -> None:
        line = pick([line for line in self.life.lines if not line.inward and line.public], part)
        self.do(self.customer.tell(self.customer.receipt(status, evidence=Evidence.DEVICE, up_to_id=line.id)))
        self.life.customer_has(self.life.lines.index(line) + 1, status)

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

    def teardown(self) -> None:
        if hasattr(self, "customer"):
            contact = self.do(self.customer.conversation()).contact.id
            assert len(self.do(self.shop.client.conversations.list(contact=contact)).items) == 1

    def messages(self) -> list[Message]:
        return list(self.do(self.shop.client.messages.list(self.id, limit=200)).items)


def pick(things: list[T], part: float) -> T:
    return things[min(int(part * len(things)), len(things) - 1)]


async def live(running: Running, shop: Shop, *, examples: int, steps: int) -> None:
    token = (await shop.client.agents.token(shop.agent)).token
    async with Client(shop.url, token) as agent:
        surroundings = {"running": running, "shop": shop, "agent": agent, "loop": asyncio.get_running_loop()}
        machine = type("TheseLives", (Lives,), surroundings)
        rules = settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # a failure tells its steps; making them fewer would take minutes
            suppress_health_check=list(HealthCheck),
        )
        await asyncio.to_thread(run_state_machine_as_test, machine, settings=rules)


async def test_a_few_lives_are_as_the_model_says(running: Running, shop: Shop) -> None:
    await live(running, shop, examples=4, steps=20)


@pytest.mark.slow
async def test_many_lives_are_as_the_model_says(running: Running, shop: Shop) -> None:
    await live(running, shop, examples=20, steps=30)
