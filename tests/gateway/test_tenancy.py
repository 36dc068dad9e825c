"""A shop sees and touches its own: by the API, and by the database behind it whatever the code forgets."""

import re
import uuid

import httpx
import pytest
import sqlalchemy as sa
from shopbell_client import BadRequest, Client, NotFound
from sqlalchemy.exc import DBAPIError

from gateway.tables import SHOP_TABLES
from tests.support.operations import ADMIN_ONLY, READ_ONLY, Things, flaws, operations
from tests.support.product import Running, Shop
from tests.support.tables import digest_of, execute

# By the API


async def test_every_example_works_for_its_own_shop(running: Running, things: Things, http: httpx.AsyncClient) -> None:
    """Or the refusals below would prove nothing."""
    wrong = {}
    for operation in sorted(operations(running), key=lambda o: (o.method == "DELETE", o.name)):
        answer = await operation.call(http, things, things.shop.key)
        if not answer.is_success and operation.name != "inbound.replay":  # what is quarantined stays undigested
            wrong[operation.name] = answer.text
    assert wrong == {}


async def test_anothers_ids_are_not_found_on_any_route_and_nothing_of_theirs_changes(
    running: Running, shop: Shop, their_things: Things, http: httpx.AsyncClient
) -> None:
    before = await digest_of(running, their_things.shop.uuid)
    wrong = {}
    for operation in operations(running):
        if "{id}" in operation.path:
            flaw = flaws(await operation.call(http, their_things, shop.key), 404)
            if flaw:
                wrong[operation.name] = flaw
    assert wrong == {}
    assert await digest_of(running, their_things.shop.uuid) == before


async def test_anothers_ids_inside_a_body_are_not_found(shop: Shop, things: Things, their_things: Things) -> None:
    ours, theirs = things.conversation, their_things
    with pytest.raises(NotFound):
        await shop.client.conversations.assign(ours, agent=theirs.agent)
    with pytest.raises(NotFound):
        await shop.client.conversations.read(ours, up_to=theirs.question)
    with pytest.raises(NotFound):
        await shop.client.conversations.read(ours, message_ids=[theirs.question, theirs.answer])


async def test_lists_hold_nothing_of_anothers(shop: Shop, their_things: Things) -> None:
    client, theirs = shop.client, their_things
    assert (await client.conversations.list()).items == ()
    assert (await client.contacts.list()).items == ()
    assert (await client.inbound.list()).items == ()
    assert {agent.id for agent in (await client.agents.list()).items} == {shop.agent}
    assert {channel.id for channel in (await client.channels.list()).items} == {shop.channel}
    assert theirs.key not in {key.id for key in (await client.keys.list()).items}
    for narrow in ({"channel": theirs.channel}, {"contact": theirs.contact}, {"assignee": theirs.agent}):
        assert (await client.conversations.list(**narrow)).items == ()  # type: ignore[arg-type]
    assert (await client.events_page()).items == ()


async def test_a_cursor_of_anothers_feed_is_refused(shop: Shop, their_things: Things) -> None:
    page = await their_things.shop.client.events_page()
    with pytest.raises(BadRequest) as refusal:
        await shop.client.events_page(after=page.next)
    assert refusal.value.code == "cursor_malformed"


async def test_a_revoked_key_is_refused_at_once(shop: Shop) -> None:
    key = await shop.client.keys.create(name="Short-lived", scopes=["read"])
    async with Client(shop.url, key.key, retries=0) as client:
        await client.me()
        await shop.client.keys.delete(key.id)
        with pytest.raises(Exception, match=r"(?i)token") as refusal:
            await client.me()
    assert type(refusal.value).__name__ == "Unauthorized"


async def test_an_agent_cannot_do_what_only_the_shop_may(
    running: Running, things: Things, http: httpx.AsyncClient
) -> None:
    token = (await things.shop.client.agents.token(things.agent)).token
    before = await digest_of(running, things.shop.uuid)
    admin = [operation for operation in operations(running) if operation.name in ADMIN_ONLY]
    wrong = {o.name: flaw for o in admin if (flaw := flaws(await o.call(http, things, token), 403))}
    assert wrong == {}
    assert await digest_of(running, things.shop.uuid) == before


async def test_a_key_that_may_only_read_changes_nothing(
    running: Running, things: Things, http: httpx.AsyncClient
) -> None:
    reader = await things.shop.client.keys.create(name="Reader", scopes=["read"])
    before = await digest_of(running, things.shop.uuid)
    wrong = {}
    for operation in operations(running):
        answer = await operation.call(http, things, reader.key)
        if operation.name in READ_ONLY:
            assert answer.is_success, operation.name
        elif flaw := flaws(answer, 403):
            wrong[operation.name] = flaw
    assert wrong == {}
    assert await digest_of(running, things.shop.uuid) == before


async def test_only_the_named_operations_need_no_more_than_reading(running: Running) -> None:
    assert {o.name for o in operations(running) if o.method == "GET"} - ADMIN_ONLY == READ_ONLY


# By row-level security


@pytest.fixture
async def two_shops(running: Running, things: Things, their_things: Things) -> tuple[uuid.UUID, uuid.UUID]:
    """Both with a row in every table."""
    pair = things.shop.uuid, their_things.shop.uuid
    for full in (things, their_things):
        await full.shop.client.contacts.create(name="Kept", idempotency_key="kept")
        await full.shop.client.agents.token(full.agent)
        await full.shop.client.contacts.code(full.contact)
        await execute(
            running,
            "INSERT INTO templates (shop_id, channel_id, name, language, status, body, places, usable) "
            "SELECT shop_id, id, 'ready', 'en', 'APPROVED', '', '{}', true FROM channels WHERE shop_id = :shop",
            shop=full.shop.uuid,
        )
        await execute(
            running,
            "INSERT INTO listeners (shop_id, channel_id) SELECT shop_id, id FROM channels WHERE shop_id = :shop",
            shop=full.shop.uuid,
        )
        await execute(
            running,
            "INSERT INTO conversation_guests (shop_id, conversation_id, peer) "
            "SELECT shop_id, id, 'bob@example.org' FROM conversations WHERE shop_id = :shop",
            shop=full.shop.uuid,
        )
        await execute(
            running,
            "INSERT INTO outbox (shop_id, lane, kind, channel_id, channel_type, command, deadline_at, available_at) "
            "VALUES (:shop, 'a lane', 'mark_read', gen_random_uuid(), 'webchat', '{}', now(), now() + interval '1 d')",
            shop=full.shop.uuid,
        )
    for shop_id in pair:
        empty = [table for table, (rows, _) in (await digest_of(running, shop_id)).items() if not rows]
        assert empty == ["message_parts"] or empty == [], f"{empty} would prove nothing"
    return pair


async def test_a_forgotten_where_shows_only_our_rows(running: Running, two_shops: tuple[uuid.UUID, uuid.UUID]) -> None:
    ours, _ = two_shops
    for table in SHOP_TABLES:
        async with running.core.db.shop(ours) as connection:
            shops = set((await connection.execute(sa.text(f"SELECT shop_id FROM {table}"))).scalars())
        assert shops == {ours}, table


async def test_all_tables_refuse_to_change_delete_or_receive_rows_of_another_shop(
    running: Running, two_shops: tuple[uuid.UUID, uuid.UUID]
) -> None:
    ours, theirs = two_shops
    before = await digest_of(running, theirs)
    for table in SHOP_TABLES:
        for statement in (
            f"UPDATE {table} SET shop_id = shop_id WHERE shop_id = :theirs",
            f"DELETE FROM {table} WHERE shop_id = :theirs",
        ):
            async with running.core.db.shop(ours) as connection:
                touched = await connection.execute(sa.text(statement), {"theirs": theirs})
            assert touched.rowcount == 0, statement
        with pytest.raises(DBAPIError, match="row-level security"):
            async with running.core.db.shop(ours) as connection:
                await connection.execute(sa.text(f"UPDATE {table} SET shop_id = :theirs"), {"theirs": theirs})
    assert await digest_of(running, theirs) == before


async def test_a_row_for_another_shop_cannot_be_written(
    running: Running, two_shops: tuple[uuid.UUID, uuid.UUID]
) -> None:
    ours, theirs = two_shops
    for table in SHOP_TABLES:
        columns = await insertable_columns(running, table)
        copied = ", ".join(":theirs" if column == "shop_id" else column for column in columns)
        statement = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {copied} FROM {table} LIMIT 1"
        with pytest.raises(DBAPIError, match="row-level security"):
            async with running.core.db.shop(ours) as connection:
                await connection.execute(sa.text(statement), {"theirs": theirs})


async def insertable_columns(running: Running, table: str) -> list[str]:
    async with running.core.db.system() as connection:
        rows = await connection.execute(
            sa.text(
                "SELECT column_name FROM information_schema.columns WHERE table_name = :table "
                "AND table_schema = 'public' AND identity_generation IS NULL"
            ),
            {"table": table},
        )
        return list(rows.scalars())


async def test_without_having_entered_a_shop_the_role_sees_nothing(
    running: Running, two_shops: tuple[uuid.UUID, uuid.UUID]
) -> None:
    async with running.core.db.system() as connection:
        await connection.execute(sa.text("SET LOCAL ROLE shopbell_shop"))
        for table in ("shops", *SHOP_TABLES):
            assert await connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_the_role_ends_with_the_transaction(running: Running, shop: Shop) -> None:
    """A connection goes back to the pool: the next one to use it must not be confined to the last shop."""
    async with running.core.db.shop(shop.uuid) as connection:
        inside = await connection.scalar(sa.text("SELECT current_user"))
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
    assert driver is not None
    assert inside == "shopbell_shop"
    assert re.match("shopbell_shop", await driver.fetchval("SELECT current_user")) is None
    assert not await driver.fetchval("SELECT current_setting('shopbell.shop_id', true)")
