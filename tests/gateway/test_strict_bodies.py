"""A body says what it means: a text is no number, and nothing that nobody knows is passed over in silence."""

from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter
from shopbell_client import Text

from shared.content import Content
from tests.support.customer import Customer
from tests.support.operations import Things, flaws
from tests.support.product import Running, Shop

CONTENTS: tuple[dict[str, Any], ...] = (
    {"kind": "text", "text": "a"},
    {"kind": "media", "media": "image", "url": "https://shop.example/a.png", "mime": "image/png"},
    {"kind": "album", "items": [{"kind": "media", "media": "image", "url": "https://shop.example/a.png"}] * 2},
    {"kind": "location", "latitude": 1, "longitude": 2.5},
    {"kind": "contact_card", "name": "A"},
    {"kind": "choice", "id": "a", "label": "A"},
    {"kind": "buttons", "text": "?", "options": [{"id": "a", "label": "A"}]},
    {"kind": "template", "name": "t", "language": "en", "buttons": [{"index": 0, "action": "url", "value": "x"}]},
    {"kind": "order", "items": [{"product": "a", "quantity": 1}]},
    {"kind": "reaction", "emoji": "", "target": "msg_00000000000000000000000000"},
    {"kind": "opaque", "what": "poll"},
)


@pytest.fixture
async def conversation(running: Running, shop: Shop) -> str:
    return (await Customer(running, shop).writes("Hello?")).conversation


async def call(http: httpx.AsyncClient, shop: Shop, method: str, path: str, body: Any) -> httpx.Response:
    return await http.request(method, shop.url + path, json=body, headers={"Authorization": f"Bearer {shop.key}"})


async def send(http: httpx.AsyncClient, shop: Shop, conversation: str, content: Any, **more: Any) -> httpx.Response:
    return await call(http, shop, "POST", f"/v1/conversations/{conversation}/messages", {"content": content, **more})


# Scalars


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("conversations.update", "priority", "5"),
        ("conversations.update", "priority", True),
        ("conversations.update", "priority", 5.0),
        ("conversations.typing", "on", "yes"),
        ("conversations.typing", "on", 1),
        ("agents.token", "ttl_s", "60"),
        ("agents.token", "ttl_s", 60.0),
        ("keys.create", "expires_at", 99_999_999_999),
        ("keys.create", "name", 5),
    ],
)
async def test_a_value_is_never_taken_for_one_of_another_type(
    running: Running, things: Things, http: httpx.AsyncClient, name: str, field: str, value: object
) -> None:
    from tests.support.operations import operations

    (operation,) = [operation for operation in operations(running) if operation.name == name]
    body = (operation.body(things) or {}) | {field: value}
    answer = await operation.call(http, things, things.shop.key, json=body)
    assert flaws(answer, 422) is None
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]


async def test_numbers_inside_content_are_numbers(shop: Shop, conversation: str, http: httpx.AsyncClient) -> None:
    answer = await send(http, shop, conversation, {"kind": "location", "latitude": "1", "longitude": 2})
    assert flaws(answer, 422) is None
    assert answer.json()["code"] == "validation_failed"


async def test_what_json_has_no_type_for_comes_as_text(shop: Shop, http: httpx.AsyncClient) -> None:
    body = {"name": "A", "scopes": ["read"], "expires_at": "2100-01-01T00:00:00Z"}
    answer = await call(http, shop, "POST", "/v1/keys", body)
    assert answer.status_code == 201
    assert answer.json()["expires_at"] == "2100-01-01T00:00:00.000Z"


async def test_a_caller_who_may_not_is_told_so_before_what_is_wrong_with_the_body(
    shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    reader = await shop.client.keys.create(name="Reader", scopes=["read"])
    for token, status in (("sb_live_wrong", 401), (reader.key, 403)):
        answer = await http.patch(
            f"{shop.url}/v1/conversations/{conversation}",
            json={"priority": "5"},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert flaws(answer, status) is None


# Content


def test_there_is_an_example_of_every_kind() -> None:
    schema = TypeAdapter(Content).json_schema()
    assert {content["kind"] for content in CONTENTS} == set(schema["discriminator"]["mapping"])


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content["kind"])
async def test_every_kind_is_read_and_a_member_that_nobody_knows_is_refused(
    shop: Shop, conversation: str, http: httpx.AsyncClient, content: dict[str, Any]
) -> None:
    """As it is, the chat cannot carry most of them; that is another refusal, or none for a note."""
    answer = await send(http, shop, conversation, content)
    assert answer.status_code == 201 or answer.json()["code"] in ("unsupported", "not_found"), answer.text
    for wrong in with_a_surprise(content):
        answer = await send(http, shop, conversation, wrong, visibility="internal")
        assert flaws(answer, 422) is None
        assert refused(answer, "surprise"), answer.text


def refused(answer: httpx.Response, member: str) -> bool:
    """Whether this member is refused as unknown. An album without the picture in question is too short besides."""
    codes = {error["pointer"].rpartition("/")[2]: error["code"] for error in answer.json()["errors"]}
    return codes.pop(member, None) == "extra_forbidden" and set(codes.values()) <= {"too_short"}


def with_a_surprise(value: Any) -> list[Any]:
    """The value with one member more, once per object in it."""
    match value:
        case dict():
            inside = [value | {name: wrong} for name, inner in value.items() for wrong in with_a_surprise(inner)]
            return [value | {"surprise": 1}, *inside]
        case list():
            return [
                [*value[:n], wrong, *value[n + 1 :]] for n, item in enumerate(value) for wrong in with_a_surprise(item)
            ]
        case _:
            return []


@pytest.mark.parametrize("member", ["source", "failure"])
async def test_what_is_for_us_to_say_of_a_file_is_not_for_a_caller(
    shop: Shop, conversation: str, http: httpx.AsyncClient, member: str
) -> None:
    media = {"kind": "media", "media": "image", "url": "https://shop.example/a.png"}
    template = {"kind": "template", "name": "t", "language": "en"}
    for content in (
        media | {member: "x"},
        {"kind": "album", "items": [media, media | {member: "x"}]},
        template | {"header_media": media | {member: "x"}},
    ):
        answer = await send(http, shop, conversation, content, visibility="internal")
        assert flaws(answer, 422) is None
        assert refused(answer, member), answer.text


async def test_where_a_file_is_can_only_be_an_address_of_the_web(
    shop: Shop, conversation: str, http: httpx.AsyncClient
) -> None:
    for url in ("javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "//shop.example/a", "a.png", ""):
        media = {"kind": "media", "media": "image", "url": url}
        answer = await send(http, shop, conversation, media, visibility="internal")
        assert flaws(answer, 422) is None, url
    media = {"kind": "media", "media": "image", "url": "https://shop.example/a.png"}
    assert (await send(http, shop, conversation, media, visibility="internal")).status_code == 201


async def test_formatting_of_a_caption_is_made_safe(shop: Shop, conversation: str, http: httpx.AsyncClient) -> None:
    media = {
        "kind": "media", "media": "image", "url": "https://shop.example/a.png",
        "caption": "Hi", "caption_html": "<b>Hi</b><img src=x onerror=alert(1)>",
    }  # fmt: skip
    answer = await send(http, shop, conversation, media, visibility="internal")
    assert answer.json()["content"]["caption_html"] == "<b>Hi</b>"


async def test_the_description_shows_what_a_caller_may_say(http: httpx.AsyncClient, running: Running) -> None:
    described = (await http.get(f"{running.url}/openapi.json")).json()
    operation = described["paths"]["/v1/conversations/{id}/messages"]["post"]
    body = resolved(described, operation["requestBody"]["content"]["application/json"]["schema"])
    kinds = [resolved(described, choice) for choice in resolved(described, body["properties"]["content"])["oneOf"]]
    assert len(kinds) == len(CONTENTS)
    assert [kind["additionalProperties"] for kind in kinds] == [False] * len(kinds)
    (media,) = [kind for kind in kinds if kind["properties"]["kind"]["const"] == "media"]
    assert not {"source", "failure"} & set(media["properties"])
    assert {"attachment", "url", "caption"} <= set(media["properties"])


def resolved(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


async def test_what_was_received_can_be_sent_on(running: Running, shop: Shop) -> None:
    question = await Customer(running, shop).writes("Hello?")
    sent = await shop.client.messages.send(question.conversation, content=question.content)
    assert sent.content == Text(text="Hello?")
