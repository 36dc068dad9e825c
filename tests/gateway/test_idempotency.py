"""The same call twice is one call: at the same moment, after a crash, and with every kind of answer."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from shopbell_client import Conflict
from starlette.types import Message as AsgiMessage
from starlette.types import Scope

from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import query

REPLAYED = "idempotency-replayed"


@pytest.fixture
async def conversation(running: Running, shop: Shop) -> str:
    return (await Customer(running, shop).writes("Hello?")).conversation


async def post(
    http: httpx.AsyncClient, shop: Shop, path: str, body: Any, key: str | None = None, token: str | None = None
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token or shop.key}"} | ({"Idempotency-Key": key} if key else {})
    return await http.post(shop.url + path, json=body, headers=headers)


def a_reply(conversation: str) -> tuple[str, dict[str, Any]]:
    return f"/v1/conversations/{conversation}/messages", {"content": {"kind": "text", "text": "Hello!"}}


async def replies(shop: Shop, conversation: str) -> list[str]:
    return [m.id for m in (await shop.client.messages.list(conversation)).items if m.direction == "out"]


# Keys


async def test_a_repeat_gets_the_same_bytes_and_says_so(shop: Shop, conversation: str, http: httpx.AsyncClient) -> None:
    path, body = a_reply(conversation)
    first = await post(http, shop, path, body, "k1")
    again = await post(http, shop, path, body, "k1")
    assert (first.status_code, REPLAYED in first.headers) == (201, False)
    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await replies(shop, conversation) == [first.json()["id"]]


async def test_the_same_body_written_otherwise_is_the_same_body(
    shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path, _ = a_reply(conversation)
    headers = {"Authorization": f"Bearer {shop.key}", "Idempotency-Key": "k1", "Content-Type": "application/json"}
    first = await http.post(
        shop.url + path, headers=headers, content=b'{"content":{"kind":"text","text":"\\u00e9"},"client_ref":"r"}'
    )
    again = await http.post(
        shop.url + path, headers=headers, content='{ "client_ref":"r", "content": {"text":"é", "kind":"text"} }'
    )
    assert again.content == first.content
    assert REPLAYED in again.headers


@pytest.mark.parametrize("callers", [2, 50])
async def test_calls_of_the_same_moment_make_one_message(
    shop: Shop, conversation: str, http: httpx.AsyncClient, callers: int
) -> None:
    path, body = a_reply(conversation)
    answers = await asyncio.gather(*(post(http, shop, path, body, "k1") for _ in range(callers)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    in_flight = [answer for answer in answers if answer.status_code == 409]
    assert {answer.json()["code"] for answer in in_flight} <= {"idempotency_in_flight"}
    made = [answer for answer in answers if answer.status_code == 201]
    assert len([answer for answer in made if REPLAYED not in answer.headers]) == 1
    assert len({answer.content for answer in made}) == 1
    assert await replies(shop, conversation) == [made[0].json()["id"]]


async def test_the_client_waits_out_a_call_in_flight(shop: Shop, conversation: str) -> None:
    sending = (shop.client.messages.send(conversation, text="Hello!", idempotency_key="k1") for _ in range(20))
    assert len({message.id for message in await asyncio.gather(*sending)}) == 1
    assert len(await replies(shop, conversation)) == 1


async def test_another_body_under_the_same_key_is_a_422(shop: Shop, conversation: str, http: httpx.AsyncClient) -> None:
    path, body = a_reply(conversation)
    await post(http, shop, path, body, "k1")
    other = await post(http, shop, path, body | {"visibility": "internal"}, "k1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    elsewhere = await post(http, shop, f"/v1/conversations/{conversation}/assign", {"agent": None}, "k1")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "idempotency_mismatch")
    assert len(await replies(shop, conversation)) == 1


async def test_refusals_are_remembered_too(shop: Shop, conversation: str, http: httpx.AsyncClient) -> None:
    """A repeat must not act where the first call was refused: the caller has gone on without it."""
    path, body = a_reply(conversation)
    unsupported = body | {"content": {"kind": "location", "latitude": 1, "longitude": 1}}
    missing = "/v1/messages/msg_00000000000000000000000000/retry"
    for key, where, what, status in (("k1", path, unsupported, 422), ("k2", missing, {}, 404)):
        first = await post(http, shop, where, what, key)
        again = await post(http, shop, where, what, key)
        assert (first.status_code, again.status_code) == (status, status)
        assert again.content == first.content
        assert again.headers[REPLAYED] == "true"
        assert again.headers["content-type"] == "application/problem+json"
    assert await replies(shop, conversation) == []


async def test_a_refused_effect_leaves_nothing_but_its_refusal(
    running: Running, shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path, body = a_reply(conversation)
    before = await query(running, "SELECT position FROM feeds WHERE shop_id = :id", id=shop.uuid)
    await post(http, shop, path, body | {"reply_to": "msg_00000000000000000000000000"}, "k1")
    assert await query(running, "SELECT position FROM feeds WHERE shop_id = :id", id=shop.uuid) == before
    kept = await query(running, "SELECT status FROM idempotency WHERE shop_id = :id", id=shop.uuid)
    assert [row.status for row in kept] == [422]


async def test_what_never_reached_the_effect_is_not_remembered(
    shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    """A malformed or unauthorised call has no effect to protect: mended, it may come with the same key."""
    path, body = a_reply(conversation)
    assert (await post(http, shop, path, {"content": 1}, "k1")).status_code == 422
    assert (await post(http, shop, path, body, "k1", token="sb_live_wrong")).status_code == 401
    assert (await post(http, shop, path, body, "k1")).status_code == 201


async def test_a_key_belongs_to_its_caller(
    shop: Shop, conversation: str, http: httpx.AsyncClient,
    another_shop: Callable[[], AbstractAsyncContextManager[Shop]],
) -> None:  # fmt: skip
    path, body = a_reply(conversation)
    agent = (await shop.client.agents.token(shop.agent)).token
    second_key = (await shop.client.keys.create(name="Second", scopes=["write"])).key
    answers = [await post(http, shop, path, body, "k1", token) for token in (shop.key, agent, second_key)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 3
    async with another_shop() as other:
        mine = await post(http, shop, "/v1/contacts", {"name": "x"}, "k2")
        theirs = await post(http, other, "/v1/contacts", {"name": "x"}, "k2")
        assert mine.json()["id"] != theirs.json()["id"]


async def test_while_the_first_call_is_at_work_the_second_is_told_to_wait(
    running: Running, shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path, body = a_reply(conversation)
    me = (await shop.client.me()).principal.id
    claim = sa.text(
        "INSERT INTO idempotency (shop_id, principal, key, fingerprint) VALUES (:shop, :principal, 'k1', '\\x00')"
    )
    with contextlib.suppress(Undone):
        async with running.core.db.system() as connection:
            await connection.execute(claim, {"shop": shop.uuid, "principal": me})
            second = await post(http, shop, path, body, "k1")
            assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
            assert second.headers["retry-after"] == "1"
            raise Undone
    assert (await post(http, shop, path, body, "k1")).status_code == 201


class Undone(Exception):
    """The first call comes to nothing."""


# Crashes


class Interrupted:
    """The app, called as the server calls it, so that the call can be cut off at a chosen point."""

    def __init__(self, running: Running, shop: Shop, path: str, body: dict[str, Any], key: str) -> None:
        self._app = running.gateway.app
        self._body = json.dumps(body).encode()
        self._scope: Scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("shop", 80), "client": ("shop", 1),
            "headers": [
                (b"authorization", f"Bearer {shop.key}".encode()),
                (b"idempotency-key", key.encode()),
                (b"content-type", b"application/json"),
            ],
        }  # fmt: skip
        self.answering = asyncio.Event()

    async def run(self) -> None:
        await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> AsgiMessage:
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: AsgiMessage) -> None:
        self.answering.set()
        await asyncio.Event().wait()  # the answer never leaves


async def test_an_answer_that_is_lost_after_the_commit_is_given_again(
    running: Running, shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path, body = a_reply(conversation)
    call = Interrupted(running, shop, path, body, "k1")
    task = asyncio.create_task(call.run())
    await call.answering.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    again = await post(http, shop, path, body, "k1")
    assert (again.status_code, again.headers[REPLAYED]) == (201, "true")
    assert await replies(shop, conversation) == [again.json()["id"]]


async def test_a_crash_between_the_effect_and_the_commit_leaves_neither(
    running: Running, shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    """The call has written its message and waits for the feed, which is held, when it is cut off."""
    path, body = a_reply(conversation)
    call = Interrupted(running, shop, path, body, "k1")
    async with running.core.db.system() as connection:
        hold = sa.text("SELECT 1 FROM feeds WHERE shop_id = :id FOR UPDATE")
        await connection.execute(hold, {"id": shop.uuid})
        task = asyncio.create_task(call.run())
        await eventually(lambda: waiting_for_the_feed(running))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not call.answering.is_set()
    assert await replies(shop, conversation) == []
    assert await query(running, "SELECT 1 FROM idempotency WHERE shop_id = :id", id=shop.uuid) == []
    again = await post(http, shop, path, body, "k1")
    assert (again.status_code, REPLAYED in again.headers) == (201, False)
    assert await replies(shop, conversation) == [again.json()["id"]]


async def waiting_for_the_feed(running: Running) -> bool:
    rows = await query(
        running, "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%UPDATE feeds%'"
    )
    return bool(rows)


# References of the caller's own


async def test_a_client_ref_repeated_gives_the_first_message(shop: Shop, conversation: str) -> None:
    first = await shop.client.messages.send(conversation, text="Hello!", client_ref="r1")
    again = await shop.client.messages.send(conversation, text="Hello!", client_ref="r1")
    assert again.id == first.id
    assert again.client_ref == "r1"
    assert await replies(shop, conversation) == [first.id]


async def test_a_client_ref_with_other_words_is_a_conflict(shop: Shop, conversation: str) -> None:
    await shop.client.messages.send(conversation, text="Hello!", client_ref="r1")
    with pytest.raises(Conflict) as refusal:
        await shop.client.messages.send(conversation, text="Good bye!", client_ref="r1")
    assert refusal.value.code == "client_ref_conflict"
    with pytest.raises(Conflict):
        await shop.client.messages.send(conversation, text="Hello!", client_ref="r1", visibility="internal")
    assert len(await replies(shop, conversation)) == 1


async def test_a_client_ref_is_free_again_in_another_conversation(
    running: Running, shop: Shop, conversation: str
) -> None:
    elsewhere = (await Customer(running, shop).writes("Me too?")).conversation
    one = await shop.client.messages.send(conversation, text="Hello!", client_ref="r1")
    two = await shop.client.messages.send(elsewhere, text="Hello!", client_ref="r1")
    assert one.id != two.id


async def test_fifty_calls_with_one_client_ref_make_one_message(
    shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path, body = a_reply(conversation)
    body = body | {"client_ref": "r1"}
    answers = await asyncio.gather(*(post(http, shop, path, body) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await replies(shop, conversation) == [answers[0].json()["id"]]


async def test_a_key_and_a_client_ref_together_survive_a_lost_key(
    shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path, body = a_reply(conversation)
    body = body | {"client_ref": fresh("r")}
    first = await post(http, shop, path, body, "k1")
    again = await post(http, shop, path, body, "k2")
    assert again.json()["id"] == first.json()["id"]


async def test_one_key_over_all_kinds_of_calls_makes_one_of_each(shop: Shop) -> None:
    client = shop.client
    contacts = [await client.contacts.create(name="A", idempotency_key="contact") for _ in range(2)]
    agents = [await client.agents.create(name="A", idempotency_key="agent") for _ in range(2)]
    channels = [await client.channels.create(type="webchat", name="A", idempotency_key="channel") for _ in range(2)]
    assert {c.id for c in contacts} == {c.id for c in (await client.contacts.list()).items}
    assert {a.id for a in agents} | {shop.agent} == {a.id for a in (await client.agents.list()).items}
    assert {c.id for c in channels} | {shop.channel} == {c.id for c in (await client.channels.list()).items}
