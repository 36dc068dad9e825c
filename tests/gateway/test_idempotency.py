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

from shared.events import MessageReceived
from tests.support.customer import Customer, fresh
from tests.support.eventually import eventually
from tests.support.operations import undigested
from tests.support.product import Running, Shop
from tests.support.tables import execute, query

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


# Calls whose answers are secrets, or that act outside a transaction


async def test_a_repeat_of_what_shows_a_secret_once_shows_the_same_and_makes_nothing_more(
    running: Running, shop: Shop, http: httpx.AsyncClient
) -> None:
    calls: tuple[tuple[str, Any, str], ...] = (
        ("/v1/keys", {"name": "A", "scopes": ["read"]}, "key"),
        (f"/v1/agents/{shop.agent}/tokens", {"ttl_s": 60}, "token"),
    )
    for path, body, secret in calls:
        first = await post(http, shop, path, body, f"k-{secret}")
        again = await post(http, shop, path, body, f"k-{secret}")
        assert (first.status_code, again.status_code, again.headers[REPLAYED]) == (201, 201, "true")
        assert again.content == first.content
        other = await post(http, shop, path, body | {"surprise": 1}, f"k-{secret}")
        assert other.status_code == 422
        kept = await query(running, "SELECT body FROM idempotency WHERE shop_id = :id", id=shop.uuid)
        assert not any(first.json()[secret].encode() in bytes(row.body) for row in kept)
    tokens = await query(running, "SELECT 1 FROM agent_tokens WHERE shop_id = :id", id=shop.uuid)
    assert len(tokens) == 1
    assert [key.name for key in (await shop.client.keys.list()).items if key.name == "A"] == ["A"]


async def test_a_token_may_be_asked_for_without_a_body(shop: Shop, http: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {shop.key}", "Idempotency-Key": "k1"}
    answers = [await http.post(f"{shop.url}/v1/agents/{shop.agent}/tokens", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content


async def test_an_answer_that_cannot_be_opened_any_more_is_not_made_anew(
    running: Running, shop: Shop, http: httpx.AsyncClient
) -> None:
    """As after a change of the server's secret key."""
    await post(http, shop, "/v1/contacts", {"name": "A"}, "k1")
    await execute(running, "UPDATE idempotency SET body = decode('00', 'hex') WHERE shop_id = :id", id=shop.uuid)
    again = await post(http, shop, "/v1/contacts", {"name": "A"}, "k1")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert len((await shop.client.contacts.list()).items) == 1


async def test_kept_answers_do_not_open_for_another_caller_or_key(
    running: Running, shop: Shop, http: httpx.AsyncClient
) -> None:
    for key in ("k1", "k2"):
        await post(http, shop, "/v1/contacts", {"name": "A"}, key)
    await execute(
        running,
        "UPDATE idempotency SET body = (SELECT body FROM idempotency WHERE shop_id = :id AND key = 'k1') "
        "WHERE shop_id = :id AND key = 'k2'",
        id=shop.uuid,
    )
    assert (await post(http, shop, "/v1/contacts", {"name": "A"}, "k2")).status_code == 409


async def test_typing_takes_a_key_and_refuses_one_that_is_none(
    shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path = f"/v1/conversations/{conversation}/typing"
    answers = [await post(http, shop, path, {"on": True}, "k1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert (await post(http, shop, path, {"on": True}, "x" * 256)).status_code == 422


async def test_typing_does_not_wait_for_who_changes_the_conversation(
    running: Running, shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    async with running.core.db.system() as connection:
        hold = sa.text("SELECT 1 FROM conversations WHERE shop_id = :id FOR UPDATE")
        await connection.execute(hold, {"id": shop.uuid})
        async with asyncio.timeout(5):
            answer = await post(http, shop, f"/v1/conversations/{conversation}/typing", {"on": True})
    assert answer.status_code == 202


async def test_a_replay_repeated_gives_the_same_answer(running: Running, shop: Shop, http: httpx.AsyncClient) -> None:
    """What was received stays in quarantine until it can be understood; the key is free until then."""
    customer = Customer(running, shop)
    inbound, question = await quarantined(running, customer)
    path = f"/v1/inbound/{inbound}/replay"
    assert (await post(http, shop, path, {}, "k1")).status_code == 409
    await execute(
        running, "UPDATE journal SET event = :event WHERE shop_id = :id AND state = 'quarantined'",
        id=shop.uuid, event=question.model_dump_json(),
    )  # fmt: skip
    first = await post(http, shop, path, {}, "k1")
    assert (first.status_code, first.json()["state"], REPLAYED in first.headers) == (200, "processed", False)
    again = await post(http, shop, path, {}, "k1")
    assert (again.status_code, again.headers[REPLAYED], again.content) == (200, "true", first.content)
    assert len((await shop.client.conversations.list()).items) == 1


async def test_a_key_of_another_call_replays_nothing(running: Running, shop: Shop, http: httpx.AsyncClient) -> None:
    inbound, question = await quarantined(running, Customer(running, shop))
    await execute(
        running, "UPDATE journal SET event = :event WHERE shop_id = :id AND state = 'quarantined'",
        id=shop.uuid, event=question.model_dump_json(),
    )  # fmt: skip
    await post(http, shop, "/v1/contacts", {"name": "A"}, "k1")
    refused = await post(http, shop, f"/v1/inbound/{inbound}/replay", {}, "k1")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_mismatch")
    assert (await shop.client.inbound.get(inbound)).state == "quarantined"


async def quarantined(running: Running, customer: Customer) -> tuple[str, MessageReceived]:
    """Something in quarantine, and what it would be if it were understood."""
    await customer.tell(undigested(customer))
    (row,) = (await customer.shop.client.inbound.list(state="quarantined")).items
    return row.id, customer.message("Hello?")


# Refusals that pass


async def test_a_refusal_that_can_pass_is_forgotten(
    running: Running, shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    """The caller mends what stood in the way and repeats: with the same key, as it was told."""
    path, body = a_reply(conversation)
    await shop.client.channels.update(shop.channel, state="paused")
    paused = await post(http, shop, path, body, "k1")
    assert (paused.status_code, paused.json()["code"]) == (422, "channel_paused")
    await shop.client.channels.update(shop.channel, state="active")
    assert (await post(http, shop, path, body, "k1")).status_code == 201
    (sent,) = await replies(shop, conversation)
    await eventually(lambda: shop.client.messages.get(sent), lambda message: message.status == "sent")
    retry = f"/v1/messages/{sent}/retry"
    assert (await post(http, shop, retry, {}, "k2")).json()["code"] == "conflict"
    await execute(running, "UPDATE messages SET status = 'failed' WHERE shop_id = :id", id=shop.uuid)
    assert (await post(http, shop, retry, {}, "k2")).status_code == 200


async def test_a_customer_who_comes_back_can_be_written_to_with_the_same_key(
    running: Running, shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    path, body = a_reply(conversation)
    await execute(running, "UPDATE identities SET blocked_at = now() WHERE shop_id = :id", id=shop.uuid)
    blocked = await post(http, shop, path, body, "k1")
    assert (blocked.status_code, blocked.json()["code"]) == (422, "unsupported")
    await execute(running, "UPDATE identities SET blocked_at = NULL WHERE shop_id = :id", id=shop.uuid)
    assert (await post(http, shop, path, body, "k1")).status_code == 201


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
