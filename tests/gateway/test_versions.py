"""Two people change the same thing: who changes what has moved on is told, and who asks again is told nothing new."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from shopbell_client import Agent, Channel, Contact, Conversation, PreconditionFailed

from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.operations import Things, flaws
from tests.support.product import Running, Shop
from tests.support.tables import query

Edited = Agent | Channel | Contact | Conversation


class Kind:
    """A kind of thing that people change: where it is, and how the client reads and changes it."""

    def __init__(self, path: str, get: Callable[[], Awaitable[Edited]], update: Callable[..., Awaitable[Edited]],
                 *changes: dict[str, Any]) -> None:  # fmt: skip
        self.path, self.get, self.update, self.changes = path, get, update, changes


def kinds(things: Things) -> dict[str, Kind]:
    client = things.shop.client

    def named(group: Any, id: str) -> tuple[Callable[[], Awaitable[Edited]], Callable[..., Awaitable[Edited]]]:
        return lambda: group.get(id), lambda **given: group.update(id, **given)

    names: tuple[dict[str, Any], ...] = ({"name": "One"}, {"name": "Two"})
    return {
        "agents": Kind(f"/v1/agents/{things.agent}", *named(client.agents, things.agent), *names),
        "channels": Kind(f"/v1/channels/{things.channel}", *named(client.channels, things.channel), *names),
        "contacts": Kind(f"/v1/contacts/{things.contact}", *named(client.contacts, things.contact), *names),
        "conversations": Kind(
            f"/v1/conversations/{things.conversation}",
            *named(client.conversations, things.conversation),
            {"priority": 1},
            {"priority": 2},
        ),
    }


@pytest.fixture(params=["agents", "channels", "contacts", "conversations"])
def kind(request: pytest.FixtureRequest, things: Things) -> Kind:
    return kinds(things)[request.param]


@pytest.fixture
def bearer(things: Things) -> dict[str, str]:
    return {"Authorization": f"Bearer {things.shop.key}"}


async def test_a_change_over_what_was_read_is_made_and_one_over_something_older_is_not(kind: Kind) -> None:
    read = await kind.get()
    assert read.etag is not None
    changed = await kind.update(if_match=read.etag, **kind.changes[0])
    assert changed.etag not in (None, read.etag)
    with pytest.raises(PreconditionFailed) as refusal:
        await kind.update(if_match=read.etag, **kind.changes[1])
    assert refusal.value.code == "precondition_failed"
    assert await kind.get() == changed
    assert (await kind.get()).etag == changed.etag
    await kind.update(if_match=changed.etag, **kind.changes[1])
    await kind.update(if_match="*", **kind.changes[0])
    await kind.update(**kind.changes[1])


async def test_a_refused_change_leaves_everything_as_it_was(
    kind: Kind, things: Things, http: httpx.AsyncClient, bearer: dict[str, str], running: Running
) -> None:
    before = await query(running, "SELECT position FROM feeds WHERE shop_id = :id", id=things.shop.uuid)
    for tag in ('"0"', '"x", "y"', "W/" + str((await kind.get()).etag), "nonsense", '""'):
        answer = await http.patch(things.shop.url + kind.path, json=kind.changes[0], headers=bearer | {"If-Match": tag})
        assert flaws(answer, 412) is None, tag
    assert await query(running, "SELECT position FROM feeds WHERE shop_id = :id", id=things.shop.uuid) == before


async def test_one_of_several_tags_is_enough(
    kind: Kind, things: Things, http: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    tags = f'"old", {(await kind.get()).etag}'
    answer = await http.patch(things.shop.url + kind.path, json=kind.changes[0], headers=bearer | {"If-Match": tags})
    assert answer.status_code == 200


async def test_what_has_not_changed_is_not_sent_again(
    kind: Kind, things: Things, http: httpx.AsyncClient, bearer: dict[str, str]
) -> None:
    url = things.shop.url + kind.path
    first = await http.get(url, headers=bearer)
    tag = first.headers["etag"]
    assert tag.startswith('"'), "strong"
    for known in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        again = await http.get(url, headers=bearer | {"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), known
    await kind.update(**kind.changes[0])
    again = await http.get(url, headers=bearer | {"If-None-Match": tag})
    assert again.status_code == 200
    assert again.headers["etag"] != tag


async def test_what_was_just_made_has_a_tag_to_change_it_by(shop: Shop) -> None:
    client = shop.client
    agent = await client.agents.create(name="A", idempotency_key="agent")
    channel = await client.channels.create(type="webchat", name="A", idempotency_key="channel")
    contact = await client.contacts.create(name="A", idempotency_key="contact")
    assert (await client.agents.create(name="A", idempotency_key="agent")).etag == agent.etag
    assert (await client.agents.update(agent.id, name="B", if_match=agent.etag)).name == "B"
    assert (await client.channels.update(channel.id, name="B", if_match=channel.etag)).name == "B"
    assert (await client.contacts.update(contact.id, name="B", if_match=contact.etag)).name == "B"
    with pytest.raises(PreconditionFailed):
        await client.agents.update(agent.id, name="C", if_match=agent.etag)


async def test_a_channel_that_was_changed_meanwhile_is_not_deleted(shop: Shop, http: httpx.AsyncClient) -> None:
    url, bearer = f"{shop.url}/v1/channels/{shop.channel}", {"Authorization": f"Bearer {shop.key}"}
    tag = (await http.get(url, headers=bearer)).headers["etag"]
    await shop.client.channels.update(shop.channel, name="B")
    assert flaws(await http.delete(url, headers=bearer | {"If-Match": tag}), 412) is None
    tag = (await http.get(url, headers=bearer)).headers["etag"]
    assert (await http.delete(url, headers=bearer | {"If-Match": tag})).status_code == 204


async def test_a_tick_on_the_last_message_is_news_but_stands_in_nobodys_way(
    running: Running, shop: Shop, http: httpx.AsyncClient
) -> None:
    """What is shown beside the conversation moves by itself: a copy of it is old, and an editor is not overtaken."""
    question = await Customer(running, shop).writes("Hello?")
    sent = await shop.client.messages.send(question.conversation, text="Hello!")
    url, bearer = f"{shop.url}/v1/conversations/{question.conversation}", {"Authorization": f"Bearer {shop.key}"}
    queued = await http.get(url, headers=bearer)
    await eventually(lambda: shop.client.messages.get(sent.id), lambda message: message.status == "sent")
    again = await http.get(url, headers=bearer | {"If-None-Match": queued.headers["etag"]})
    if queued.json()["last_message"]["status"] == "queued":  # or the send was faster than we
        assert again.status_code == 200
    changed = await http.patch(url, json={"priority": 3}, headers=bearer | {"If-Match": queued.headers["etag"]})
    assert changed.status_code == 200
