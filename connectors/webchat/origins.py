"""Which pages may use a chat, and what their browsers want to be told before a page may read an answer (CORS)."""

from typing import Final
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from connectors.webchat.connector import WebChat
from connectors.webchat.inbound import CHANNEL_TYPE
from connectors.webchat.refusals import Refused, problem, refusal_of
from shared.connector import ASGIApp, Host
from shared.errors import BusError, IngressError

Headers = list[tuple[bytes, bytes]]

FORMS: Final = "forms"  # /chat/forms/{channel_id}; everything else is /chat/{channel_id}/...
METHODS: Final = {"session": b"POST", "messages": b"POST", "thread": b"GET"}
VARY: Final = (b"vary", b"Origin")
EXPOSED: Final = (b"access-control-expose-headers", b"retry-after, x-request-id")
PERMISSION: Final = [
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"7200"),  # the longest that Chromium remembers it
]


def origin_allowed(origin: str | None, host: str | None, allowed: tuple[str, ...]) -> bool:
    """The frame is of our own origin; a page that speaks to us itself must be allowed; programs send no Origin."""
    if origin is None or "*" in allowed or origin in allowed:
        return True
    return urlsplit(origin).netloc == host


def open_to_pages(host: Host, app: ASGIApp) -> ASGIApp:
    """The app under `/chat`, with answers that the pages in `allowed_origins` may read, and no others."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        origin = header(scope, b"origin") if scope["type"] == "http" else None
        if origin is None:
            await app(scope, receive, send)
            return
        refused = await refusal(host, scope, origin)
        told = [VARY] if refused else [(b"access-control-allow-origin", origin), EXPOSED, VARY]
        method = method_asked_for(scope)
        if method is None:
            await app(scope, receive, with_headers(send, told))
            return
        answer = problem(refused) if refused else Response(status_code=204)
        answer.raw_headers += told if refused else [*told, (b"access-control-allow-methods", method), *PERMISSION]
        await answer(scope, receive, send)

    return opened


async def refusal(host: Host, scope: Scope, origin: bytes) -> Refused | None:
    """Why the page may not use the chat that is addressed; None if it may."""
    try:
        connector = await host.find(CHANNEL_TYPE, channel_of(scope))
    except (IngressError, BusError) as error:
        return refusal_of(error)
    assert isinstance(connector, WebChat)
    own = (header(scope, b"host") or b"").decode("latin-1")
    may = origin_allowed(origin.decode("latin-1"), own, connector.config.allowed_origins)
    return None if may else foreign_page()


def foreign_page() -> Refused:
    return Refused(403, "forbidden", "This page may not use this chat; add its origin to allowed_origins.")


def method_asked_for(scope: Scope) -> bytes | None:
    """The method of the address, if a browser asks beforehand whether a page may use it."""
    if scope["method"] != "OPTIONS" or header(scope, b"access-control-request-method") is None:
        return None
    place: list[str] = scope["path"].split("/")
    if len(place) != 4:
        return None
    return b"POST" if place[2] == FORMS else METHODS.get(place[3])


def channel_of(scope: Scope) -> str:
    """The id in `/chat/{channel_id}/...` or `/chat/forms/{channel_id}`."""
    place: list[str] = [*scope["path"].split("/"), "", ""]
    return place[3] if place[2] == FORMS else place[2]


def header(scope: Scope, name: bytes) -> bytes | None:
    values: Headers = scope["headers"]
    return next((value for key, value in values if key == name), None)


def with_headers(send: Send, more: Headers) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sending
