"""The client against the real server: nothing it offers is refused as unknown, and its stream ends as it says."""

import asyncio
import contextlib
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
import shopbell_client as sb
from shopbell_client import Client

from tests.support.eventually import eventually
from tests.support.operations import Things
from tests.support.product import Running, Shop
from tests.support.tables import execute

Made = Callable[[Client, Things], Awaitable[Any] | AsyncIterator[Any]]

# One call of each method with everything that can be said to it.
CALLS: Final[dict[str, Made]] = {
    "conversations.list": lambda c, t: c.conversations.list(
        limit=1, before=None, status="open", channel=t.channel, assignee=t.agent, contact=t.contact, waiting=True
    ),
    "conversations.iterate": lambda c, t: c.conversations.iterate(limit=1, status="open", assignee="none"),
    "conversations.get": lambda c, t: c.conversations.get(t.conversation),
    "conversations.read": lambda c, t: c.conversations.read(t.conversation, up_to=t.question, idempotency_key="r"),
    "conversations.typing": lambda c, t: c.conversations.typing(t.conversation, on=False, idempotency_key="t"),
    "conversations.assign": lambda c, t: c.conversations.assign(t.conversation, agent=t.agent, idempotency_key="a"),
    "conversations.update": lambda c, t: c.conversations.update(
        t.conversation, if_match="*", status="open", tags=["a"], priority=1
    ),
    "messages.list": lambda c, t: c.messages.list(t.conversation, limit=1, before=None),
    "messages.iterate": lambda c, t: c.messages.iterate(t.conversation, limit=1),
    "messages.send": lambda c, t: c.messages.send(
        t.conversation, text="a", reply_to=t.question, client_ref="r", visibility="public", idempotency_key="s"
    ),
    "messages.get": lambda c, t: c.messages.get(t.answer),
    "messages.receipts": lambda c, t: c.messages.receipts(t.answer),
    "messages.retry": lambda c, t: c.messages.retry(t.failed, idempotency_key="y"),
    "messages.resolve": lambda c, t: c.messages.resolve(t.uncertain, status="sent", idempotency_key="v"),
    "contacts.list": lambda c, t: c.contacts.list(limit=1, before=None),
    "contacts.iterate": lambda c, t: c.contacts.iterate(limit=1),
    "contacts.get": lambda c, t: c.contacts.get(t.contact),
    "contacts.create": lambda c, t: c.contacts.create(
        name="A", email="a@b.example", phone="1", locale="en", attributes={"a": 1}, idempotency_key="c"
    ),
    "contacts.update": lambda c, t: c.contacts.update(
        t.contact, if_match="*", name="A", email=None, phone=None, locale=None, attributes={}
    ),
    "contacts.code": lambda c, t: c.contacts.code(t.contact, idempotency_key="cc"),
    "channels.list": lambda c, t: c.channels.list(limit=1, before=None),
    "channels.iterate": lambda c, t: c.channels.iterate(limit=1),
    "channels.get": lambda c, t: c.channels.get(t.channel),
    "channels.create": lambda c, t: c.channels.create(
        type="webchat", name="A", settings={"title": "A"}, idempotency_key="h"
    ),
    "channels.update": lambda c, t: c.channels.update(
        t.channel, if_match="*", name="A", state="active", settings={"title": "B"}
    ),
    "channels.check": lambda c, t: c.channels.check(t.channel),
    "channels.templates": lambda c, t: c.channels.templates(t.channel, renew=True),
    "channels.delete": lambda c, t: c.channels.delete(t.channel),
    "attachments.create": lambda c, t: c.attachments.create(b"a", name="a", mime="text/plain", idempotency_key="f"),
    "attachments.get": lambda c, t: c.attachments.get(t.attachment),
    "agents.list": lambda c, t: c.agents.list(limit=1, before=None),
    "agents.iterate": lambda c, t: c.agents.iterate(limit=1),
    "agents.get": lambda c, t: c.agents.get(t.agent),
    "agents.create": lambda c, t: c.agents.create(name="A", email="a@b.example", type="bot", idempotency_key="g"),
    "agents.update": lambda c, t: c.agents.update(t.agent, if_match="*", name="A", email=None),
    "agents.token": lambda c, t: c.agents.token(t.agent, ttl_s=60, idempotency_key="o"),
    "keys.list": lambda c, t: c.keys.list(limit=1, before=None),
    "keys.iterate": lambda c, t: c.keys.iterate(limit=1),
    "keys.create": lambda c, t: c.keys.create(
        name="A", scopes=["read"], expires_at=datetime.now(UTC) + timedelta(days=1), idempotency_key="k"
    ),
    "keys.delete": lambda c, t: c.keys.delete(t.key),
    "inbound.list": lambda c, t: c.inbound.list(state="quarantined", limit=1, before=None),
    "inbound.iterate": lambda c, t: c.inbound.iterate(state="quarantined", limit=1),
    "inbound.get": lambda c, t: c.inbound.get(t.quarantined),
    "inbound.replay": lambda c, t: c.inbound.replay(t.quarantined, idempotency_key="p"),
}


REFUSED: Final = {"messages.send": sb.ValidationFailed, "inbound.replay": sb.Conflict}


def methods() -> dict[str, Callable[..., Any]]:
    """Everything that the groups of a client offer."""
    client = Client("http://shop.test", "sb_live_x")
    groups = {name: value for name, value in vars(client).items() if not name.startswith("_")}
    return {
        f"{group}.{name}": method
        for group, value in groups.items()
        for name, method in inspect.getmembers(value, inspect.ismethod)
        if not name.startswith("_")
    }


def test_every_call_of_the_client_has_an_example() -> None:
    assert set(methods()) == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
async def test_the_server_knows_every_call_of_the_client_and_all_that_can_be_said_in_it(
    running: Running, things: Things, name: str
) -> None:
    """The site chat cannot quote, and what is in quarantine stays there: refused for the sense, not for the form."""
    sent: list[httpx.Request] = []

    async def keep(request: httpx.Request) -> None:
        sent.append(request)

    async with Client(things.shop.url, things.shop.key, retries=0) as client:
        client._wire._http.event_hooks["request"].append(keep)
        made = CALLS[name](client, things)
        allowed = pytest.raises(REFUSED[name]) if name in REFUSED else contextlib.nullcontext()
        with allowed as refusal:
            await made if isinstance(made, Awaitable) else [item async for item in made]
    assert refusal is None or refusal.value.code in ("conflict", "unsupported")
    assert sent
    described = running.gateway.app.openapi()["paths"]
    for request in sent:
        (operation,) = [
            item[request.method.lower()]
            for path, item in described.items()
            if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), request.url.path) and request.method.lower() in item
        ]
        assert set(request.url.params) <= {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}


@pytest.mark.parametrize("name", [name for name in CALLS if name.endswith(".list")])
async def test_every_parameter_of_a_list_is_one_of_the_server(running: Running, name: str) -> None:
    offered = set(inspect.signature(methods()[name]).parameters) - {"narrow", "conversation_id"}
    path = "/v1/conversations/{id}/messages" if name == "messages.list" else f"/v1/{name.partition('.')[0]}"
    parameters = running.gateway.app.openapi()["paths"][path]["get"]["parameters"]
    assert offered == {p["name"] for p in parameters if p["in"] == "query"} - FILTERS.get(name, set())


FILTERS: Final = {"conversations.list": {"status", "channel", "assignee", "contact", "waiting"}}


# The stream


@pytest.mark.slow
async def test_a_token_that_expires_while_its_stream_runs_ends_it_as_unauthorized(running: Running, shop: Shop) -> None:
    token = await shop.client.agents.token(shop.agent)
    states: list[str] = []

    async def listen() -> None:
        client = Client(shop.url, token.token, backoff_s=0.0)
        async with client, aclosing(client.events(after="now", on_state=states.append)) as events:
            async for _ in events:
                pass

    listening = asyncio.create_task(listen())
    await eventually(lambda: told("connected" in states))
    await execute(
        running, "UPDATE agent_tokens SET expires_at = now() - interval '1 s' WHERE shop_id = :id", id=shop.uuid
    )

    async def over() -> bool:
        await shop.client.contacts.create(name="A")  # a stream looks at its token when there is something to tell
        return listening.done()

    await eventually(over)
    with pytest.raises(sb.Unauthorized):
        await listening
    assert states[-2:] == ["lost", "connecting"]


async def told(value: bool) -> bool:
    return value
