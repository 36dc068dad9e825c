"""The feed: one order for all readers, nothing missing, nothing twice, whoever writes and however one reads."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import httpx
import pytest
from shopbell_client import BadRequest, Client, Contact, Event, Gone, TypingSignal

from gateway.events.feed import read_cursor
from gateway.events.tail import QUEUE_MAX, follow
from shared.events import TypingReported
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import execute, query


def position(running: Running, shop: Shop, event: Event) -> int:
    assert event.cursor is not None
    return read_cursor(running.core.key("feed cursors"), shop.uuid, event.cursor)


async def newest(running: Running, shop: Shop) -> int:
    (row,) = await query(running, "SELECT position FROM feeds WHERE shop_id = :id", id=shop.uuid)
    found: int = row.position
    return found


async def write_much(running: Running, shop: Shop) -> None:
    """Twenty writers at once: half of them channels, half of them callers of the API."""

    async def channel(n: int) -> None:
        customer = Customer(running, shop)
        for text in range(6):
            await customer.tell(*(customer.message(f"{text} {part}") for part in range(1 + n % 3)))

    async def caller() -> None:
        for _ in range(4):
            contact = await shop.client.contacts.create(name="A")
            await shop.client.contacts.update(contact.id, name="B")

    await asyncio.gather(*(channel(n) for n in range(10)), *(caller() for _ in range(10)))


async def test_two_readers_see_the_same_in_the_same_order_with_nothing_missing(running: Running, shop: Shop) -> None:
    """One reads through; the other comes and goes at random, and goes on from the cursor it kept."""
    end = fresh("the end")

    async def through() -> list[Event]:
        seen = []
        async with aclosing(shop.client.events()) as events:
            async for event in events:
                seen.append(event)
                if is_end(event):
                    break
        return seen

    async def by_bits() -> list[Event]:
        chance, seen, cursor = random.Random(3), list[Event](), None
        while not seen or not is_end(seen[-1]):
            left = chance.randint(1, 9)
            async with aclosing(shop.client.events(after=cursor)) as events:
                async for event in events:
                    seen.append(event)
                    cursor, left = event.cursor, left - 1
                    if not left or is_end(event):
                        break
        return seen

    def is_end(event: Event) -> bool:
        return isinstance(event.data, Contact) and event.data.name == end

    readers = [asyncio.create_task(through()), asyncio.create_task(by_bits())]
    await write_much(running, shop)
    await shop.client.contacts.create(name=end)
    async with asyncio.timeout(30):
        one, other = await asyncio.gather(*readers)
    assert [event.id for event in one] == [event.id for event in other]
    assert [position(running, shop, event) for event in one] == list(range(1, await newest(running, shop) + 1))
    pages = [event async for event in paged(shop)]
    assert [event.id for event in pages] == [event.id for event in one]
    assert [event.data for event in pages] == [event.data for event in one]


async def paged(shop: Shop) -> AsyncIterator[Event]:
    cursor = None
    while True:
        page = await shop.client.events_page(after=cursor, limit=7)
        for event in page.items:
            yield event
        if not page.items:
            return
        cursor = page.next


async def test_a_reader_that_falls_far_behind_catches_up_from_the_table(running: Running, shop: Shop) -> None:
    """More than is held for it in memory happens while it does not look."""
    core, customer = running.core, Customer(running, shop)
    await customer.tell(customer.message("first"))
    reading = follow(core.tail, core.db, shop.uuid, after=0, idle_s=0.2)
    seen = [await position_of_next(reading)]
    total = QUEUE_MAX + 400
    for start in range(0, total, 350):
        await customer.tell(*(customer.message(str(n)) for n in range(start, min(total, start + 350))))
    end = await newest(running, shop)
    await eventually(lambda: told(core.tail._positions.get(shop.uuid, 0)), lambda at: at == end)
    while seen[-1] < end:
        seen.append(await position_of_next(reading))
    assert isinstance(reading, AsyncGenerator)
    await reading.aclose()
    assert seen == list(range(1, end + 1))


async def told(value: int) -> int:
    return value


async def position_of_next(reading: AsyncIterator[object]) -> int:
    async with asyncio.timeout(10):
        while True:
            item = await anext(reading)
            if item is not None:
                found: int = item.position  # type: ignore[attr-defined]
                return found


# Pages and the long poll


async def test_a_long_poll_wakes_up_when_something_happens(running: Running, shop: Shop) -> None:
    after = (await shop.client.events_page(after="now")).next
    polling = asyncio.create_task(shop.client.events_page(after=after, wait=30))
    await eventually(lambda: listening(running, shop))
    assert not polling.done()
    await shop.client.contacts.create(name="A")
    async with asyncio.timeout(5):
        page = await polling
    assert [event.type for event in page.items] == ["contact.created"]


async def listening(running: Running, shop: Shop) -> bool:
    return shop.uuid in running.core.tail._listeners


async def test_a_long_poll_for_one_type_sleeps_through_the_others(running: Running, shop: Shop) -> None:
    after = (await shop.client.events_page(after="now")).next
    polling = asyncio.create_task(shop.client.events_page(after=after, types=["message.received"], wait=30))
    await eventually(lambda: listening(running, shop))
    await shop.client.contacts.create(name="A")
    customer = Customer(running, shop)
    await customer.writes("Hello?")
    async with asyncio.timeout(5):
        page = await polling
    assert [event.type for event in page.items] == ["message.received"]


async def test_a_long_poll_in_which_nothing_happens_ends_with_the_same_cursor(shop: Shop) -> None:
    after = (await shop.client.events_page(after="now")).next
    page = await shop.client.events_page(after=after, wait=1)
    assert (page.items, page.next) == ((), after)


async def test_types_narrow_and_the_cursor_goes_on_all_the_same(running: Running, shop: Shop) -> None:
    await shop.client.contacts.create(name="A")
    await Customer(running, shop).writes("Hello?")
    page = await shop.client.events_page(types=["message.received", "conversation.opened"])
    assert [event.type for event in page.items] == ["conversation.opened", "message.received"]
    assert (await shop.client.events_page(after=page.next)).items == ()
    nothing = await shop.client.events_page(types=["no.such.type"])
    assert nothing.items == ()
    assert (await shop.client.events_page(after=nothing.next)).items == ()


async def test_now_skips_what_was_and_misses_nothing_that_comes(shop: Shop) -> None:
    await shop.client.contacts.create(name="Before")
    page = await shop.client.events_page(after="now")
    assert page.items == ()
    contact = await shop.client.contacts.create(name="After")
    (event,) = (await shop.client.events_page(after=page.next)).items
    assert isinstance(event.data, Contact)
    assert event.data.id == contact.id


async def test_an_event_shows_the_resource_as_the_api_does(running: Running, shop: Shop) -> None:
    message = await Customer(running, shop).writes("Hello?")
    by_type = {event.type: event for event in (await shop.client.events_page()).items}
    assert by_type["message.received"].data == message
    assert by_type["message.received"].conversation == message.conversation
    contact = await shop.client.contacts.get((await shop.client.conversations.get(message.conversation)).contact.id)
    assert by_type["contact.created"].data == contact
    assert {event.shop for event in by_type.values()} == {shop.id}


async def test_a_cursor_older_than_what_is_kept_is_gone(running: Running, shop: Shop) -> None:
    start = (await shop.client.events_page(limit=1)).next
    for _ in range(3):
        await shop.client.contacts.create(name="A")
    await execute(running, "DELETE FROM events WHERE shop_id = :id AND position < 3", id=shop.uuid)
    await execute(running, "UPDATE feeds SET oldest = 3 WHERE shop_id = :id", id=shop.uuid)
    with pytest.raises(Gone) as refusal:
        await shop.client.events_page(after=start)
    assert refusal.value.code == "cursor_expired"
    with pytest.raises(Gone):
        await anext(shop.client.events(after=start))
    assert len((await shop.client.events_page()).items) == 1


async def test_a_cursor_ahead_of_the_feed_is_gone(running: Running, shop: Shop) -> None:
    """As after a restore of an older backup: to go on from it would skip what happens until the feed gets there."""
    for _ in range(3):
        await shop.client.contacts.create(name="A")
    ahead = (await shop.client.events_page()).next
    await execute(running, "DELETE FROM events WHERE shop_id = :id AND position > 1", id=shop.uuid)
    await execute(running, "UPDATE feeds SET position = 1 WHERE shop_id = :id", id=shop.uuid)
    with pytest.raises(Gone) as refusal:
        await shop.client.events_page(after=ahead)
    assert refusal.value.code == "cursor_expired"
    with pytest.raises(Gone):
        await anext(shop.client.events(after=ahead))
    assert (await shop.client.events_page(after=(await shop.client.events_page()).next)).items == ()


async def test_a_cursor_that_was_changed_is_refused(shop: Shop) -> None:
    await shop.client.contacts.create(name="A")
    cursor = (await shop.client.events_page()).next
    for changed in (
        cursor[:-1],
        cursor + "A",
        cursor[:-1] + ("A" if cursor[-1] != "A" else "B"),
        "A" + cursor[1:],
        "x",
    ):
        if changed != cursor:
            with pytest.raises(BadRequest):
                await shop.client.events_page(after=changed)


# Streams


async def test_typing_is_told_live_and_never_kept(running: Running, shop: Shop) -> None:
    customer = Customer(running, shop)
    message = await customer.writes("Hello?")
    async with aclosing(shop.client.events(after="now")) as events:
        next_event = asyncio.ensure_future(anext(events))
        await eventually(lambda: listening(running, shop))
        await eventually(lambda: type_until_heard(customer, next_event))
        event = await next_event
        assert (event.type, event.id, event.cursor) == ("typing", None, None)
        assert event.data == TypingSignal(conversation=message.conversation, on=True, by="contact")
        by_agent = asyncio.ensure_future(next_by_agent(events))
        await shop.client.conversations.typing(message.conversation)
        async with asyncio.timeout(5):
            assert (await by_agent).by == "agent"
    assert "typing" not in {event.type for event in (await shop.client.events_page()).items}


async def type_until_heard(customer: Customer, heard: "asyncio.Future[Event]") -> bool:
    await customer.tell(TypingReported(address=customer.address, occurred_at=datetime.now(UTC), on=True))
    return heard.done()


async def next_by_agent(events: AsyncIterator[Event]) -> TypingSignal:
    async for event in events:
        if isinstance(event.data, TypingSignal) and event.data.by == "agent":
            return event.data
    raise AssertionError("the stream never ends by itself")


async def stream_lines(http: httpx.AsyncClient, shop: Shop, token: str, started: asyncio.Event) -> list[str]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    lines = []
    async with http.stream("GET", f"{shop.url}/v1/events?after=now", headers=headers) as answer:
        assert answer.headers["cache-control"] == "no-store"
        async for line in answer.aiter_lines():
            started.set()
            lines.append(line)
    return lines


async def begun_stream(http: httpx.AsyncClient, shop: Shop, token: str) -> "asyncio.Task[list[str]]":
    """The lines of a stream that has begun, once it ends."""
    started = asyncio.Event()
    streaming = asyncio.create_task(stream_lines(http, shop, token, started))
    starting = asyncio.create_task(started.wait())
    await asyncio.wait({streaming, starting}, return_when=asyncio.FIRST_COMPLETED)
    starting.cancel()
    assert started.is_set(), await streaming
    return streaming


async def test_a_stream_ends_when_its_token_expires(running: Running, shop: Shop, http: httpx.AsyncClient) -> None:
    token = await shop.client.agents.token(shop.agent)
    await execute(
        running, "UPDATE agent_tokens SET expires_at = now() + interval '2 s' WHERE shop_id = :id", id=shop.uuid
    )
    streaming = await begun_stream(http, shop, token.token)

    async def refused() -> bool:
        async with Client(shop.url, token.token, retries=0) as client:
            with contextlib.suppress(Exception):
                await client.me()
                return False
            return True

    await eventually(refused)
    await shop.client.contacts.create(name="A secret")
    async with asyncio.timeout(5):
        lines = await streaming
    assert "event: auth_expired" in lines
    assert "A secret" not in "".join(lines)


async def test_a_stream_does_not_outlive_its_key(shop: Shop, http: httpx.AsyncClient) -> None:
    key = await shop.client.keys.create(name="Reader", scopes=["read"])
    streaming = await begun_stream(http, shop, key.key)
    await shop.client.keys.delete(key.id)

    async def write_and_look() -> bool:
        await shop.client.contacts.create(name="A")
        return streaming.done()

    await eventually(write_and_look, timeout_s=5)
    assert "event: auth_expired" in await streaming


async def test_last_event_id_wins_over_the_address(shop: Shop, http: httpx.AsyncClient) -> None:
    first, second = await shop.client.contacts.create(name="A"), await shop.client.contacts.create(name="B")
    (one, _) = (await shop.client.events_page()).items
    assert one.cursor is not None
    headers = {"Authorization": f"Bearer {shop.key}", "Last-Event-ID": one.cursor}
    page = (await http.get(f"{shop.url}/v1/events?after=now", headers=headers)).json()
    assert [item["data"]["id"] for item in page["items"]] == [second.id]
    assert first.id != second.id


async def test_nobody_is_listened_for_once_all_readers_have_gone(running: Running, shop: Shop) -> None:
    for _ in range(5):
        async with aclosing(shop.client.events()) as events:
            await shop.client.contacts.create(name="A")
            await anext(events)

    async def anyone_left() -> bool:
        await shop.client.contacts.create(name="A")  # a stream notices by writing
        return await listening(running, shop)

    await eventually(anyone_left, lambda left: not left)
