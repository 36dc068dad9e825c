"""What the site chat serves: sessions, sockets, lines over HTTP, and the widget's files."""

import json
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from connectors.webchat.capabilities import TEXT_MAX
from connectors.webchat.connector import WebChat
from connectors.webchat.inbound import CHANNEL_TYPE, address_of, message_from, parse_line
from connectors.webchat.socket import Session
from shared.connector import Host
from shared.errors import BusError, IngressError, UnknownChannel
from shared.signing import BadToken

WIDGET: Final = Path(__file__).parent / "widget"
BODY_MAX_BYTES: Final = 65_536
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
BAD_ORIGIN, NO_CHANNEL = 4003, 4004
FRAME_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; frame-ancestors {ancestors}"
)


class Refused(Exception):
    """A request over HTTP that is not served."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class SessionBody(BaseModel):
    token: str | None = None


Handler = Callable[[Request], Awaitable[Response]]


def chat_app(host: Host) -> Starlette:
    """Everything under `/chat`."""

    async def session(request: Request) -> Response:
        connector = await the_connector(host, request)
        try:
            body = SessionBody.model_validate_json(await read_body(request) or b"{}")
        except ValidationError:
            raise Refused(400, "malformed", "Send a JSON object, with the token you have, if any.") from None
        visitor, token, expires = connector.new_token(visitor_or_none(connector, body.token))
        return json_response(
            {
                "visitor": visitor,
                "token": token,
                "expires_at": expires,
                "title": connector.config.title,
                "greeting": connector.config.greeting,
                "limits": {"text": TEXT_MAX},
            }
        )

    async def message(request: Request) -> Response:
        connector = await the_connector(host, request)
        visitor = the_visitor(connector, request)
        raw = await read_body(request)
        line = parse_line(raw)
        address, now = address_of(connector.port.channel_id, visitor), connector.port.clock()
        await connector.port.publish([message_from(line, address=address, raw=raw, now=now, locale=None)])
        connector.changed(visitor)
        return json_response({"cmid": line.cmid})

    async def thread(request: Request) -> Response:
        connector = await the_connector(host, request)
        page = await connector.thread(the_visitor(connector, request), request.query_params.get("after"))
        return Response(page.model_dump_json(), media_type="application/json")

    async def socket(websocket: WebSocket) -> None:
        try:
            connector = await the_connector(host, websocket)
        except UnknownChannel:
            await refuse_socket(websocket, NO_CHANNEL, "no such channel")
            return
        except Refused:
            await refuse_socket(websocket, BAD_ORIGIN, "this page may not use this chat")
            return
        await Session(websocket, connector).run()

    return Starlette(
        routes=[
            Route("/{channel_id}/messages", answered(message), methods=["POST"]),
            Route("/{channel_id}/thread", answered(thread), methods=["GET"]),
            Route("/{channel_id}/session", answered(session), methods=["POST"]),
            WebSocketRoute("/{channel_id}/socket", socket),
        ]
    )


def widget_app(host: Host) -> Starlette:
    """Everything under `/widget`: the loader, and the frame with what it loads."""

    async def frame(request: Request) -> Response:
        connector = await find(host, request.query_params.get("channel", ""))
        ancestors = " ".join(["'self'", *connector.config.allowed_origins])
        headers = {"Content-Security-Policy": FRAME_CSP.format(ancestors=ancestors), "Referrer-Policy": "no-referrer"}
        return file_response("frame.html", headers)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in widget_files() or name.endswith(".html"):
            raise Refused(404, "not_found", "There is no such file.")
        return file_response(name, {"Cross-Origin-Resource-Policy": "cross-origin"})

    return Starlette(routes=[Route("/frame", answered(frame)), Route("/{name}", answered(file))])


def answered(handle: Handler) -> Handler:
    """The handler, with every refusal as problem+json."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except Refused as error:
            return problem(error.status, error.code, error.detail)
        except IngressError as error:
            return problem(error.http_status, error.code, error.detail)
        except BusError as error:
            return problem(503, "unavailable", error.detail, {"Retry-After": "1"})

    return answer


async def find(host: Host, channel_id: str) -> WebChat:
    connector = await host.find(CHANNEL_TYPE, channel_id)
    assert isinstance(connector, WebChat)
    return connector


async def the_connector(host: Host, connection: HTTPConnection) -> WebChat:
    """The chat that is addressed, if the page may use it; raises `UnknownChannel` or `Refused`."""
    connector = await find(host, connection.path_params["channel_id"])
    if not origin_allowed(connection.headers, connector.config.allowed_origins):
        raise Refused(403, "forbidden", "This page may not use this chat; add its origin to allowed_origins.")
    return connector


def origin_allowed(headers: Headers, allowed: tuple[str, ...]) -> bool:
    """The frame is of our own origin; a page that speaks to us itself must be allowed; programs send no Origin."""
    origin = headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return True
    return urlsplit(origin).netloc == headers.get("host")


def the_visitor(connector: WebChat, request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise BadToken("none")
        return connector.visitor_of(token)
    except BadToken:
        raise Refused(401, "unauthorized", "Get a token from /session and send it as Bearer.") from None


def visitor_or_none(connector: WebChat, token: str | None) -> str | None:
    try:
        return connector.visitor_of(token) if token else None
    except BadToken:
        return None


async def read_body(request: Request) -> bytes:
    """The body, read no further than the limit."""
    if int(request.headers.get("content-length") or 0) > BODY_MAX_BYTES:
        raise too_large()
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_MAX_BYTES:
            raise too_large()
        chunks.append(chunk)
    return b"".join(chunks)


def too_large() -> Refused:
    return Refused(413, "body_too_large", f"The body must not be larger than {BODY_MAX_BYTES} bytes.")


async def refuse_socket(websocket: WebSocket, code: int, reason: str) -> None:
    """Accept first: a browser does not learn the code of a handshake that was refused."""
    await websocket.accept()
    await websocket.close(code, reason)


def json_response(body: dict[str, object]) -> Response:
    return Response(json.dumps(body), media_type="application/json")


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    body = {
        "type": f"/problems/{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return Response(json.dumps(body), status_code=status, media_type="application/problem+json", headers=headers)


@cache
def widget_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in WIDGET.iterdir() if path.suffix in TYPES}


def file_response(name: str, headers: dict[str, str]) -> Response:
    return Response(
        widget_files()[name],
        media_type=TYPES[Path(name).suffix],
        headers={"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff", **headers},
    )


def demo_page(channel_id: str) -> bytes:
    """The demo shop's page with its chat."""
    return widget_files()["demo.html"].replace(b"{{channel}}", channel_id.encode())
