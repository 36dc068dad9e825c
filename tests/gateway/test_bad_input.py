"""Whatever comes in, on every route of the API: a refusal that says why, never a 500, and nothing half done."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from shared.ids import AGENT, CHANNEL, CONTACT, CONVERSATION, INBOUND, KEY, MESSAGE, new_id
from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.operations import Operation, Things, flaws, make_things, operations
from tests.support.product import Running, Shop, new_shop
from tests.support.scripted import new_channel
from tests.support.tables import digest_of, execute
from tests.support.visitor import Visitor, new_visitor

JSON: Final = {"Content-Type": "application/json"}
DEEP: Final = b'{"a":' * 300 + b"1" + b"}" * 300
ABYSS: Final = b"[" * 100_000
BAD_JSON: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "not JSON": b"{",
    "half a word": b"nul",
    "two values": b"{}{}",
    "a comment": b"{/**/}",
    "lone surrogate": b'{"name":"\\ud800"}',
    "lone surrogate in a name": b'{"\\udfff":1}',
    "NUL": b'{"name":"a\\u0000b"}',
    "NaN": b'{"priority":NaN}',
    "minus infinity": b'{"priority":-Infinity}',
    "1e999": b'{"priority":1e999}',
    "a huge whole number": b'{"priority":' + b"9" * 5000 + b"}",
    "2^63": b'{"priority":9223372036854775808}',
    "doubled names": b'{"name":"a","name":"b"}',
    "300 deep": DEEP,
    "100,000 deep": ABYSS,
    "100,000 deep objects": b'{"a":' * 100_000,
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": '{"name":"ä"}'.encode("latin-1"),
    "overlong UTF-8": b'{"name":"\xc0\x80"}',
}
WRONG_TYPES: Final[tuple[Any, ...]] = (
    None,
    1,
    -1.5,
    True,
    "text",
    "",
    [],
    [[]],
    {},
    {"a": 1},
    2**62,
    "\x7f",
    "x" * 300_000,
)
PREFIXES: Final = (AGENT, CHANNEL, CONTACT, CONVERSATION, INBOUND, KEY, MESSAGE)
MALFORMED_IDS: Final = (
    "1",
    "null",
    "msg_",
    "cnv_01m81556nve52ta86b9bynhfp",  # one short
    "CNV_01M81556NVE52TA86B9BYNHFPF",
    "cnv_81m81556nve52ta86b9bynhfpf",  # more than 128 bits
    "cnv_01m81556nve52ta86b9bynhfpl",  # a letter that Crockford leaves out
    "%00",
    "cnv_%00",
    "%ff%fe",
    "%F0%9F%92%A9",
    "..%2f..%2fetc",
    "'%20OR%201=1--",
    "a" * 3000,
)


@pytest.fixture(scope="module")
async def kept(running: Running) -> AsyncIterator[Things]:
    """A shop full of things for all tests that leave it as it is."""
    async with new_shop(running) as own:
        yield await make_things(running, own)


@pytest.fixture
async def untouched(running: Running, kept: Things) -> AsyncIterator[Things]:
    """The shop in which nothing may have changed at the end of a test."""
    before = await digest_of(running, kept.shop.uuid)
    yield kept
    assert await digest_of(running, kept.shop.uuid) == before


def with_body(running: Running) -> list[Operation]:
    return [operation for operation in operations(running) if operation.takes_body]


# Bodies


async def test_what_is_not_clean_json_is_a_400(running: Running, untouched: Things, http: httpx.AsyncClient) -> None:
    wrong = []
    for operation in with_body(running):
        for name, body in BAD_JSON.items():
            if name == "nothing" and operation.name == "agents.token":
                continue  # the one body that may be left out
            answer = await operation.call(http, untouched, untouched.shop.key, content=body, headers=JSON)
            if flaw := flaws(answer, 422 if name == "nothing" else 400):
                wrong.append((operation.name, name, flaw))
    assert wrong == []


async def test_a_body_that_is_not_said_to_be_json_is_a_415(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    wrong = []
    for operation in with_body(running):
        body = json.dumps(operation.body(untouched)).encode()
        for kind in (
            "text/plain",
            "application/xml",
            "multipart/form-data; boundary=x",
            "application/json; charset=utf-16",
            "application/json; charset=bogus",
            "garbage",
            "",
        ):
            answer = await operation.call(
                http, untouched, untouched.shop.key, content=body, headers={"Content-Type": kind}
            )
            if flaw := flaws(answer, 415):
                wrong.append((operation.name, kind, flaw))
    assert wrong == []


async def test_json_in_any_other_shape_than_an_object_is_a_422(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    wrong = []
    for operation in with_body(running):
        for body in (b"[]", b"1", b'"text"', b"true", b"[{}]"):
            answer = await operation.call(http, untouched, untouched.shop.key, content=body, headers=JSON)
            if flaw := flaws(answer, 422):
                wrong.append((operation.name, body, flaw))
    assert wrong == []


async def test_a_field_that_is_not_known_is_a_422_that_names_it(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    wrong: list[object] = []
    for operation in with_body(running):
        body = (operation.body(untouched) or {}) | {"surprise": 1}
        answer = await operation.call(http, untouched, untouched.shop.key, json=body)
        if flaw := flaws(answer, 422):
            wrong.append((operation.name, flaw))
        elif "/surprise" not in {error["pointer"] for error in answer.json()["errors"]}:
            wrong.append((operation.name, answer.text))
    assert wrong == []


async def test_a_value_of_another_type_is_never_a_server_error(
    running: Running, things: Things, http: httpx.AsyncClient
) -> None:
    """Some of them are allowed (a name may be null); the others are refused, and none of them breaks anything."""
    wrong = []
    for operation in with_body(running):
        body = operation.body(things) or {}
        for field in body:
            for value in WRONG_TYPES:
                answer = await operation.call(http, things, things.shop.key, json=body | {field: value})
                flaw = None if answer.is_success else flaws(answer, 404, 409, 422)
                if flaw or (answer.is_success and value in (-1.5, "x" * 300_000) and field != "attributes"):
                    wrong.append((operation.name, field, str(value)[:20], flaw or answer.text[:100]))
    assert wrong == []


async def test_moments_at_the_end_of_the_calendar_are_never_a_server_error(
    untouched: Things, http: httpx.AsyncClient
) -> None:
    for moment in (
        "9999-12-31T23:59:59.999999-14:00",
        "0001-01-01T00:00:00+14:00",
        "2026-13-01T00:00:00Z",
        "soon",
        1e18,
    ):
        body = {"name": "A key", "scopes": ["read"], "expires_at": moment}
        headers = {"Authorization": f"Bearer {untouched.shop.key}"}
        answer = await http.post(f"{untouched.shop.url}/v1/keys", json=body, headers=headers)
        assert flaws(answer, 422) is None, moment


async def test_numbers_at_the_edge_of_what_json_can_hold_are_kept_or_refused(
    things: Things, http: httpx.AsyncClient
) -> None:
    headers = JSON | {"Authorization": f"Bearer {things.shop.key}"}
    for number in ("1e308", "-1.7976931348623157e308", "5e-324", "9223372036854775807", "-9223372036854775808", "0.1"):
        body = f'{{"attributes": {{"n": {number}}}}}'
        answer = await http.post(f"{things.shop.url}/v1/contacts", content=body, headers=headers)
        assert answer.status_code == 201, number
        again = await http.get(f"{things.shop.url}/v1/contacts/{answer.json()['id']}", headers=headers)
        assert float(again.json()["attributes"]["n"]) == float(number)


# Size


async def test_a_body_over_the_limit_is_refused_before_it_is_sent(running: Running, untouched: Things) -> None:
    """Only the head is sent: whoever waits for ten megabytes would wait for ever."""
    wrong = []
    for operation in operations(running):
        head = request_head(operation, untouched, "Content-Length: 100000000", JSON)
        answer = await over_a_socket(running.url, head)
        if flaw := flaws(answer, 413):
            wrong.append((operation.name, flaw))
    assert wrong == []


async def test_a_body_in_chunks_without_a_length_is_cut_off_at_the_limit(running: Running, untouched: Things) -> None:
    limit = running.core.settings.max_body_bytes
    for operation in with_body(running):
        head = request_head(operation, untouched, "Transfer-Encoding: chunked", JSON)
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        # The kernel holds some megabytes that the server never reads; a server without a limit would take all of these.
        answer = await over_a_socket(running.url, head, chunk, at_most=limit + 32_000_000)
        assert flaws(answer, 413) is None, operation.name


def request_head(operation: Operation, things: Things, length: str, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"{operation.method} {operation.url(things)} HTTP/1.1",
        "Host: shop",
        f"Authorization: Bearer {things.shop.key}",
        length,
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def over_a_socket(url: str, head: bytes, chunk: bytes = b"", *, at_most: int = 0) -> httpx.Response:
    """The answer to a request of which only so much is sent as the server takes before it answers."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    answering = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    try:
        async with asyncio.timeout(10):
            writer.write(head)
            sent = 0
            while chunk and not answering.done() and sent < at_most:
                writer.write(chunk)
                sent += len(chunk)
                await writer.drain()
                await asyncio.sleep(0)
            status, _, rest = (await answering).decode().partition("\r\n")
            headers = httpx.Headers(dict(line.split(": ", 1) for line in rest.strip().split("\r\n")))
            body = await reader.readexactly(int(headers["content-length"]))
    finally:
        answering.cancel()
        writer.transport.abort()
    assert sent < at_most or not chunk, "the server read on and on"
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


# Addresses


async def test_an_id_that_is_nobodys_is_a_404(running: Running, untouched: Things, http: httpx.AsyncClient) -> None:
    wrong = []
    for operation in operations(running):
        if "{id}" not in operation.path:
            continue
        for id in [new_id(prefix) for prefix in PREFIXES]:
            answer = await operation.call(http, untouched, untouched.shop.key, url=operation.path.format(id=id))
            if flaw := flaws(answer, 404):
                wrong.append((operation.name, id, flaw))
    assert wrong == []


@pytest.mark.slow
async def test_an_id_that_is_none_is_a_404(running: Running, untouched: Things, http: httpx.AsyncClient) -> None:
    wrong = []
    for operation in operations(running):
        if "{id}" not in operation.path:
            continue
        for id in MALFORMED_IDS:
            answer = await operation.call(http, untouched, untouched.shop.key, url=operation.path.format(id=id))
            if flaw := flaws(answer, 404, 405):
                wrong.append((operation.name, id, flaw))
    assert wrong == []


async def test_a_parameter_that_is_not_known_is_a_422_that_names_it(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    wrong: list[object] = []
    for operation in operations(running):
        for query in ("surprise=1", "surprise", "%00=%00", "%ff=1", "Limit=1"):
            url = f"{operation.url(untouched)}?{query}"
            answer = await operation.call(http, untouched, untouched.shop.key, url=url)
            if flaw := flaws(answer, 422):
                wrong.append((operation.name, query, flaw))
            elif query == "surprise" and answer.json()["errors"][0]["pointer"] != query:
                wrong.append((operation.name, answer.text))
    assert wrong == []


async def test_a_parameter_with_any_value_is_never_a_server_error(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    wrong = []
    values = ("", "%00", "%ff", "-1", "1e3", "99999999999999999999", "x" * 600, "[]", "%F0%9F%92%A9", "now", "a,b%00,")
    for operation in operations(running):
        for name in operation.parameters:
            for value in values:
                url = f"{operation.url(untouched)}?{name}={value}"
                answer = await operation.call(http, untouched, untouched.shop.key, url=url)
                flaw = None if answer.is_success else flaws(answer, 400, 404, 422)
                if flaw:
                    wrong.append((operation.name, name, value, flaw))
    assert wrong == []


@pytest.mark.slow
async def test_a_cursor_made_by_hand_is_never_a_server_error(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    """In its right form, with the right name of its list, and with values that no list of ours has."""
    from gateway.paging import show_cursor

    wrong = []
    id = untouched.conversation
    names = [
        "agents",
        "channels",
        "contacts",
        "inbound None",
        "keys",
        f"messages {id}",
        "conversations None None None None None",
    ]
    positions: list[tuple[Any, ...]] = [
        *((number,) for number in (10**30, -1, 2**31)),
        *((number, new_uuid_text()) for number in (10**30, 2**53)),
        *(("x",), (0, "x"), (None,)),
    ]
    for operation in operations(running):
        for parameter in {"after", "before"} & set(operation.parameters):
            for cursor in (show_cursor(name, *position) for name in names for position in positions):
                url = f"{operation.url(untouched)}?{parameter}={cursor}"
                answer = await operation.call(http, untouched, untouched.shop.key, url=url)
                flaw = None if answer.is_success else flaws(answer, 400, 422)
                if flaw:
                    wrong.append((operation.name, cursor, flaw))
    assert wrong == []


def new_uuid_text() -> str:
    from shared.ids import new_uuid

    return str(new_uuid())


async def test_what_is_not_there_is_told_as_a_problem_too(running: Running, http: httpx.AsyncClient) -> None:
    for path in (
        "/v1",
        "/v1/nothing",
        "/v1/conversations/x/y/z",
        "/%00",
        "/v2/me",
        "/problems/nothing",
        "/problems/%00",
    ):
        assert flaws(await http.get(running.url + path), 404) is None, path
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert flaws(await http.request(method, f"{running.url}/v1/me"), 405) is None, method


# Tokens


async def test_without_a_valid_token_every_route_is_a_401(
    running: Running, things: Things, http: httpx.AsyncClient
) -> None:
    client, key, own = things.shop.client, things.shop.key, {"shop": things.shop.uuid}
    revoked = await client.keys.create(name="Revoked", scopes=["admin"])
    await client.keys.delete(revoked.id)
    expired = await client.keys.create(name="Expired", scopes=["admin"])
    token = await client.agents.token(things.agent)
    past = "now() - interval '1 s'"
    await execute(running, f"UPDATE keys SET expires_at = {past} WHERE shop_id = :shop AND name = 'Expired'", **own)
    await execute(running, f"UPDATE agent_tokens SET expires_at = {past} WHERE shop_id = :shop", **own)
    before = await digest_of(running, things.shop.uuid)
    headers: list[Any] = [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": key},
        {"Authorization": f"Basic {key}"},
        {"Authorization": f"Bearer {key[:-1]}"},
        {"Authorization": f"Bearer {key}x"},
        {"Authorization": f"Bearer {key.upper()}"},
        {"Authorization": f"Bearer {key} {key}"},
        {"Authorization": b"Bearer sb_live_\xff\xfe"},
        {"Authorization": f"Bearer {'a' * 5000}"},
        {"Authorization": f"Bearer {revoked.key}"},
        {"Authorization": f"Bearer {expired.key}"},
        {"Authorization": f"Bearer {token.token}"},
    ]
    wrong = []
    for operation in operations(running):
        for given in headers:
            url = things.shop.url + operation.url(things)
            answer = await http.request(operation.method, url, headers=given, json=operation.body(things))
            if flaw := flaws(answer, 401):
                wrong.append((operation.name, given, flaw))
            elif answer.headers.get("www-authenticate") != "Bearer":
                wrong.append((operation.name, given, "without WWW-Authenticate"))
    assert wrong == []
    assert await digest_of(running, things.shop.uuid) == before


async def test_an_idempotency_key_of_any_form_is_taken_or_refused(things: Things, http: httpx.AsyncClient) -> None:
    url = f"{things.shop.url}/v1/contacts"
    for key, statuses in {
        b"x" * 255: (201,),
        b"x" * 256: (422,),
        b'"quoted"': (201,),
        b"\xff\xfe": (201, 400),
        b"tab\there": (400,),
        b"": (201,),
        b'""': (201,),
    }.items():
        headers = {b"Authorization": f"Bearer {things.shop.key}".encode(), b"Idempotency-Key": key}
        answer = await http.post(url, headers=headers, json={"name": "x"})
        assert answer.status_code in statuses, (key, answer.text)
        assert answer.is_success or flaws(answer, *statuses) is None


# The site chat and the hooks


@pytest.fixture
async def visitor(running: Running, untouched: Things) -> Visitor:
    return await new_visitor(running.url, untouched.shop.channel)


async def test_a_chat_line_that_is_not_one_is_a_400_and_lands_nowhere(
    visitor: Visitor, http: httpx.AsyncClient
) -> None:
    lines = {
        **BAD_JSON,
        "a list": b"[]",
        "no text": b'{"cmid":"1"}',
        "an empty text": b'{"cmid":"1","text":" "}',
        "no cmid": b'{"text":"a"}',
        "an empty cmid": b'{"cmid":"","text":"a"}',
        "a cmid with a space": b'{"cmid":"a b","text":"a"}',
        "a cmid with NUL": b'{"cmid":"\\u0000","text":"a"}',
        "a long cmid": b'{"cmid":"' + b"x" * 65 + b'","text":"a"}',
        "a long text": b'{"cmid":"1","text":"' + b"x" * 4001 + b'"}',
        "a number for a text": b'{"cmid":"1","text":1}',
    }
    wrong = []
    for name, body in lines.items():
        answer = await http.post(chat(visitor, "messages"), content=body, headers=bearer(visitor))
        if flaw := flaws(answer, 413 if len(body) > 65_536 else 400):
            wrong.append((name, flaw))
    assert wrong == []


async def test_a_chat_line_with_characters_that_cannot_be_kept_is_kept_without_them(
    running: Running, things: Things, http: httpx.AsyncClient
) -> None:
    visitor = await new_visitor(running.url, things.shop.channel)
    answer = await http.post(
        chat(visitor, "messages"), content=b'{"cmid":"1","text":"a\\u0000b","x":"ignored"}', headers=bearer(visitor)
    )
    assert answer.status_code == 200
    page = (await http.get(chat(visitor, "thread"), headers=bearer(visitor))).json()
    assert [message["content"]["text"] for message in page["messages"]] == ["a\ufffdb"]


async def test_a_chat_session_takes_a_token_or_gives_a_new_one(visitor: Visitor, http: httpx.AsyncClient) -> None:
    for body in (b"{", b"[]", b'{"token":1}', b"\xff", ABYSS[:60_000], '{"token":"a"}'.encode("utf-16")):
        assert flaws(await http.post(chat(visitor, "session"), content=body), 400) is None, body[:20]
    for token in ("", "x", "a.b", "a.b.c", "ä", visitor.token[:-1], visitor.token + "A", "." * 3000):
        answer = await http.post(chat(visitor, "session"), json={"token": token})
        assert answer.status_code == 200
        assert answer.json()["visitor"] != visitor.visitor
    renewed = await http.post(chat(visitor, "session"), json={"token": visitor.token})
    assert renewed.json()["visitor"] == visitor.visitor


async def test_the_chat_wants_a_token_of_its_own(
    running: Running, visitor: Visitor, their_things: Things, http: httpx.AsyncClient
) -> None:
    foreign = await new_visitor(running.url, their_things.shop.channel)
    for given in (
        "",
        "Bearer",
        "Bearer x",
        f"Basic {visitor.token}",
        f"Bearer {foreign.token}",
        f"Bearer {visitor.token}x",
    ):
        headers = {"Authorization": given}
        assert flaws(await http.get(chat(visitor, "thread"), headers=headers), 401) is None, given
        answer = await http.post(chat(visitor, "messages"), headers=headers, json={"cmid": "1", "text": "a"})
        assert flaws(answer, 401) is None, given


async def test_a_chat_cursor_of_any_form_starts_over(visitor: Visitor, http: httpx.AsyncClient) -> None:
    for cursor in ("", "x", "%00", "%ff", "a" * 3000, "AAAA", "%F0%9F%92%A9", "now"):
        answer = await http.get(f"{chat(visitor, 'thread')}?after={cursor}", headers=bearer(visitor))
        assert answer.status_code == 200
        assert answer.json()["reset"]


async def test_a_chat_body_over_the_limit_is_a_413(running: Running, visitor: Visitor) -> None:
    for name in ("messages", "session"):
        path = f"/chat/{visitor.channel}/{name}"
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {visitor.token}\r\n"
        sized = await over_a_socket(running.url, f"{head}Content-Length: 10000000\r\n\r\n".encode())
        assert flaws(sized, 413) is None
        chunk = b"4000\r\n" + b"x" * 16_384 + b"\r\n"
        chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
        assert flaws(await over_a_socket(running.url, chunked, chunk, at_most=4_000_000), 413) is None


async def test_a_chat_that_does_not_exist_is_a_404(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    for id in (new_id(CHANNEL), untouched.contact, "x", "%00", "%ff", "a" * 3000):
        for method, name in (("POST", "session"), ("POST", "messages"), ("GET", "thread")):
            assert flaws(await http.request(method, f"{running.url}/chat/{id}/{name}"), 404) is None, (id, name)
    for path in ("/chat/", "/chat/x", "/chat/x/nothing", "/widget/nothing", "/widget/..%2fserver.py", "/widget/%00"):
        assert flaws(await http.get(running.url + path), 404) is None, path
    assert flaws(await http.put(f"{running.url}/chat/{untouched.shop.channel}/thread"), 405) is None


async def test_hooks_answer_what_providers_understand(
    running: Running, untouched: Things, http: httpx.AsyncClient
) -> None:
    for type_, id in (
        ("webchat", untouched.shop.channel),
        ("webchat", new_id(CHANNEL)),
        ("nothing", untouched.shop.channel),
        ("webchat", "%00"),
        ("%ff", "x"),
        ("a" * 3000, "b" * 3000),
    ):
        for body in BAD_JSON.values():
            answer = await http.post(f"{running.url}/hooks/{type_}/{id}?%00=%ff", content=body)
            assert answer.status_code in (400, 401), (type_, id)
        assert (await http.get(f"{running.url}/hooks/{type_}/{id}")).status_code in (400, 401)


async def test_a_channel_is_not_found_under_the_name_of_another_type(
    scripted: Running, scripted_shop: Shop, http: httpx.AsyncClient
) -> None:
    """Also when it is in use under its own."""
    customer = Customer(
        scripted, scripted_shop, channel=await new_channel(scripted_shop, "scripted"), channel_type="scripted"
    )
    question = await customer.writes("Hello?")
    answer = await scripted_shop.client.messages.send(question.conversation, text="Hello!")
    await eventually(lambda: scripted_shop.client.messages.get(answer.id), lambda m: m.status == "sent")
    for id in (customer.channel_id, new_id(CHANNEL)):
        assert flaws(await http.post(f"{scripted.url}/chat/{id}/session"), 404) is None
        assert (await http.post(f"{scripted.url}/hooks/webchat/{id}")).status_code == 401


def chat(visitor: Visitor, name: str) -> str:
    return f"{visitor.url}/chat/{visitor.channel}/{name}"


def bearer(visitor: Visitor) -> dict[str, str]:
    return {"Authorization": f"Bearer {visitor.token}"}
