"""Where a free answer is not allowed, what may be said instead is offered."""

from typing import Any

import pytest
from shopbell_client import Channel, ValidationFailed

from gateway.channels.templates import renew_stale
from shared.commands import SendMessage
from shared.content import Template
from shared.errors import Unavailable
from shared.events import ChannelReported
from shared.subjects import KnownTemplate
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import execute
from tests.support.wordy import Wordings, wordings

KNOWN = [
    KnownTemplate(name="ready", language="en", status="APPROVED", body="Order {{1}} is ready", places=("1",)),
    KnownTemplate(name="sale", language="en", status="PAUSED", body="Sale!", usable=False),
]


@pytest.fixture
async def channel(scripted_shop: Shop) -> Channel:
    number = fresh("number")
    wordings(number).templates = list(KNOWN)
    return await scripted_shop.client.channels.create(type="wordy", name="Wordy", settings={"number": number})


@pytest.fixture
def provider(channel: Channel) -> Wordings:
    return wordings(str(channel.settings["number"]))


@pytest.fixture
async def late(scripted: Running, scripted_shop: Shop, channel: Channel) -> Customer:
    """Someone who wrote two days ago."""
    customer = Customer(
        scripted, scripted_shop, channel=channel.id, channel_type="wordy", account=str(channel.settings["number"])
    )
    await customer.writes("Is it ready?")
    await execute(
        scripted,
        "UPDATE conversations SET last_inbound_at = now() - interval '2 days' WHERE shop_id = :id",
        id=scripted_shop.uuid,
    )
    return customer


async def renew_all(running: Running) -> None:
    """Everything that is due, also of other tests' channels."""
    while await renew_stale(running.core):
        pass


async def test_the_templates_of_a_channel_are_those_of_its_provider(
    scripted_shop: Shop, channel: Channel, provider: Wordings
) -> None:
    first = (await scripted_shop.client.channels.templates(channel.id)).items
    assert [(t.name, t.status, t.places, t.usable) for t in first] == [
        ("ready", "APPROVED", ("1",), True),
        ("sale", "PAUSED", (), False),
    ]
    provider.templates.pop()
    asked = provider.asked
    assert len((await scripted_shop.client.channels.templates(channel.id)).items) == 2
    assert provider.asked == asked
    assert len((await scripted_shop.client.channels.templates(channel.id, renew=True)).items) == 1


async def test_a_channel_without_templates_has_none(scripted_shop: Shop) -> None:
    assert (await scripted_shop.client.channels.templates(scripted_shop.channel)).items == ()


async def test_too_late_for_a_free_answer_the_usable_templates_are_offered(late: Customer, provider: Wordings) -> None:
    await renew_all(late.running)
    conversation = await late.conversation()
    assert conversation.reply_window is not None
    assert conversation.reply_window.state == "template"
    with pytest.raises(ValidationFailed) as refused:
        await late.shop.client.messages.send(conversation.id, text="Yes")
    assert refused.value.code == "reply_window_closed"
    assert [template.name for template in refused.value.templates] == ["ready"]
    content: dict[str, Any] = {"kind": "template", "name": "ready", "language": "en", "values": ["17"]}
    await late.shop.client.messages.send(conversation.id, content=content)

    async def sent() -> list[SendMessage]:
        return provider.sent

    (command,) = await eventually(sent, lambda commands: len(commands) == 1)
    assert isinstance(command.content, Template)
    assert command.content.values == ("17",)


async def test_what_the_provider_says_has_changed_is_asked_for_again(late: Customer, provider: Wordings) -> None:
    await renew_all(late.running)
    asked = provider.asked
    await renew_all(late.running)
    assert provider.asked == asked
    changed = ChannelReported(
        address=late.address, occurred_at=late.message("").occurred_at, external_id="changed", topic="templates"
    )
    await late.tell(changed)
    await renew_all(late.running)
    assert provider.asked == asked + 1


async def test_a_provider_that_does_not_answer_is_asked_later_and_holds_up_nobody(
    late: Customer, provider: Wordings
) -> None:
    provider.silent = Unavailable("The provider is away.")
    await renew_all(late.running)
    assert provider.asked == 1
    assert await renew_stale(late.running.core) == 0


async def test_a_check_says_what_the_provider_says(scripted_shop: Shop, channel: Channel, provider: Wordings) -> None:
    assert (await scripted_shop.client.channels.check(channel.id)).ok
    provider.problems = ("The number is not registered; register it in the manager.",)
    found = await scripted_shop.client.channels.check(channel.id)
    assert (found.ok, found.problems) == (False, provider.problems)


async def test_a_second_channel_of_the_same_number_is_refused(scripted_shop: Shop, channel: Channel) -> None:
    with pytest.raises(Exception, match="already") as refused:
        await scripted_shop.client.channels.create(type="wordy", name="Again", settings=channel.settings)
    assert getattr(refused.value, "status", None) == 409
    await scripted_shop.client.channels.delete(channel.id)
    await scripted_shop.client.channels.create(type="wordy", name="Again", settings=channel.settings)
