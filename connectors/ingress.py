"""`/hooks/{type}/{channel_id}`: what providers tell us, answered only when it is safe."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared.connector import ASGIApp, Connector, Hook, HookReply, Host
from shared.errors import BusError, IngressError, Malformed, UnknownChannel
from shared.events import Address, InboundEvent, Reason, Undigested

log = structlog.get_logger(__name__)

KEPT_HEADERS: Final = ("content-type", "user-agent")  # of a payload in quarantine; never a signature


def ingress_app(host: Host, mounts: Mapping[str, ASGIApp]) -> ASGIApp:
    """Hooks for all, and what each type serves of its own, by the first part of the path."""

    async def take(request: Request) -> Response:
        return await answer(host, request)

    hooks = Starlette(routes=[Route("/hooks/{type}/{channel_id}", take, methods=["GET", "POST"])])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        first = scope["path"].split("/", 2)[1]
        await mounts.get(f"/{first}", hooks)(scope, receive, send)

    return app


async def answer(host: Host, request: Request) -> Response:
    try:
        reply = await take_in(host, request)
    except IngressError as error:
        if isinstance(error, UnknownChannel):  # to the outside the same as a wrong signature
            return Response(status_code=401)
        return Response(status_code=error.http_status)
    except BusError:
        return Response(status_code=503, headers={"Retry-After": "1"})
    return Response(reply.body, status_code=reply.status, headers=dict(reply.headers))


async def take_in(host: Host, request: Request) -> HookReply:
    connector = await host.find(request.path_params["type"], request.path_params["channel_id"])
    hook = Hook(
        request.method,
        {name.lower(): value for name, value in request.headers.items()},
        dict(request.query_params),
        await limited_body(request, connector.channel_type.hook_max_bytes),
    )
    if hook.method == "GET":
        return connector.handshake(hook)
    connector.verify(hook)
    events = parse_or_keep(connector, hook)
    if events:
        await connector.publish(events)
        host.acknowledge(connector, events)
    return HookReply()


async def limited_body(request: Request, most: int) -> bytes:
    """The body, read no further than the limit."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise TooLarge(f"This hook takes {most} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


class TooLarge(Malformed):
    """The body is larger than any provider sends."""

    code = "too_large"
    http_status = 413


def parse_or_keep(connector: Connector, hook: Hook) -> Sequence[InboundEvent]:
    """The events of an authentic request. If the connector stumbles, the whole request as one event for quarantine."""
    try:
        return connector.parse(hook)
    except IngressError as error:
        if error.http_status == 200:
            return ()
        raise
    except Exception as error:
        log.exception("connector.parse_failed", channel=connector.port.channel_id)
        kind = connector.channel_type.name
        return (
            Undigested(
                address=Address(channel=kind, account=connector.port.channel_id, peer="unknown"),
                occurred_at=connector.port.clock(),
                raw=hook.body,
                external_id=hashlib.blake2b(hook.body, digest_size=16).hexdigest(),
                headers={name: hook.headers[name] for name in KEPT_HEADERS if name in hook.headers},
                reason=Reason(code="parse_failed", detail=json.dumps(f"{type(error).__name__} in the connector")[1:-1]),
            ),
        )
