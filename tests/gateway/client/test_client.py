"""The client against a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import traceback
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import shopbell_client as sb
from shopbell_client import Client

from tests.gateway.client.serving import served

TOKEN = "sb_live_0123456789SECRET_abcdef"
Handler = Callable[[httpx.Request], httpx.Response]


def message(**changes: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "conversation": "cnv_1",
        "seq": 1,
        "direction": "out",
        "visibility": "public",
        "author": {"type": "agent", "id": "agt_1", "name": "Ann"},
        "content": {"kind": "text", "text": "Hello"},
        "status": "queued",
        "created_at": "2026-11-22T10:00:00Z",
        **changes,
    }


def problem(status: int, code: str, **more: Any) -> httpx.Response:
    body = {"type": f"/problems/{code}", "title": code, "status": status, "detail": f"It is {code}."}
    headers = {"Content-Type": "application/problem+json"}
    content = json.dumps({**body, "code": code, **more})
    return httpx.Response(status, headers=headers, content=content)


class Script:
    """Answers each request with the next step and keeps the requests."""

    def __init__(self, *steps: httpx.Response | Exception) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def client(self, **options: Any) -> Client:
        options = {"backoff_s": 0.0, **options}
        return Client("http://shop.test", TOKEN, transport=httpx.MockTransport(self), **options)

    def keys(self) -> list[str | None]:
        return [request.headers.get("Idempotency-Key") for request in self.requests]


@pytest.mark.parametrize(
    "failure",
    [
        problem(503, "unavailable"),
        problem(502, "bad_gateway"),
        problem(504, "timeout"),
        problem(429, "rate_limited"),
        problem(409, "idempotency_in_flight"),
        httpx.Response(503, html="<h1>Service unavailable</h1>"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("too slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed without an answer"),
    ],
    ids=repr,
)
async def test_a_send_is_repeated_with_the_same_key_until_it_is_taken(
    failure: httpx.Response | Exception,
) -> None:
    script = Script(failure, failure, httpx.Response(201, json=message()))
    async with script.client() as client:
        sent = await client.messages.send("cnv_1", text="Hello", client_ref="r1")
    assert sent.status == "queued"
    assert len(script.requests) == 3
    assert len(set(script.keys())) == 1
    assert script.keys()[0] is not None
    assert json.loads(script.requests[-1].content) == {
        "content": {"kind": "text", "text": "Hello"},
        "client_ref": "r1",
    }


async def test_a_key_that_was_given_is_the_one_that_is_sent() -> None:
    script = Script(httpx.Response(201, json=message()))
    async with script.client() as client:
        await client.messages.send("cnv_1", text="Hello", idempotency_key="mine")
    assert script.keys() == ["mine"]


async def test_every_call_of_its_own_has_a_key_of_its_own() -> None:
    script = Script(*(httpx.Response(201, json=message()) for _ in range(2)))
    async with script.client() as client:
        await client.messages.send("cnv_1", text="Hello")
        await client.messages.send("cnv_1", text="Hello")
    assert len(set(script.keys())) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
async def test_a_refusal_is_not_repeated(status: int) -> None:
    script = Script(problem(status, "conflict"))
    async with script.client() as client:
        with pytest.raises(sb.ShopbellError):
            await client.messages.send("cnv_1", text="Hello")
    assert len(script.requests) == 1


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), problem(503, "unavailable")], ids=repr)
async def test_a_change_is_repeated_when_it_surely_did_not_happen(
    failure: httpx.Response | Exception,
) -> None:
    script = Script(failure, httpx.Response(200, json={"id": "agt_1", "name": "Bo"}))
    async with script.client() as client:
        assert (await client.agents.update("agt_1", name="Bo")).name == "Bo"


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("slow"), problem(502, "bad_gateway")], ids=repr)
async def test_a_change_that_may_have_happened_is_not_repeated(failure: httpx.Response | Exception) -> None:
    script = Script(failure)
    async with script.client() as client:
        with pytest.raises(sb.Unavailable):
            await client.keys.delete("key_1")
    assert len(script.requests) == 1


async def test_it_gives_up_after_the_retries_with_the_last_error() -> None:
    script = Script(*(problem(503, "unavailable") for _ in range(3)))
    async with script.client(retries=2) as client:
        with pytest.raises(sb.Unavailable, match=r"It is unavailable\. \[503 unavailable\]"):
            await client.me()


async def test_retry_after_is_waited_for() -> None:
    busy = httpx.Response(429, headers={"Retry-After": "1"})
    script = Script(busy, httpx.Response(200, json={"items": []}))
    clock = asyncio.get_running_loop().time
    started = clock()
    async with script.client() as client:
        await client.agents.list()
    assert 1 <= clock() - started < 10  # a busy machine takes its time too


async def test_a_very_long_retry_after_is_the_callers_to_decide() -> None:
    script = Script(httpx.Response(429, headers={"Retry-After": "3600"}))
    async with script.client() as client:
        with pytest.raises(sb.RateLimited) as caught:
            await client.agents.list()
    assert caught.value.retry_after_s == 3600


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, sb.BadRequest),
        (401, sb.Unauthorized),
        (403, sb.Forbidden),
        (404, sb.NotFound),
        (409, sb.Conflict),
        (410, sb.Gone),
        (412, sb.PreconditionFailed),
        (413, sb.BadRequest),
        (422, sb.ValidationFailed),
        (429, sb.RateLimited),
        (500, sb.ServerError),
        (503, sb.Unavailable),
    ],
)
async def test_each_status_is_an_error_of_its_own(status: int, kind: type[sb.ShopbellError]) -> None:
    fields = [{"pointer": "/content/text", "code": "too_long", "detail": "At most 4096 characters."}]
    script = Script(problem(status, "some_code", errors=fields, request_id="req_1"))
    async with script.client(retries=0) as client:
        with pytest.raises(kind) as caught:
            await client.me()
    error = caught.value
    assert (error.status, error.code, error.request_id) == (status, "some_code", "req_1")
    assert error.sentence == "It is some_code. (/content/text: At most 4096 characters.)"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, html="<h1>Welcome</h1>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"shop": "customer's secret"}),
        httpx.Response(302, headers={"Location": "/login"}),
    ],
    ids=repr,
)
async def test_an_answer_of_something_else_is_named_as_such(answer: httpx.Response) -> None:
    async with Script(answer).client() as client:
        with pytest.raises(sb.BadAnswer) as caught:
            await client.me()
    assert "customer's secret" not in str(caught.value)


@pytest.mark.parametrize(
    "failure", [problem(401, "unauthorized"), httpx.ConnectError("refused"), httpx.Response(200, text="?")]
)
async def test_the_token_is_nowhere_to_be_seen(failure: httpx.Response | Exception) -> None:
    async with Script(failure).client(retries=0) as client:
        with pytest.raises(sb.ShopbellError) as caught:
            await client.me()
    shown = [repr(client), repr(caught.value), str(caught.value), *traceback.format_exception(caught.value)]
    assert "SECRET" not in "".join(shown)


@pytest.mark.parametrize("token", ["", "sb_SECRET\nX-Evil: 1", "sb_SECRET two", "sb_SECRETö"])
def test_a_token_that_cannot_be_one_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ValueError, match="The token is empty or holds") as caught:
        Client("http://shop.test", token)
    assert "SECRET" not in str(caught.value)


async def test_a_secret_that_comes_once_stays_out_of_the_repr() -> None:
    answer = {"id": "key_1", "name": "till", "key": "sb_live_SECRET"}
    async with Script(httpx.Response(201, json=answer)).client() as client:
        key = await client.keys.create(name="till", scopes=["read"])
    assert key.key == "sb_live_SECRET"
    assert "SECRET" not in repr(key)


async def test_a_newer_server_is_still_understood() -> None:
    newer = message(
        content={"kind": "hologram", "depth": 3},
        status="teleported",
        direction="sideways",
        author={"type": "robot", "id": None, "name": None, "mood": "good"},
        colour="red",
    )
    async with Script(httpx.Response(200, json=newer)).client() as client:
        got = await client.messages.get("msg_1")
    assert isinstance(got.content, sb.UnknownContent)
    assert got.content.model_dump() == {"kind": "hologram", "depth": 3}
    assert got.status == "teleported"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"kind": "text", "text": "a"}, sb.Text),
        ({"kind": "media", "media": "image", "mime": "image/png", "size": 1, "name": "a.png"}, sb.Media),
        ({"kind": "location", "latitude": 1, "longitude": 2}, sb.Location),
        ({"kind": "contact_card", "name": "A", "phones": ["1"], "emails": []}, sb.ContactCard),
        ({"kind": "choice", "id": "a", "label": "A"}, sb.Choice),
        ({"kind": "buttons", "text": "?", "options": [{"id": "a", "label": "A"}]}, sb.Buttons),
        ({"kind": "template", "name": "t", "language": "en", "values": {"1": "x"}}, sb.Template),
        ({"kind": "order", "items": [{"product": "x"}]}, sb.Order),
        ({"kind": "reaction", "emoji": "", "target": "msg_0"}, sb.Reaction),
        ({"kind": "opaque", "what": "poll"}, sb.Opaque),
        ({"kind": "text"}, sb.UnknownContent),
    ],
)
def test_content_is_told_apart_by_its_kind(content: dict[str, Any], kind: type) -> None:
    assert isinstance(sb.Message.model_validate(message(content=content)).content, kind)


def test_what_is_beside_the_words_of_a_mail_is_read_and_shown_as_the_api_spells_it() -> None:
    told = {
        "subject": "Re: Order 7",
        "class": "bounce",
        "authenticity": "verified",
        "placement": {"code": "signed", "detail": "The mail answers one of ours.", "message": "msg_0"},
        "bounce": {"recipient": "anna@mail.example", "status": "5.1.1", "action": "failed"},
    }
    file = {"kind": "media", "media": "file", "name": "invoice.pdf", "size": 24_000, "url": "http://shop.test/files/x"}
    content = {"kind": "text", "text": "Hello", "full_html": "<p>Hello</p>", "attachments": [file]}
    got = sb.Message.model_validate(message(mail=told, content=content))
    assert got.mail is not None
    assert (got.mail.category, got.mail.placement, got.mail.bounce) == (
        "bounce",
        sb.Placement(code="signed", detail="The mail answers one of ours.", message="msg_0"),
        sb.Bounce(recipient="anna@mail.example", status="5.1.1"),
    )
    assert got.model_dump()["mail"] == told
    assert sb.Message.model_validate(got.model_dump()) == got
    assert isinstance(got.content, sb.Text)
    assert [one.name for one in got.content.attachments] == ["invoice.pdf"]


def test_a_mail_of_a_newer_server_may_have_classes_and_reasons_of_its_own() -> None:
    newer = {"subject": None, "class": "newsletter", "authenticity": "sealed", "placement": {"code": "oracle"}, "x": 1}
    got = sb.Message.model_validate(message(mail=newer)).mail
    assert got is not None
    assert (got.category, got.authenticity) == ("newsletter", "sealed")
    assert got.placement == sb.Placement(code="oracle")


async def test_what_was_read_can_be_written_back_only_unchanged() -> None:
    script = Script(
        httpx.Response(200, json={"id": "cnt_1", "name": "A"}, headers={"ETag": '"7"'}),
        problem(412, "precondition_failed"),
    )
    async with script.client() as client:
        contact = await client.contacts.get("cnt_1")
        with pytest.raises(sb.PreconditionFailed):
            await client.contacts.update("cnt_1", name=None, if_match=contact.etag)
    assert script.requests[1].headers["If-Match"] == '"7"'
    assert json.loads(script.requests[1].content) == {"name": None}


async def test_a_walk_over_a_list_visits_every_page() -> None:
    def agents(*numbers: int) -> list[dict[str, Any]]:
        return [{"id": f"agt_{number}", "name": str(number)} for number in numbers]

    script = Script(
        httpx.Response(200, json={"items": agents(1, 2), "next": "c2", "prev": None}),
        httpx.Response(200, json={"items": agents(3), "next": None, "prev": "c1"}),
    )
    async with script.client() as client:
        names = [agent.name async for agent in client.agents.iterate(limit=2)]
    assert names == ["1", "2", "3"]
    assert [dict(request.url.params) for request in script.requests] == [
        {"limit": "2"},
        {"limit": "2", "after": "c2"},
    ]


async def test_a_walk_over_messages_goes_back_in_time() -> None:
    script = Script(
        httpx.Response(200, json={"items": [message(seq=2), message(seq=3)], "prev": "c1", "next": None}),
        httpx.Response(200, json={"items": [message(seq=1)], "prev": None, "next": "c1"}),
    )
    async with script.client() as client:
        assert [found.seq async for found in client.messages.iterate("cnv_1")] == [3, 2, 1]
    assert script.requests[1].url.params["before"] == "c1"


async def test_filters_and_ids_reach_the_server_as_the_api_spells_them() -> None:
    script = Script(httpx.Response(200, json={"items": []}), problem(404, "not_found"))
    async with script.client() as client:
        await client.conversations.list(waiting=True, status="open", assignee=None)
        with pytest.raises(sb.NotFound):
            await client.conversations.get("cnv_/../x")
    assert dict(script.requests[0].url.params) == {"waiting": "true", "status": "open"}
    assert script.requests[1].url.raw_path == b"/v1/conversations/cnv_%2F..%2Fx"


async def test_what_to_send_is_given_once() -> None:
    async with Script().client() as client:
        with pytest.raises(ValueError, match="either text or content"):
            await client.messages.send("cnv_1")
        with pytest.raises(ValueError, match="either up_to or message_ids"):
            await client.conversations.read("cnv_1", up_to="msg_1", message_ids=["msg_1"])


# ---- the stream of events, over a real connection


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "type": "message.received",
        "at": "2026-11-22T10:00:00Z",
        "shop": "shp_1",
        "conversation": "cnv_1",
        "cursor": f"c{number}",
        "data": message(id=f"msg_{number}", seq=number),
        **changes,
    }


def block(number: int, **changes: Any) -> bytes:
    body = event(number, **changes)
    return f"id: c{number}\nevent: {body['type']}\ndata: {json.dumps(body)}\n\n".encode()


TYPING = b'event: typing\ndata: {"type": "typing", "data": {"conversation": "cnv_1", "on": true}}\n\n'


class Feed:
    """GET /v1/events: each connection sends its chunks, then ends, breaks off or falls silent."""

    def __init__(self, *connections: tuple[Iterable[bytes], str] | int) -> None:
        self.connections = list(connections)
        self.seen: list[str | None] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        query = httpx.QueryParams(scope["query_string"].decode())
        if b"text/event-stream" not in headers[b"accept"]:
            assert query["after"] == "now"
            await answer(send, 200, {"items": [], "next": "c0"})
            return
        resumed = headers.get(b"last-event-id")
        self.seen.append(resumed.decode() if resumed else None)
        assert query.get("after") == self.seen[-1]
        step = self.connections.pop(0) if self.connections else ([], "silent")
        if isinstance(step, int):
            await answer(send, step, {"code": "cursor_expired" if step == 410 else "x"})
            return
        chunks, end = step
        await send(start(200, b"text/event-stream"))
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)
        if end == "broken":
            raise ConnectionResetError("for the test")
        if end == "silent":
            await receive()  # the request
            await receive()  # the other side leaves
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def start(status: int, content_type: bytes) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type)]}


async def answer(send: Any, status: int, body: dict[str, Any]) -> None:
    await send(start(status, b"application/json"))
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def take(client: Client, count: int, **options: Any) -> list[sb.Event]:
    found: list[sb.Event] = []
    async with asyncio.timeout(20), aclosing(client.events(**options)) as events:
        async for got in events:
            found.append(got)
            if len(found) == count:
                break
    return found


def cursors(events: list[sb.Event]) -> list[str | None]:
    return [found.cursor for found in events]


async def test_the_stream_goes_on_where_a_connection_was_cut() -> None:
    half = block(3)
    feed = Feed(
        ([block(1) + block(2), half[: len(half) // 2]], "broken"),
        ([block(3)], "end"),
        503,
        500,
        ([b": ping\n\n", block(4)], "silent"),
    )
    async with served(feed) as url, Client(url, TOKEN, backoff_s=0.0) as client:
        found = await take(client, 4)
    assert cursors(found) == ["c1", "c2", "c3", "c4"]
    assert feed.seen == [None, "c2", "c3", "c3", "c3"]


async def test_each_event_comes_once_though_the_server_repeats_itself() -> None:
    feed = Feed(
        ([block(1), block(1), block(2)], "end"),
        ([block(1), block(2), block(3), block(2), block(4)], "silent"),
    )
    async with served(feed) as url, Client(url, TOKEN, backoff_s=0.0) as client:
        assert cursors(await take(client, 4)) == ["c1", "c2", "c3", "c4"]


async def test_events_cut_into_single_bytes_arrive_whole() -> None:
    text = "naïve 👋\u2028"
    stream = block(1, data=message(content={"kind": "text", "text": text})).replace(b"\n", b"\r\n")
    feed = Feed(([bytes([byte]) for byte in stream], "silent"))
    async with served(feed) as url, Client(url, TOKEN) as client:
        [found] = await take(client, 1)
    assert isinstance(found.data, sb.Message)
    assert found.data.content == sb.Text(text=text)


async def test_now_is_a_place_in_the_feed_before_the_first_event_came() -> None:
    feed = Feed(([b": ping\n\n"], "broken"), ([block(1)], "silent"))
    async with served(feed) as url, Client(url, TOKEN, backoff_s=0.0) as client:
        await take(client, 1, after="now")
    assert feed.seen == ["c0", "c0"]


async def test_typing_is_yielded_and_moves_nothing() -> None:
    feed = Feed(([block(1), TYPING, TYPING], "end"), ([block(2)], "silent"))
    async with served(feed) as url, Client(url, TOKEN, backoff_s=0.0) as client:
        found = await take(client, 4)
    assert cursors(found) == ["c1", None, None, "c2"]
    assert isinstance(found[1].data, sb.TypingSignal)
    assert feed.seen == [None, "c1"]


async def test_silence_means_another_connection() -> None:
    feed = Feed(([block(1)], "silent"), ([block(2)], "silent"))
    states: list[str] = []
    async with served(feed) as url, Client(url, TOKEN, backoff_s=0.0) as client:
        found = await take(client, 2, silence_s=1, on_state=states.append)
    assert cursors(found) == ["c1", "c2"]
    assert states == ["connecting", "connected", "lost", "connecting", "connected"]


def port_for_two() -> int:
    """A port to be bound twice: of those that no outgoing connection is given, least of all the one that tries it."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("none of a hundred ports is free")


async def test_the_stream_survives_a_restart_of_the_server() -> None:
    first, second = Feed(([block(1)], "silent")), Feed(([block(2)], "silent"))
    port, states = port_for_two(), [""]
    lost = asyncio.Event()

    def on_state(state: str) -> None:
        states.append(state)
        if states[-2:] == ["connecting", "lost"]:  # also the first try after the loss has failed
            lost.set()

    async with served(first, port=port) as url:
        client = Client(url, TOKEN, backoff_s=0.05)
        events = client.events(on_state=on_state)
        assert (await anext(events)).cursor == "c1"
        following = asyncio.ensure_future(anext(events))
    async with asyncio.timeout(20):
        await lost.wait()
    async with served(second, port=port), client, asyncio.timeout(20):
        assert (await following).cursor == "c2"
        await events.aclose()
    assert second.seen == ["c1"]


async def test_a_cursor_of_long_ago_is_gone() -> None:
    async with served(Feed(410)) as url, Client(url, TOKEN) as client:
        with pytest.raises(sb.Gone) as caught:
            await take(client, 1, after="c-old")
    assert caught.value.code == "cursor_expired"


async def test_a_token_that_expired_ends_the_stream() -> None:
    async with served(Feed(([block(1)], "end"), 401)) as url, Client(url, TOKEN, backoff_s=0.0) as client:
        with pytest.raises(sb.Unauthorized):
            await take(client, 2)


async def test_an_event_nobody_knows_is_passed_on_as_it_is() -> None:
    odd = [
        block(1, type="parcel.arrived", data={"door": 3}),
        block(2, data={"shape": "of the future"}),
        block(3),
    ]
    async with served(Feed((odd, "silent"))) as url, Client(url, TOKEN) as client:
        found = await take(client, 3)
    assert found[0].data == {"door": 3}
    assert found[1].data == {"shape": "of the future"}
    assert isinstance(found[2].data, sb.Message)


async def test_a_page_of_events_says_where_to_go_on() -> None:
    script = Script(httpx.Response(200, json={"items": [event(1)], "next": "c1"}))
    async with script.client() as client:
        page = await client.events_page(after="c0", types=["message.received", "typing"], wait=5, limit=10)
    assert (page.next, len(page.items)) == ("c1", 1)
    assert dict(script.requests[0].url.params) == {
        "after": "c0",
        "types": "message.received,typing",
        "wait": "5",
        "limit": "10",
    }
    assert script.requests[0].extensions["timeout"]["read"] == 15
