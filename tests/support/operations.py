"""Every operation of the API, taken from its own OpenAPI, each with a call that works: what a new route must add to."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from shared.events import Reason, Status, Undigested
from shared.ids import INBOUND, show_id
from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import query

Body = dict[str, Any]


@dataclass(frozen=True)
class Things:
    """One of each resource of a shop. `failed` is a message of the shop that may be sent again."""

    shop: Shop
    contact: str
    conversation: str
    question: str
    answer: str
    failed: str
    uncertain: str
    quarantined: str
    key: str
    agent: str
    channel: str
    attachment: str


async def make_things(running: Running, shop: Shop) -> Things:
    """Through the bus and the API: a customer who wrote, an answer, one that failed, one in doubt, and the rest."""
    customer = Customer(running, shop)
    question = await customer.writes("Is it in stock?")
    await customer.tell(undigested(customer))
    inbound = (
        await query(running, "SELECT id FROM journal WHERE shop_id = :id AND state = 'quarantined'", id=shop.uuid)
    )[0].id
    texts = ("It is.", "It was.", "It may be.")
    answers = [await shop.client.messages.send(question.conversation, text=text) for text in texts]

    async def statuses() -> list[str]:
        return [(await shop.client.messages.get(answer.id)).status for answer in answers]

    await eventually(statuses, lambda seen: set(seen) == {"sent"})
    await set_status(running, answers[1].id, Status.FAILED)
    await set_status(running, answers[2].id, Status.UNCERTAIN)
    key = await shop.client.keys.create(name="Another key", scopes=["read"])
    agent = await shop.client.agents.create(name="Another agent")
    channel = await shop.client.channels.create(type="webchat", name="Another chat")
    attachment = await shop.client.attachments.create(b"A few words.", name="words.txt", mime="text/plain")
    return Things(
        shop=shop,
        contact=(await customer.conversation()).contact.id,
        conversation=question.conversation,
        question=question.id,
        answer=answers[0].id,
        failed=answers[1].id,
        uncertain=answers[2].id,
        quarantined=show_id(INBOUND, inbound),
        key=key.id,
        agent=agent.id,
        channel=channel.id,
        attachment=attachment.id,
    )


def undigested(customer: Customer) -> Undigested:
    message = customer.message("?")
    return Undigested(
        address=message.address,
        occurred_at=message.occurred_at,
        raw=b"\xff{",
        external_id=message.external_id,
        reason=Reason(code="parse_failed", detail="ValueError in the connector"),
    )


async def set_status(running: Running, message_id: str, status: Status) -> None:
    """As if it had come to this: the ledger and the message, rewritten."""
    from shared.ids import MESSAGE, read_id
    from tests.support.tables import execute

    key = read_id(MESSAGE, message_id)
    await execute(running, "DELETE FROM message_parts WHERE message_id = :id", id=key)
    await execute(running, "UPDATE receipts SET status = :status WHERE message_id = :id", id=key, status=status)
    await execute(running, "UPDATE messages SET status = :status WHERE id = :id", id=key, status=status)


@dataclass(frozen=True)
class Operation:
    """A route as the OpenAPI names it. `body` is None where it takes none."""

    name: str
    method: str
    path: str
    parameters: tuple[str, ...]
    takes_body: bool
    takes_file: bool

    def url(self, things: Things) -> str:
        return self.path.format(id=ID_OF[self.name](things)) if "{id}" in self.path else self.path

    def body(self, things: Things) -> Body | None:
        return BODY_OF[self.name](things) if self.takes_body else None

    async def call(self, http: httpx.AsyncClient, things: Things, token: str, **changes: Any) -> httpx.Response:
        """The example as a request, with whatever of it is changed."""
        request: dict[str, Any] = {"headers": {}} | changes
        headers = {"Authorization": f"Bearer {token}"} | request.pop("headers")
        body = self.body(things)
        if body is not None and not {"content", "json"} & request.keys():
            request["json"] = body
        if self.takes_file and "content" not in request:
            request["files"] = {"file": ("a.txt", b"A few words.", "text/plain")}
        url = request.pop("url", None) or self.url(things)
        return await http.request(self.method, things.shop.url + url, headers=headers, **request)


ID_OF: Final[Mapping[str, Callable[[Things], str]]] = {
    "keys.delete": lambda t: t.key,
    "agents.get": lambda t: t.agent,
    "agents.update": lambda t: t.agent,
    "agents.token": lambda t: t.agent,
    "channels.get": lambda t: t.channel,
    "channels.update": lambda t: t.channel,
    "channels.delete": lambda t: t.channel,
    "channels.check": lambda t: t.channel,
    "channels.templates": lambda t: t.channel,
    "attachments.get": lambda t: t.attachment,
    "contacts.get": lambda t: t.contact,
    "contacts.update": lambda t: t.contact,
    "contacts.code": lambda t: t.contact,
    "conversations.get": lambda t: t.conversation,
    "conversations.update": lambda t: t.conversation,
    "conversations.assign": lambda t: t.conversation,
    "conversations.read": lambda t: t.conversation,
    "conversations.typing": lambda t: t.conversation,
    "messages.list": lambda t: t.conversation,
    "messages.send": lambda t: t.conversation,
    "messages.get": lambda t: t.answer,
    "messages.receipts": lambda t: t.answer,
    "messages.retry": lambda t: t.failed,
    "messages.resolve": lambda t: t.uncertain,
    "inbound.get": lambda t: t.quarantined,
    "inbound.replay": lambda t: t.quarantined,
}
BODY_OF: Final[Mapping[str, Callable[[Things], Body]]] = {
    "keys.create": lambda t: {"name": "A key", "scopes": ["read"]},
    "agents.create": lambda t: {"name": "An agent"},
    "agents.update": lambda t: {"name": "A name"},
    "agents.token": lambda t: {"ttl_s": 60},
    "channels.create": lambda t: {"type": "webchat", "name": "A chat", "settings": {"title": "Hello"}},
    "channels.update": lambda t: {"name": "A name", "settings": {"greeting": "Hi"}},
    "contacts.create": lambda t: {"name": "A person", "attributes": {"since": 2020}},
    "contacts.update": lambda t: {"name": "A name"},
    "conversations.update": lambda t: {"tags": ["new"], "priority": 1},
    "conversations.assign": lambda t: {"agent": t.agent},
    "conversations.read": lambda t: {"up_to": t.question},
    "conversations.typing": lambda t: {"on": True},
    "messages.send": lambda t: {"content": {"kind": "text", "text": "Hello"}},
    "messages.resolve": lambda t: {"status": "sent"},
}
ADMIN_ONLY: Final = frozenset(
    {"keys.list", "keys.create", "keys.delete", "agents.create", "agents.update", "agents.token"}
    | {"channels.create", "channels.update", "channels.delete"}
)
READ_ONLY: Final = frozenset(
    {"me", "agents.list", "agents.get", "channels.list", "channels.get", "contacts.list", "contacts.get"}
    | {"conversations.list", "conversations.get", "messages.list", "messages.get", "messages.receipts"}
    | {"inbound.list", "inbound.get", "events.list", "channels.templates", "attachments.get"}
)
WRITING: Final = frozenset(
    {"contacts.create", "contacts.update", "conversations.update", "conversations.assign", "conversations.read"}
    | {"conversations.typing", "messages.send", "messages.retry", "messages.resolve", "inbound.replay"}
    | {"channels.check", "attachments.create", "contacts.code"}
)


def operations(running: Running) -> list[Operation]:
    """All of them. One without an example, or of no known scope, fails whoever asks: add it above."""
    document = running.gateway.app.openapi()
    found = [
        Operation(
            name=told["operationId"],
            method=method.upper(),
            path=path,
            parameters=tuple(p["name"] for p in told.get("parameters", ()) if p["in"] == "query"),
            takes_body="application/json" in told.get("requestBody", {}).get("content", {}),
            takes_file="multipart/form-data" in told.get("requestBody", {}).get("content", {}),
        )
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]
    for operation in found:
        assert operation.name in ADMIN_ONLY | READ_ONLY | WRITING, f"say who may call {operation.name}"
        assert "{id}" not in operation.path or operation.name in ID_OF, f"give {operation.name} an id"
        assert not operation.takes_body or operation.name in BODY_OF, f"give {operation.name} a body"
    return found


FIELDS: Final = frozenset({"type", "title", "status", "detail", "code", "request_id"})


def flaws(answer: httpx.Response, *statuses: int) -> str | None:
    """What is wrong with a refusal; None if it is one of the wanted ones, told as a whole problem."""
    if answer.status_code not in statuses:
        return f"{answer.status_code}, not {statuses}: {answer.text[:200]}"
    if answer.headers.get("content-type") != "application/problem+json":
        return f"{answer.status_code} as {answer.headers.get('content-type')}: {answer.text[:100]}"
    problem = answer.json()
    missing = FIELDS - problem.keys()
    if missing:
        return f"{answer.status_code} without {sorted(missing)}"
    if problem["status"] != answer.status_code or problem["type"] != f"/problems/{problem['code']}":
        return f"{answer.status_code} that contradicts itself: {problem}"
    if answer.headers.get("x-request-id") != problem["request_id"]:
        return f"{answer.status_code} with another request id in its header"
    return None


async def together(*calls: Any) -> list[Any]:
    return list(await asyncio.gather(*calls))
