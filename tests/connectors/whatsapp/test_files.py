"""Files that customers send: fetched piece by piece from Meta alone, and what cannot be fetched is said in words."""

import hashlib
from typing import Any

import httpx
import pytest

from connectors.whatsapp.simulator import WhatsAppSimulator
from shared.connector import Fetched
from shared.content import Media
from shared.errors import Rejected, SendError, Unavailable, Uncertain
from shared.events import MessageReceived
from shared.simulator import Fault
from tests.connectors.whatsapp.given import ANA, TOKEN, connect, parsed, whatsapp_config, whatsapp_simulator


@pytest.fixture
def server() -> WhatsAppSimulator:
    return whatsapp_simulator()


def sent_media(server: WhatsAppSimulator) -> Media:
    (event,) = parsed(server.hook(server.waiting[-1:]).body)
    assert isinstance(event, MessageReceived)
    assert isinstance(event.content, Media)
    return event.content


async def fetch(
    media: Media, server: WhatsAppSimulator | None = None, http: httpx.AsyncClient | None = None
) -> tuple[bytes, Fetched]:
    pieces: list[bytes] = []

    async def keep(piece: bytes, /) -> None:
        pieces.append(piece)

    config = whatsapp_config(graph_url="https://graph.example")
    fetched = await connect(server, http=http, config=config).fetch_media(media, keep)
    return b"".join(pieces), fetched


@pytest.mark.parametrize(
    ("kind", "mime"),
    [("image", "image/jpeg"), ("audio", "audio/ogg"), ("video", "video/mp4"), ("sticker", "image/webp")],
)
async def test_every_kind_of_file_comes_whole(server: WhatsAppSimulator, kind: str, mime: str) -> None:
    data = bytes(range(256)) * 1000
    server.phones[ANA].sends_file(kind, data, mime=mime)
    assert await fetch(sent_media(server), server) == (data, Fetched(mime, None))


async def test_a_document_keeps_its_name(server: WhatsAppSimulator) -> None:
    server.phones[ANA].sends_file("document", b"PDF", mime="application/pdf", filename="bill.pdf")
    assert await fetch(sent_media(server), server) == (b"PDF", Fetched("application/pdf", "bill.pdf"))


async def test_a_file_that_is_gone_is_said(server: WhatsAppSimulator) -> None:
    with pytest.raises(Rejected, match="seven days"):
        await fetch(Media(media="file", source="404"), server)
    for handle in (None, "", "../me", "a/b"):
        with pytest.raises(Rejected, match="handle"):
            await fetch(Media(media="file", source=handle), server)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in (Fault.OK, Fault.SLOW)])
async def test_a_file_that_does_not_come_has_an_error_that_knows_its_fate(
    server: WhatsAppSimulator, fault: Fault
) -> None:
    handle = str(server.keep(b"some bytes", "image/png")["id"])
    for script in ([fault], [Fault.OK, fault]):
        server.script(script)
        with pytest.raises(SendError) as caught:
            await fetch(Media(media="image", source=handle), server)
        assert not isinstance(caught.value, Uncertain)
        assert TOKEN not in str(caught.value)


class Answers:
    """Graph and the hosts that it names, with every request that reached one."""

    def __init__(self, url: str, *, location: str | None = None, **known: Any) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self._url, self._location, self._known = url, location, known

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.url.host, request.headers.get("authorization")))
        if request.url.host == "graph.example" and "lookaside" not in request.url.path:
            return httpx.Response(200, json={"url": self._url, **self._known})
        if self._location is not None and request.url.path == "/first":
            return httpx.Response(302, headers={"location": self._location})
        return httpx.Response(200, content=b"bytes")

    @property
    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self))


MEDIA = Media(media="image", source="77")


@pytest.mark.parametrize("host", ["lookaside.fbsbx.com", "scontent.whatsapp.net", "graph.facebook.com"])
async def test_the_token_goes_to_meta(host: str) -> None:
    answers = Answers(f"https://{host}/x")
    assert (await fetch(MEDIA, http=answers.http))[0] == b"bytes"
    assert answers.asked[-1] == (host, f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x",
        "https://fbsbx.com.evil.example/x",
        "https://evilfbsbx.com/x",
        "http://lookaside.fbsbx.com/x",
        "http://graph.example/lookaside/1",
        "https://graph.example:8080/x",
        "https://lookaside.fbsbx.com@evil.example/x",
        "https://[::1/x",
        "file:///etc/passwd",
    ],
)
async def test_the_token_goes_nowhere_else(url: str) -> None:
    answers = Answers(url)
    with pytest.raises(Rejected, match="outside"):
        await fetch(MEDIA, http=answers.http)
    assert [host for host, _ in answers.asked] == ["graph.example"]
    answers = Answers("https://lookaside.fbsbx.com/first", location=url)
    with pytest.raises((Rejected, Unavailable)):
        await fetch(MEDIA, http=answers.http)
    assert {host for host, _ in answers.asked} == {"graph.example", "lookaside.fbsbx.com"}


async def test_a_redirect_within_meta_is_followed_and_a_circle_ends() -> None:
    answers = Answers("https://lookaside.fbsbx.com/first", location="https://scontent.fbcdn.net/second")
    assert (await fetch(MEDIA, http=answers.http))[0] == b"bytes"
    answers = Answers("https://lookaside.fbsbx.com/first", location="/first")
    with pytest.raises(Unavailable, match="circle"):
        await fetch(MEDIA, http=answers.http)


@pytest.mark.parametrize(
    ("known", "whole"),
    [
        ({"file_size": 5}, True),
        ({"file_size": "5", "sha256": hashlib.sha256(b"bytes").hexdigest()}, True),
        ({"sha256": "Jx0nbXrKpJ+LJJ8Fy2qI2zeLaMvhZzn9gQ1nlxv0Vws="}, False),
        ({"file_size": 6}, False),
        ({"sha256": "0" * 64}, False),
    ],
)
async def test_what_came_is_what_was_announced(known: dict[str, Any], whole: bool) -> None:
    answers = Answers("https://lookaside.fbsbx.com/x", **known)
    if whole:
        assert (await fetch(MEDIA, http=answers.http))[0] == b"bytes"
        return
    with pytest.raises(Unavailable):
        await fetch(MEDIA, http=answers.http)


async def test_a_file_without_an_address_is_asked_for_again() -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"id": "77"})))
    with pytest.raises(Unavailable, match="where"):
        await fetch(MEDIA, http=http)
