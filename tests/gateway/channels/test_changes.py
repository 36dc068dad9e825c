"""Changes to a channel: only what is named, by several people at once, and never a secret."""

import asyncio

import pytest
from shopbell_client import Conflict, ValidationFailed

from tests.support.customer import Customer
from tests.support.product import Running, Shop
from tests.support.tables import execute, query


async def test_two_people_change_different_things_at_the_same_moment(shop: Shop) -> None:
    channels = shop.client.channels
    for n in range(10):
        await asyncio.gather(
            channels.update(shop.channel, name=f"Name {n}"),
            channels.update(shop.channel, settings={"greeting": f"Greeting {n}"}),
            channels.update(shop.channel, settings={"title": f"Title {n}"}),
        )
        channel = await channels.get(shop.channel)
        shown = (channel.name, channel.settings["greeting"], channel.settings["title"])
        assert shown == (f"Name {n}", f"Greeting {n}", f"Title {n}")


async def test_secrets_go_in_and_never_come_out(running: Running, shop: Shop) -> None:
    canary = "canary-secret-0123456789abcdef"
    made = await shop.client.channels.create(type="webchat", name="A", settings={"signing_key": canary})
    changed = await shop.client.channels.update(made.id, settings={"signing_key": canary + "2"})
    shown = [made, changed, await shop.client.channels.get(made.id), *(await shop.client.channels.list()).items]
    assert not any("canary" in repr(channel) or "signing_key" in channel.settings for channel in shown)
    assert "canary" not in repr((await shop.client.events_page()).items)
    for table in ("channels", "events", "idempotency"):
        rows = await query(running, f"SELECT t::text AS line FROM {table} t WHERE shop_id = :id", id=shop.uuid)
        assert not any("canary" in row.line or canary.encode().hex() in row.line for row in rows), table


async def test_settings_that_do_not_fit_are_refused_without_being_repeated(shop: Shop) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        await shop.client.channels.update(shop.channel, settings={"signing_key": 12345678987, "title": ""})
    assert {error.pointer for error in refusal.value.errors} == {"/settings/signing_key", "/settings/title"}
    assert "12345678987" not in str(refusal.value)


async def test_a_channel_of_a_type_that_this_version_lacks_cannot_be_changed_and_can_be_deleted(
    running: Running, shop: Shop
) -> None:
    await execute(running, "UPDATE channels SET type = 'telepathy' WHERE shop_id = :id", id=shop.uuid)
    for change in ({"name": "B"}, {"state": "paused"}, {"settings": {"title": "B"}}):
        with pytest.raises(Conflict, match="telepathy"):
            await shop.client.channels.update(shop.channel, **change)
    assert (await shop.client.channels.get(shop.channel)).name == "Site chat"
    await shop.client.channels.delete(shop.channel)


async def test_a_deleted_channel_is_gone_and_its_conversations_stay(running: Running, shop: Shop) -> None:
    message = await Customer(running, shop).writes("Hello?")
    await shop.client.channels.delete(shop.channel)
    assert (await shop.client.channels.list()).items == ()
    conversation = await shop.client.conversations.get(message.conversation)
    assert conversation.channel.id == shop.channel
