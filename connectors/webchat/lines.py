"""A line over HTTP: the hot path of the site chat, as plain ASGI. Each layer left out here is paid back per message."""

import json
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from connectors.webchat.connector import WebChat
from connectors.webchat.inbound import address_of, message_from, parse_line
from connectors.webchat.origins import foreign_page, origin_allowed
from connectors.webchat.refusals import BODY_MAX_BYTES, Refused, refusal_of, too_large, unauthorized
from shared.connector import Host
from shared.errors import BusError, IngressError
from shared.signing import BadToken

NEEDED: Final = frozenset({b"authorization", b"origin", b"host", b"content-length"})
JSON: Final = (b"content-type", b"application/json")


async def post_line(host: Host, channel_type: str, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /chat/{channel_id}/messages`: 200 means committed."""
    if scope["method"] != "POST":
        refused = Refused(405, "method_not_allowed", "Lines are sent by POST.", headers=((b"allow", b"POST"),))
        await answer(send, refused.status, *refused.answer())
        return
    headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in NEEDED}
    try:
        connector = await host.find(channel_type, scope["path"].split("/")[-2])
        assert isinstance(connector, WebChat)
        cmid = await take_line(connector, headers, receive)
    except (Refused, IngressError, BusError) as error:
        refused = refusal_of(error)
        await answer(send, refused.status, *refused.answer())
        return
    await answer(send, 200, [JSON], json.dumps({"cmid": cmid}).encode())


async def take_line(connector: WebChat, headers: dict[bytes, str], receive: Receive) -> str:
    """Publish a visitor's line; its `cmid`. Raises `Refused`, `Malformed`, `BusError`."""
    if not origin_allowed(headers.get(b"origin"), headers.get(b"host"), connector.config.allowed_origins):
        raise foreign_page()
    visitor = visitor_of(connector, headers.get(b"authorization", ""))
    raw = await read_body(headers.get(b"content-length"), receive)
    line, port = parse_line(raw), connector.port
    address = address_of(port.channel_id, visitor)
    await port.publish([message_from(line, address=address, raw=raw, now=port.clock(), locale=None)])
    connector.changed(visitor)
    return line.cmid


def visitor_of(connector: WebChat, authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise BadToken("none")
        return connector.visitor_of(token)
    except BadToken:
        raise unauthorized() from None


async def read_body(content_length: str | None, receive: Receive, most: int = BODY_MAX_BYTES) -> bytes:
    """The body, read no further than the limit."""
    if content_length is not None and int(content_length) > most:
        raise too_large(most)
    body: bytes = b""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "malformed", "The body ended too early.")
        body += message.get("body", b"")
        if len(body) > most:
            raise too_large(most)
        if not message.get("more_body", False):
            return body


async def answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
