"""What the site chat serves: sessions, sockets, lines and forms over HTTP, and the widget's files."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from connectors.webchat.capabilities import TEXT_MAX
from connectors.webchat.connector import WebChat
from connectors.webchat.forms.route import answer_form
from connectors.webchat.inbound import CHANNEL_TYPE
from connectors.webchat.lines import post_line, read_body, visitor_of
from connectors.webchat.origins import foreign_page, open_to_pages, origin_allowed
from connectors.webchat.refusals import Refused, problem, refusal_of
from connectors.webchat.socket import Session
from shared.connector import ASGIApp, Host
from shared.errors import BusError, IngressError, UnknownChannel
from shared.signing import BadToken

WIDGET: Final = Path(__file__).parent / "widget"
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
BAD_ORIGIN, NO_CHANNEL = 4003, 4004
TRY_AGAIN: Final = 1013  # registered for WebSocket: try again later
FRAME_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; frame-ancestors {ancestors}"
)


# The files load each other by name: all of them are of one version only if a browser asks for each anew.
FILE_HEADERS: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class File:
    """A file of the widget. `tag` is the same as long as its content is."""

    content: bytes
    tag: str


class SessionBody(BaseModel):
    token: str | None = None


Handler = Callable[[Request], Awaitable[Response]]


def chat_app(host: Host) -> ASGIApp:
    """Everything under `/chat`."""

    async def session(request: Request) -> Response:
        connector = await the_connector(host, request)
        try:
            body = SessionBody.model_validate_json(
                await read_body(request.headers.get("content-length"), request.receive) or b"{}"
            )
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
                "answering": await connector.is_answering(),
                "form": {"answer_hours": connector.config.form_answer_hours},
            }
        )

    async def form(request: Request) -> Response:
        return await answer_form(host, await the_connector(host, request), request)

    async def thread(request: Request) -> Response:
        connector = await the_connector(host, request)
        page = await connector.thread(
            visitor_of(connector, request.headers.get("authorization", "")), request.query_params.get("after")
        )
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
        except BusError:
            await refuse_socket(websocket, TRY_AGAIN, "not possible just now")
            return
        await Session(websocket, connector).run()

    routes = Starlette(
        routes=[
            Route("/chat/forms/{channel_id}", answered(form), methods=["POST"]),
            Route("/chat/{channel_id}/thread", answered(thread), methods=["GET"]),
            Route("/chat/{channel_id}/session", answered(session), methods=["POST"]),
            WebSocketRoute("/chat/{channel_id}/socket", socket),
        ],
        exception_handlers={HTTPException: on_http_exception},
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/messages") and scope["path"].count("/") == 3:
            await post_line(host, CHANNEL_TYPE, scope, receive, send)
        else:
            await routes(scope, receive, send)

    return open_to_pages(host, app)


def widget_app(host: Host) -> ASGIApp:
    """Everything under `/widget`: the loader, and the frame with what it loads."""

    async def frame(request: Request) -> Response:
        connector = await find(host, request.query_params.get("channel", ""))
        ancestors = " ".join(["'self'", *connector.config.allowed_origins])
        headers = {"Content-Security-Policy": FRAME_CSP.format(ancestors=ancestors), "Referrer-Policy": "no-referrer"}
        return Response(widget_files()["frame.html"].content, media_type="text/html", headers=FILE_HEADERS | headers)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in widget_files() or name.endswith(".html"):
            raise Refused(404, "not_found", "There is no such file.")
        return file_response(request, name)

    return Starlette(
        routes=[Route("/widget/frame", answered(frame)), Route("/widget/{name}", answered(file))],
        exception_handlers={HTTPException: on_http_exception},
    )


def answered(handle: Handler) -> Handler:
    """The handler, with every refusal as problem+json."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except (Refused, IngressError, BusError) as error:
            return problem(refusal_of(error))

    return answer


async def find(host: Host, channel_id: str) -> WebChat:
    connector = await host.find(CHANNEL_TYPE, channel_id)
    assert isinstance(connector, WebChat)
    return connector


async def the_connector(host: Host, connection: HTTPConnection) -> WebChat:
    """The chat that is addressed, if the page may use it; raises `UnknownChannel` or `Refused`."""
    connector = await find(host, connection.path_params["channel_id"])
    headers = connection.headers
    if not origin_allowed(headers.get("origin"), headers.get("host"), connector.config.allowed_origins):
        raise foreign_page()
    return connector


def visitor_or_none(connector: WebChat, token: str | None) -> str | None:
    try:
        return connector.visitor_of(token) if token else None
    except BadToken:
        return None


async def refuse_socket(websocket: WebSocket, code: int, reason: str) -> None:
    """Accept first: a browser does not learn the code of a handshake that was refused."""
    await websocket.accept()
    await websocket.close(code, reason)


def json_response(body: dict[str, object]) -> Response:
    return Response(json.dumps(body), media_type="application/json")


def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses, in the form of every other refusal."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return problem(Refused(405, "method_not_allowed", f"{request.method} is not possible here."))
    return problem(Refused(error.status_code, "not_found", "There is nothing at this address."))


@cache
def widget_files() -> dict[str, File]:
    return {path.name: new_file(path.read_bytes()) for path in WIDGET.iterdir() if path.suffix in TYPES}


def new_file(content: bytes) -> File:
    return File(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def file_response(request: Request, name: str) -> Response:
    """The file, or that the browser has it already."""
    file = widget_files()[name]
    headers = FILE_HEADERS | {"ETag": file.tag, "Cross-Origin-Resource-Policy": "cross-origin"}
    if has(request.headers.get("if-none-match", ""), file.tag):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=TYPES[Path(name).suffix], headers=headers)


def has(tags: str, tag: str) -> bool:
    """Whether the tag is among those of an If-None-Match."""
    known = [one.strip().removeprefix("W/") for one in tags.split(",")]
    return tag in known or known == ["*"]


def demo_page(channel_id: str) -> bytes:
    """The demo shop's page with its chat."""
    return widget_files()["demo.html"].content.replace(b"{{channel}}", channel_id.encode())
