"""What channels tell us is never lost and never doubled: duplicates, edits, quarantine, a database that goes away."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from shopbell_client import Conflict, Inbound, Message

from shared.errors import BusUnavailable, UnknownChannel
from shared.events import (
    UNDATED,
    ChannelReported,
    Echo,
    InboundEvent,
    PeerBlocked,
    PeerConnected,
    PeerMoved,
    Status,
    TypingReported,
)
from shared.ids import CHANNEL, MESSAGE, new_id, read_id
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.operations import undigested
from tests.support.product import Running, Shop, new_shop, running_product, settings_for
from tests.support.tables import execute, query


@pytest.fixture
def customer(running: Running, shop: Shop) -> Customer:
    return Customer(running, shop)


async def texts(customer: Customer) -> list[str]:
    conversation = await customer.conversation()
    return [m.content.text async for m in customer.shop.client.messages.iterate(conversation.id)][::-1]  # type: ignore[union-attr, return-value]


async def quarantined(customer: Customer) -> list[Inbound]:
    return [row async for row in customer.shop.client.inbound.iterate(state="quarantined")]


# Once, and in order


async def test_a_batch_lands_in_its_order_and_counts(customer: Customer) -> None:
    await customer.tell(*(customer.message(str(n)) for n in range(120)))
    assert await texts(customer) == [str(n) for n in range(120)]
    conversation = await customer.conversation()
    assert (conversation.unread, conversation.last_seq) == (120, 120)
    assert conversation.waiting_since is not None


async def test_the_same_message_told_again_is_one_message(customer: Customer) -> None:
    message = customer.message("Hello?")
    await customer.tell(message, message)
    await asyncio.gather(*(customer.tell(message) for _ in range(20)))
    await customer.tell(message.model_copy(update={"raw": b"told in another batch"}))
    assert await texts(customer) == ["Hello?"]
    assert (await customer.conversation()).unread == 1


async def test_earlier_messages_told_again_after_later_ones_leave_the_order_as_it_was(customer: Customer) -> None:
    messages = [customer.message(str(n)) for n in range(120)]
    await customer.tell(*messages, *messages[:60])
    assert await texts(customer) == [str(n) for n in range(120)]


async def test_sixteen_first_messages_at_once_open_one_conversation(customer: Customer) -> None:
    await asyncio.gather(*(customer.tell(customer.message(str(n))) for n in range(16)))
    contacts = (await customer.shop.client.contacts.list()).items
    conversations = (await customer.shop.client.conversations.list()).items
    assert (len(contacts), len(conversations), conversations[0].last_seq) == (1, 1, 16)
    assert sorted(await texts(customer), key=int) == [str(n) for n in range(16)]


async def test_two_customers_may_give_their_messages_the_same_id(running: Running, shop: Shop) -> None:
    one, other = Customer(running, shop), Customer(running, shop)
    await asyncio.gather(one.writes("Hello?", "1"), other.writes("Hi?", "1"))
    assert (await texts(one), await texts(other)) == (["Hello?"], ["Hi?"])


async def test_what_a_customer_quotes_is_found_among_their_own_only(running: Running, shop: Shop) -> None:
    one, other = Customer(running, shop), Customer(running, shop)
    first = await one.writes("Hello?", "m-1")
    theirs = await other.writes("Hi?", "m-2")
    answer = await shop.client.messages.send(theirs.conversation, text="Yes.")
    await eventually(lambda: shop.client.messages.get(answer.id), lambda m: m.parts)
    await one.tell(one.message("I mean this", "m-3", reply_to="m-1"))
    await one.tell(one.message("And this?", "m-4", reply_to="m-2"))
    await one.tell(one.message("And that?", "m-5", reply_to=answer.id))
    *_, own, not_theirs, not_to_them = (await shop.client.messages.list(first.conversation)).items
    assert (own.reply_to, not_theirs.reply_to, not_to_them.reply_to) == (first.id, None, None)


async def test_a_caller_that_goes_away_does_not_take_its_message_along(customer: Customer) -> None:
    await customer.writes("Hello?")
    publishing = [asyncio.create_task(customer.tell(customer.message(str(n)))) for n in range(5)]
    await asyncio.sleep(0)  # they have handed it over and wait
    for task in publishing:
        task.cancel()
    assert all(isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*publishing, return_exceptions=True))
    await eventually(lambda: texts(customer), lambda seen: seen == ["Hello?", "0", "1", "2", "3", "4"])


async def test_an_unknown_channel_takes_nothing(running: Running, shop: Shop) -> None:
    for channel in (new_id(CHANNEL), "not an id"):
        with pytest.raises(UnknownChannel):
            customer = Customer(running, shop, channel=channel)
            await customer.tell(customer.message("Hello?"))


# Edits, deletions, blocks, echoes


async def test_an_edit_keeps_what_was_there_before(customer: Customer) -> None:
    message = await customer.writes("Helo?", "m-1")
    await customer.tell(customer.edit("m-1", "Hello?", "2"), customer.edit("m-1", "Hello!", "3"))
    await customer.tell(customer.edit("m-1", "Hello?", "2"))  # told again: known
    edited = await customer.shop.client.messages.get(message.id)
    assert edited.content.text == "Hello!"  # type: ignore[union-attr]
    assert edited.edited_at is not None
    assert await earlier_texts(customer, message.id) == ["Helo?", "Hello?"]


async def earlier_texts(customer: Customer, message_id: str) -> list[str]:
    (row,) = await query(
        customer.running, "SELECT history FROM messages WHERE id = :id", id=read_id(MESSAGE, message_id)
    )
    return [version["content"]["text"] for version in row.history or ()]


NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HALF_A_SECOND = timedelta(seconds=0.5)


@pytest.mark.parametrize(
    ("times", "last"),
    [
        ((NOON, NOON + timedelta(seconds=1)), "2"),
        ((NOON + timedelta(seconds=1), NOON), "1"),
        ((NOON + timedelta(seconds=2), NOON, NOON + timedelta(seconds=1)), "1"),
        ((NOON + timedelta(seconds=1), NOON, NOON + timedelta(seconds=2)), "3"),
        ((NOON, NOON), "2"),
        ((NOON + HALF_A_SECOND, NOON), "2"),  # providers tell whole seconds: within one the arrival counts
        ((NOON, UNDATED), "2"),
        ((UNDATED, NOON), "2"),
        ((NOON + timedelta(seconds=1), UNDATED, NOON), "2"),
        ((UNDATED, UNDATED), "2"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_the_newest_edit_shows_in_whatever_order_edits_come(
    customer: Customer, times: tuple[datetime, ...], last: str, together: bool
) -> None:
    message = await customer.writes("0", "m-1")
    after = (await customer.shop.client.events_page(after="now")).next
    edits = [
        customer.edit("m-1", str(n), str(n)).model_copy(update={"occurred_at": at}) for n, at in enumerate(times, 1)
    ]
    for batch in [edits] if together else [[edit] for edit in edits]:
        await customer.tell(*batch)
    assert await texts(customer) == [last]
    kept = await earlier_texts(customer, message.id)
    assert sorted([*kept, last]) == ["0", *(str(n) for n in range(1, len(times) + 1))], "no version is lost"
    told = (await customer.shop.client.events_page(after=after, types=["message.edited"])).items
    assert [event.data.content.text for event in told if isinstance(event.data, Message)][-1] == last  # type: ignore[union-attr]
    assert await quarantined(customer) == []


async def test_an_edit_that_comes_too_late_changes_nothing_that_shows(customer: Customer) -> None:
    message = await customer.writes("Helo", "m-1")
    newer, older = customer.edit("m-1", "Hello!", "2"), customer.edit("m-1", "Hello?", "1")
    await customer.tell(newer)
    before = await customer.shop.client.messages.get(message.id)
    after = (await customer.shop.client.events_page(after="now")).next
    await customer.tell(older.model_copy(update={"occurred_at": newer.occurred_at - timedelta(minutes=1)}))
    assert await customer.shop.client.messages.get(message.id) == before
    assert await earlier_texts(customer, message.id) == ["Helo", "Hello?"]
    assert not (await customer.shop.client.events_page(after=after)).items


async def test_a_deleted_message_is_marked_and_no_longer_edited(customer: Customer) -> None:
    message = await customer.writes("Oops", "m-1")
    await customer.tell(customer.deletion("m-1"), customer.deletion("m-1"))
    await customer.tell(customer.edit("m-1", "Nothing happened"))
    deleted = await customer.shop.client.messages.get(message.id)
    assert deleted.deleted_at is not None
    assert deleted.content.text == "Oops"  # type: ignore[union-attr]
    assert await earlier_texts(customer, message.id) == ["Nothing happened"]
    assert await quarantined(customer) == [], "the message is known"


async def test_a_customer_who_blocks_us_cannot_be_written_to_until_they_come_back(customer: Customer) -> None:
    message = await customer.writes("Hello?")
    at = message.created_at
    await customer.tell(PeerBlocked(address=customer.address, occurred_at=at, external_id="b-1"))
    with pytest.raises(Exception, match="blocked"):
        await customer.shop.client.messages.send(message.conversation, text="Hello!")
    await customer.tell(PeerConnected(address=customer.address, occurred_at=at, external_id="c-1"))
    await customer.shop.client.messages.send(message.conversation, text="Hello!")


async def test_a_customer_who_writes_again_has_come_back(customer: Customer) -> None:
    message = await customer.writes("Hello?")
    block = PeerBlocked(address=customer.address, occurred_at=message.created_at, external_id="b-1")
    await customer.tell(block)
    await customer.writes("I am back.")
    await customer.shop.client.messages.send(message.conversation, text="Hello!")
    await customer.tell(block)  # told again: known
    assert not await is_blocked(customer)


@pytest.mark.parametrize(
    ("did", "blocked"),
    [
        (("block", "message"), False),
        (("message", "block"), True),
        (("block", "connect", "block"), True),
        (("block", "typing"), True),
    ],
)
async def test_what_a_customer_did_last_in_a_batch_says_whether_we_are_blocked(
    customer: Customer, did: tuple[str, ...], blocked: bool
) -> None:
    address, at = customer.address, (await customer.writes("Hello?")).created_at
    makes: dict[str, Callable[[], InboundEvent]] = {
        "block": lambda: PeerBlocked(address=address, occurred_at=at, external_id=fresh("b")),
        "connect": lambda: PeerConnected(address=address, occurred_at=at, external_id=fresh("c")),
        "message": lambda: customer.message("Hi"),
        "typing": lambda: TypingReported(address=address, occurred_at=at, on=True),
    }
    await customer.tell(*(makes[one]() for one in did))
    assert await is_blocked(customer) == blocked


async def is_blocked(customer: Customer) -> bool:
    (row,) = await query(customer.running, "SELECT blocked_at FROM identities WHERE peer = :peer", peer=customer.peer)
    return row.blocked_at is not None


async def test_a_move_and_a_report_of_our_end_are_journaled_once_and_hold_up_no_message(customer: Customer) -> None:
    first = await customer.writes("Hello?")
    moved = PeerMoved(address=customer.address, occurred_at=first.created_at, external_id="p-1", to=fresh("peer"))
    at_our_end = customer.address.model_copy(update={"peer": customer.channel_id})
    report = ChannelReported(
        address=at_our_end, occurred_at=first.created_at, external_id="a-1", topic="templates", raw=b"changed"
    )
    await customer.tell(moved, customer.message("Anyone?"), report)
    await customer.tell(moved, report)
    assert [m.content.text for m in (await customer.shop.client.messages.list(first.conversation)).items] == [  # type: ignore[union-attr]
        "Hello?",
        "Anyone?",
    ]
    rows = [row async for row in customer.shop.client.inbound.iterate()]
    assert sorted((row.kind, row.state) for row in rows) == [
        ("channel_reported", "processed"),
        ("message_received", "processed"),
        ("message_received", "processed"),
        ("peer_moved", "processed"),
    ]


@pytest.mark.parametrize(("hours_ago", "state"), [(1, "free"), (30, "closed"), (None, "free")])
async def test_the_window_counts_from_when_the_customer_wrote_however_late_we_heard_of_it(
    scripted: Running, scripted_shop: Shop, hours_ago: int | None, state: str
) -> None:
    from tests.support.scripted import new_channel

    channel = await new_channel(scripted_shop, "scripted")
    customer = Customer(scripted, scripted_shop, channel=channel, channel_type="scripted")
    wrote_at = datetime.now(UTC) - timedelta(hours=hours_ago) if hours_ago is not None else UNDATED
    await customer.tell(customer.message("Hello?").model_copy(update={"occurred_at": wrote_at}))
    window = (await customer.conversation()).reply_window
    assert window is not None
    assert window.state == state


async def test_what_our_side_sent_from_elsewhere_is_ours_and_answers_the_customer(
    scripted: Running, scripted_shop: Shop
) -> None:
    from tests.support.scripted import new_channel

    channel = await new_channel(scripted_shop, "scripted")
    customer = Customer(scripted, scripted_shop, channel=channel, channel_type="scripted")
    message = await customer.writes("Hello?")
    before = await customer.conversation()
    echo = Echo(
        address=customer.address,
        occurred_at=message.created_at,
        external_id="e-1",
        content=customer.message("Hello!").content,
        origin="provider_app",
    )
    await customer.tell(echo, echo)
    ours = (await customer.shop.client.messages.list(message.conversation)).items[-1]
    assert (ours.direction, ours.author.type, ours.status) == ("out", "shop", "sent")
    after = await customer.conversation()
    assert (after.unread, after.waiting_since, after.last_seq) == (1, None, 2)
    assert after.reply_window == before.reply_window, "only the customer opens the window for answers"


# Quarantine


@contextlib.asynccontextmanager
async def poisoned(customer: Customer) -> AsyncIterator[None]:
    """A database that refuses the word `poison` in this shop."""
    name = fresh("poison").replace("-", "_")
    shop_id = customer.shop.uuid
    await execute(
        customer.running,
        f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.shop_id = '{shop_id}' AND NEW.content->>'text' = 'poison' THEN
                RAISE EXCEPTION 'this cannot be kept';
            END IF;
            RETURN NEW;
        END $$
        """,
    )
    await execute(
        customer.running, f"CREATE TRIGGER {name} BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION {name}()"
    )
    try:
        yield
    finally:
        await execute(customer.running, f"DROP TRIGGER IF EXISTS {name} ON messages")
        await execute(customer.running, f"DROP FUNCTION {name}")


async def test_one_bad_message_is_set_aside_and_the_rest_of_its_batch_lands(customer: Customer) -> None:
    after = (await customer.shop.client.events_page(after="now")).next
    async with poisoned(customer):
        batch = [customer.message(text) for text in ("1", "2", "poison", "3", "4")]
        await customer.tell(*batch)
        await customer.tell(*batch)  # told again: nothing new
        assert await texts(customer) == ["1", "2", "3", "4"]
        (row,) = await quarantined(customer)
        assert (row.kind, row.raw, row.event) == ("message_received", None, None)
        assert row.reason is not None
        assert "this cannot be kept" in row.reason.detail
        told = (await customer.shop.client.events_page(after=after, types=["inbound.quarantined"])).items
        assert [event.data.id for event in told if isinstance(event.data, Inbound)] == [row.id]
        whole = await customer.shop.client.inbound.get(row.id)
        assert whole.raw == "poison"
        assert whole.event is not None
        content = whole.event["content"]
        assert isinstance(content, dict)
        assert (content["kind"], content["text"]) == ("text", "poison")
        with pytest.raises(Conflict, match="this cannot be kept"):
            await customer.shop.client.inbound.replay(row.id)
        assert [one.id for one in await quarantined(customer)] == [row.id]
    replayed = await customer.shop.client.inbound.replay(row.id)
    assert (replayed.state, replayed.reason) == ("processed", None)
    assert replayed.processed_at is not None
    assert await texts(customer) == ["1", "2", "3", "4", "poison"]
    again = await asyncio.gather(*(customer.shop.client.inbound.replay(row.id) for _ in range(5)))
    assert {one.state for one in again} == {"processed"}
    await customer.tell(*batch)
    assert await texts(customer) == ["1", "2", "3", "4", "poison"]
    assert await quarantined(customer) == []


async def test_replayed_by_many_at_once_it_lands_once(customer: Customer) -> None:
    await customer.writes("Hello?")
    async with poisoned(customer):
        await customer.tell(customer.message("poison"))
    (row,) = await quarantined(customer)
    states = await asyncio.gather(*(customer.shop.client.inbound.replay(row.id) for _ in range(10)))
    assert {one.state for one in states} == {"processed"}
    assert await texts(customer) == ["Hello?", "poison"]


async def test_first_messages_of_somebody_new_replayed_at_once_open_one_conversation(customer: Customer) -> None:
    async with poisoned(customer):
        for _ in range(8):
            await customer.tell(customer.message("poison"))
    rows = await quarantined(customer)
    assert len(rows) == 8
    states = await asyncio.gather(*(customer.shop.client.inbound.replay(row.id) for row in rows))
    assert {one.state for one in states} == {"processed"}
    assert len((await customer.shop.client.contacts.list()).items) == 1
    assert await texts(customer) == ["poison"] * 8


async def test_changes_of_an_unknown_message_wait_for_it(customer: Customer) -> None:
    await customer.tell(customer.edit("m-1", "Hello!"), customer.deletion("m-2"))
    rows = await quarantined(customer)
    assert {row.processed_at for row in rows} == {None}
    assert {row.kind: row.reason.code for row in rows if row.reason} == {
        "message_edited": "unknown_message",
        "message_deleted": "unknown_message",
    }
    still = await customer.shop.client.inbound.replay(rows[0].id)
    assert (still.state, still.processed_at) == ("quarantined", None)
    edited, deleted = await customer.writes("Helo?", "m-1"), await customer.writes("Oops", "m-2")
    for row in rows:
        assert (await customer.shop.client.inbound.replay(row.id)).state == "processed"
    assert await texts(customer) == ["Hello!", "Oops"]
    assert (await customer.shop.client.messages.get(edited.id)).edited_at is not None
    assert (await customer.shop.client.messages.get(deleted.id)).deleted_at is not None
    assert await quarantined(customer) == []


async def test_an_edit_of_anothers_message_changes_nothing(running: Running, shop: Shop) -> None:
    one, other = Customer(running, shop), Customer(running, shop)
    await one.writes("Hello?", "m-1")
    await other.tell(other.edit("m-1", "Ha!"), other.deletion("m-1"))
    assert await texts(one) == ["Hello?"]
    assert len(await quarantined(one)) == 2


async def test_what_the_connector_could_not_read_is_kept_and_can_be_looked_at(customer: Customer) -> None:
    await customer.tell(undigested(customer))
    (row,) = await quarantined(customer)
    assert row.kind == "undigested"
    assert (await customer.shop.client.inbound.get(row.id)).raw == "\ufffd{"
    with pytest.raises(Conflict, match="stays in quarantine"):
        await customer.shop.client.inbound.replay(row.id)
    assert len(await quarantined(customer)) == 1


async def test_everything_received_is_processed_or_in_quarantine(customer: Customer) -> None:
    """The conservation law, over a mixture told in any order, twice."""
    chance = random.Random(7)
    events: list[InboundEvent] = []
    for number in range(40):
        message = customer.message(chance.choice(["poison", "fine"]), f"m-{number}")
        unknown = customer.edit(f"unknown-{number}", "?")
        change = customer.edit(message.external_id, "better") if message.content.text == "fine" else unknown  # type: ignore[union-attr]
        events += [message, change, customer.receipt(Status.DELIVERED, f"x-{number}"), undigested(customer)]
    async with poisoned(customer):
        for _ in range(2):
            chance.shuffle(events)
            for start in range(0, len(events), 25):
                await customer.tell(*events[start : start + 25])
    counts = await query(
        customer.running, "SELECT state, count(*) AS rows FROM journal WHERE shop_id = :id GROUP BY state",
        id=customer.shop.uuid,
    )  # fmt: skip
    by_state = {row.state: row.rows for row in counts}
    assert sum(by_state.values()) == len(events)
    fine = sum(getattr(getattr(e, "content", None), "text", "") == "fine" for e in events)
    landed = await query(
        customer.running, "SELECT count(*) AS n FROM messages WHERE shop_id = :id", id=customer.shop.uuid
    )
    assert landed[0].n == fine


# The database


async def test_a_deadlock_is_tried_again(customer: Customer) -> None:
    """Somebody holds the feed and wants the conversation, which the writer has: the writer is the one to give way."""
    await customer.writes("Hello?")
    held, wanted = (
        "SELECT 1 FROM feeds WHERE shop_id = :id FOR UPDATE",
        "SELECT 1 FROM conversations WHERE shop_id = :id FOR UPDATE",
    )
    async with customer.running.core.db.system() as connection:
        await connection.execute(sa.text("SET LOCAL deadlock_timeout = '20s'"))
        await connection.execute(sa.text(held), {"id": customer.shop.uuid})
        telling = asyncio.create_task(customer.tell(customer.message("Anyone?")))
        await eventually(lambda: somebody_waits(customer.running))
        await connection.execute(sa.text(wanted), {"id": customer.shop.uuid})
        assert not telling.done()
    await telling
    assert await texts(customer) == ["Hello?", "Anyone?"]
    assert await quarantined(customer) == []


async def somebody_waits(running: Running) -> bool:
    rows = await query(
        running,
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
        "AND pid <> pg_backend_pid()",
    )
    return bool(rows)


async def test_connections_that_are_cut_lose_nothing(fresh_database: str, tmp_path: Path) -> None:
    """Every message that was acknowledged is there, once, whatever happened to the connections meanwhile."""
    async with running_product(settings_for(fresh_database, tmp_path)) as running, new_shop(running) as shop:
        customer = Customer(running, shop)
        await customer.writes("Hello?")
        acknowledged = []

        async def insist(text: str) -> None:
            message = customer.message(text, f"cut-{text}")
            await eventually(lambda: told_once(customer, message))
            acknowledged.append(text)

        telling = [asyncio.create_task(insist(str(n))) for n in range(60)]
        for _ in range(3):
            await cut_connections(running)
        await asyncio.gather(*telling)
        kept = await eventually(lambda: texts(customer), lambda seen: len(seen) == 61)
        assert sorted(kept[1:]) == sorted(acknowledged)


async def cut_connections(running: Running) -> None:
    connection = await asyncpg.connect(running.core.db.url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_without_a_database_everything_is_told_to_come_again_and_nothing_is_lost(
    fresh_database: str, server_url: str, tmp_path: Path
) -> None:
    async with running_product(settings_for(fresh_database, tmp_path)) as running, new_shop(running) as shop:
        customer = Customer(running, shop)
        await customer.writes("Hello?")
        from tests.support.visitor import new_visitor

        visitor = await new_visitor(running.url, shop.channel)
        message = customer.message("Anyone?")
        async with httpx.AsyncClient(timeout=20) as http, without_database(fresh_database, server_url):
            for _ in range(3):
                with pytest.raises(BusUnavailable):
                    await customer.tell(message)
            headers = {"Authorization": f"Bearer {shop.key}"}
            for method, path in (("GET", "/v1/me"), ("GET", "/v1/events"), ("POST", "/v1/contacts")):
                answer = await http.request(method, running.url + path, headers=headers, json={"name": "x"})
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
                assert answer.headers["retry-after"] == "1"
            assert (await http.get(f"{running.url}/readyz")).status_code == 503
            assert (await http.get(f"{running.url}/healthz")).status_code == 200
            assert (await http.post(f"{running.url}/hooks/webchat/{new_id(CHANNEL)}")).status_code == 503
            token = {"Authorization": f"Bearer {visitor.token}"}
            told = await http.post(
                f"{running.url}/chat/{shop.channel}/messages", headers=token, json={"cmid": "1", "text": "Hi"}
            )
            assert told.status_code == 503
            assert (await http.get(f"{running.url}/chat/{shop.channel}/thread", headers=token)).status_code == 503
            assert (await http.post(f"{running.url}/chat/{new_id(CHANNEL)}/session")).status_code == 503
        await eventually(lambda: told_once(customer, message))
        assert await texts(customer) == ["Hello?", "Anyone?"]
        assert await quarantined(customer) == []


async def told_once(customer: Customer, message: InboundEvent) -> bool:
    with contextlib.suppress(BusUnavailable):
        await customer.tell(message)
        return True
    return False


@contextlib.asynccontextmanager
async def without_database(url: str, server_url: str) -> AsyncIterator[None]:
    """The database is not where it was, and all connections to it are cut."""
    name = sa.engine.make_url(url).database
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
    await connection.execute(f"ALTER DATABASE {name} RENAME TO {name}_away")
    try:
        yield
    finally:
        await connection.execute(f"ALTER DATABASE {name}_away RENAME TO {name}")
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await connection.close()
