"""Files that a shop uploads: kept once, served by a link that expires, sent in messages."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from shopbell_client import Attachment, Client, Conflict, Message, ShopbellError, ValidationFailed
from shopbell_client.content import Media as Shown

from gateway.files.links import Links
from gateway.files.store import forget_unused
from shared.content import Album, Media
from shared.ids import ATTACHMENT, read_id
from tests.support.customer import Customer
from tests.support.eventually import eventually
from tests.support.product import Running, Shop
from tests.support.tables import execute
from tests.support.wordy import Wordings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def path_of(url: str | None) -> str:
    assert url is not None
    return httpx.URL(url).raw_path.decode()


async def uploaded(shop: Shop, body: bytes = PNG, name: str = "red one.png", mime: str = "image/png") -> Attachment:
    return await shop.client.attachments.create(body, name=name, mime=mime)


def kept_files(running: Running) -> set[Path]:
    folder = running.core.settings.data_dir / "files"
    return {path for path in folder.rglob("*") if path.is_file()}


async def test_a_file_comes_back_as_it_was_and_can_run_nothing(shop: Shop, http: httpx.AsyncClient) -> None:
    kept = await uploaded(shop)
    assert (kept.state, kept.mime, kept.name, kept.size) == ("kept", "image/png", "red one.png", len(PNG))
    assert kept.sha256 == hashlib.sha256(PNG).hexdigest()
    again = await shop.client.attachments.get(kept.id)
    assert again == kept
    answer = await http.get(shop.url + path_of(kept.url))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, PNG, "image/png")
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''red%20one.png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("mime", ["text/html", "image/svg+xml", "application/javascript", "application/xml"])
async def test_what_a_browser_could_run_is_only_bytes(shop: Shop, http: httpx.AsyncClient, mime: str) -> None:
    kept = await uploaded(shop, b"<script>alert(1)</script>", "page", mime)
    answer = await http.get(shop.url + path_of(kept.url))
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=0-3", 206, PNG[:4]),
        ("bytes=4-", 206, PNG[4:]),
        (f"bytes=0-{10**12}", 206, PNG),
        ("bytes=999999-", 200, PNG),
        ("bytes=0-1,3-4", 200, PNG),
        ("lines=1-2", 200, PNG),
    ],
)
async def test_players_may_ask_for_a_part(
    shop: Shop, http: httpx.AsyncClient, header: str, status: int, part: bytes
) -> None:
    kept = await uploaded(shop)
    answer = await http.get(shop.url + path_of(kept.url), headers={"Range": header})
    assert (answer.status_code, answer.content) == (status, part)
    if status == 206:
        assert answer.headers["content-range"].endswith(f"/{len(PNG)}")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", 'a"b\r\nX: y.png', "c:\\files\\d.png", "\u202egnp.exe", "", "ж" * 500]
)
async def test_a_name_is_a_name_and_nothing_else(shop: Shop, http: httpx.AsyncClient, name: str) -> None:
    kept = await uploaded(shop, name=name)
    assert kept.name is None or not set(kept.name) & set("/\\\r\n")
    answer = await http.get(shop.url + path_of(kept.url))
    assert answer.status_code == 200
    assert "x" not in answer.headers


async def test_an_empty_file_is_a_file(shop: Shop, http: httpx.AsyncClient) -> None:
    kept = await uploaded(shop, b"", "empty.txt", "text/plain")
    answer = await http.get(shop.url + path_of(kept.url))
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_link_runs_out_and_cannot_be_made_up(running: Running, shop: Shop, http: httpx.AsyncClient) -> None:
    kept = await uploaded(shop)
    core = running.core
    later = Links(core.key("file links"), core.base_url, lambda: core.clock() - timedelta(hours=26))
    old = later.make(shop.uuid, read_id(ATTACHMENT, kept.id))
    strange = Links(b"another key", core.base_url, core.clock).make(shop.uuid, read_id(ATTACHMENT, kept.id))
    good = path_of(kept.url)
    for path in (path_of(old), path_of(strange), good[:-1], good + "A", "/files/", "/files/%00", "/files/é"):
        assert (await http.get(shop.url + path)).status_code == 404, path


async def test_a_file_that_is_too_large_is_refused_and_not_kept(running: Running, shop: Shop) -> None:
    before = kept_files(running)
    limit = running.core.settings.max_attachment_bytes
    with pytest.raises(ShopbellError) as refused:
        await uploaded(shop, b"x" * (limit + 1))
    assert refused.value.status == 413
    assert kept_files(running) == before


async def test_the_same_key_keeps_one_file(running: Running, shop: Shop) -> None:
    async def keep(body: bytes) -> Attachment:
        return await shop.client.attachments.create(body, name="a.png", mime="image/png", idempotency_key="k")

    before = kept_files(running)
    first, second = await keep(PNG), await keep(PNG)
    assert first.id == second.id
    with pytest.raises(ValidationFailed) as refused:
        await keep(PNG + b"!")
    assert refused.value.code == "idempotency_mismatch"
    assert len(kept_files(running) - before) == 1


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"data": {"file": "not a file"}}, 415),
        ({"files": {"other": ("a", b"x")}}, 422),
        ({"content": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, (400, 422)),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"json": {}}, 415),
    ],
)
async def test_what_is_no_upload_is_told_so(
    shop: Shop, http: httpx.AsyncClient, form: dict[str, object], status: int | tuple[int, ...]
) -> None:
    headers = {"Authorization": f"Bearer {shop.key}", **form.pop("headers", {})}  # type: ignore[dict-item]
    answer = await http.post(f"{shop.url}/v1/attachments", headers=headers, **form)  # type: ignore[arg-type]
    assert answer.status_code in (status if isinstance(status, tuple) else (status,)), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_file_of_another_shop_is_not_there(
    shop: Shop, another_shop: Callable[[], AbstractAsyncContextManager[Shop]]
) -> None:
    kept = await uploaded(shop)
    async with another_shop() as other, Client(other.url, other.key) as client:
        with pytest.raises(ShopbellError) as refused:
            await client.attachments.get(kept.id)
    assert refused.value.status == 404


# In messages


async def last_sent(customer: Customer, content: dict[str, Any]) -> Message:
    conversation = await customer.conversation()
    return await customer.shop.client.messages.send(conversation.id, content=content)


async def test_an_uploaded_file_is_sent_with_what_is_known_of_it(customer: Customer, provider: Wordings) -> None:
    await customer.writes("Show me")
    kept = await uploaded(customer.shop)
    sent = await last_sent(
        customer, {"kind": "media", "media": "image", "attachment": kept.id, "caption": "Here", "mime": "text/html"}
    )
    assert isinstance(sent.content, Shown)
    assert (sent.content.mime, sent.content.size, sent.content.name) == ("image/png", len(PNG), "red one.png")
    assert sent.content.url is not None
    (command,) = await eventually(lambda: said(provider), lambda sent: len(sent) == 1)
    assert isinstance(command, Media)
    assert (command.attachment, command.caption, command.url) == (kept.id, "Here", None)


async def said(provider: Wordings) -> list[object]:
    return [command.content for command in provider.sent]


async def test_an_album_is_one_message(customer: Customer, provider: Wordings) -> None:
    await customer.writes("Show me both")
    files = [await uploaded(customer.shop, PNG + bytes([n])) for n in range(2)]
    items = [{"media": "image", "attachment": kept.id} for kept in files]
    sent = await last_sent(customer, {"kind": "album", "items": [{"kind": "media", **item} for item in items]})
    (content,) = await eventually(lambda: said(provider), lambda sent: len(sent) == 1)
    assert isinstance(content, Album)
    assert [item.size for item in content.items] == [len(PNG) + 1] * 2
    assert sent.content.kind == "album"


async def test_what_the_channel_cannot_take_is_refused_now(
    customer: Customer, provider: Wordings, another_shop: Callable[[], AbstractAsyncContextManager[Shop]]
) -> None:
    await customer.writes("Show me")
    big = await uploaded(customer.shop, PNG * 5)
    gif = await uploaded(customer.shop, PNG, "a.gif", "image/gif")
    for content, code in (
        ({"attachment": big.id}, "unsupported"),
        ({"attachment": gif.id}, "unsupported"),
        ({"attachment": "att_00000000000000000000000000"}, "validation_failed"),
        ({"attachment": "nonsense"}, "validation_failed"),
        ({}, "validation_failed"),
    ):
        with pytest.raises(ValidationFailed) as refused:
            await last_sent(customer, {"kind": "media", "media": "image", **content})
        assert refused.value.code == code, content
    assert provider.sent == []


async def test_a_repeat_by_client_ref_finds_the_first(customer: Customer) -> None:
    await customer.writes("Show me")
    conversation, kept = await customer.conversation(), await uploaded(customer.shop)
    content = {"kind": "media", "media": "image", "attachment": kept.id}
    first, second = [
        await customer.shop.client.messages.send(conversation.id, content=content, client_ref="once") for _ in range(2)
    ]
    assert first.id == second.id
    other = await uploaded(customer.shop, PNG + b"2")
    with pytest.raises(Conflict):
        await customer.shop.client.messages.send(
            conversation.id, content={**content, "attachment": other.id}, client_ref="once"
        )


async def test_what_was_never_sent_is_thrown_away_after_a_day(scripted: Running, customer: Customer) -> None:
    await customer.writes("Show me")
    used, unused = await uploaded(customer.shop), await uploaded(customer.shop, PNG + b"unused")
    await last_sent(customer, {"kind": "media", "media": "image", "attachment": used.id})
    await execute(
        scripted,
        "UPDATE attachments SET created_at = now() - interval '25 hours' WHERE shop_id = :id",
        id=customer.shop.uuid,
    )
    await forget_unused(scripted.core.db, scripted.core.files)
    assert (await customer.shop.client.attachments.get(used.id)).state == "kept"
    with pytest.raises(ShopbellError):
        await customer.shop.client.attachments.get(unused.id)
    assert not any(path.name == unused.id for path in kept_files(scripted))
    assert any(path.name == used.id for path in kept_files(scripted))
