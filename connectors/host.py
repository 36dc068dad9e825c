"""Runs the connectors of a process: takes hooks in, hands commands out, and says how each attempt ended."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import httpx
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared.bus import Bus
from shared.clock import Clock
from shared.commands import AnyCommand, DeleteMessage, EditMessage, MarkRead, SendMessage, SetTyping
from shared.connector import ASGIApp, Connector, Hook, HookReply, Port
from shared.errors import BusError, IngressError, Malformed, SendError, Unavailable, Uncertain, UnknownChannel
from shared.events import (
    Address,
    Evidence,
    Fate,
    InboundEvent,
    Reason,
    ReceiptReported,
    SendOutcome,
    Status,
    Undigested,
)
from shared.subjects import (
    CHANNEL,
    CHANNEL_CHANGED,
    INBOUND,
    ChannelChanged,
    ChannelQuestion,
    Delivery,
    InboundBatch,
    ReparseAnswer,
    ReparseRequest,
    outbound,
    reparse,
)

log = structlog.get_logger(__name__)

HOOK_MAX_BYTES: Final = 3_000_000  # Meta's largest webhook body; nobody else sends more
OUTCOME_TRIES: Final = 5
KEPT_HEADERS: Final = ("content-type", "user-agent")  # of a payload in quarantine; never a signature


class ConnectorHost:
    """All channels of the given types, each with one connector that lives until its settings change."""

    def __init__(
        self, types: Mapping[str, type[Connector]], *, bus: Bus, http: httpx.AsyncClient, clock: Clock
    ) -> None:
        self._types = types
        self._bus = bus
        self._http = http
        self._clock = clock
        self._connectors: dict[str, Connector] = {}
        self._finding: dict[str, asyncio.Lock] = {}
        self._closing: set[asyncio.Task[None]] = set()
        bus.listen(CHANNEL_CHANGED, self._forget)
        for name in types:
            bus.consume(outbound(name), self.deliver)
            bus.serve(reparse(name), self._reparse)

    async def find(self, channel_type: str, channel_id: str) -> Connector:
        """The connector of a channel; raises `UnknownChannel`."""
        known = self._connectors.get(channel_id)
        if known is not None and known.channel_type.name == channel_type:
            return known
        if channel_type not in self._types or known is not None:
            raise UnknownChannel(f"There is no channel {channel_id} of type {channel_type} here.")
        async with self._finding.setdefault(channel_id, asyncio.Lock()):
            known = self._connectors.get(channel_id)
            if known is None:
                known = self._connectors[channel_id] = await self._make(channel_type, channel_id)
        self._finding.pop(channel_id, None)
        return known

    async def _make(self, channel_type: str, channel_id: str) -> Connector:
        kind = self._types.get(channel_type)
        if kind is None:
            raise UnknownChannel(f"No connector of type {channel_type} runs here.")
        answer = await self._bus.request(CHANNEL, ChannelQuestion(channel_type=channel_type, channel_id=channel_id))
        if answer.channel is None or not answer.channel.active:
            self._finding.pop(channel_id, None)
            raise UnknownChannel(f"There is no active channel {channel_id} of type {channel_type}.")
        config = kind.channel_type.config.model_validate(answer.channel.config)

        async def publish(events: Sequence[InboundEvent], /) -> None:
            await self._bus.publish(INBOUND, InboundBatch.model_construct(channel_id=channel_id, events=tuple(events)))

        return kind(Port(channel_id, config, publish, self._bus, self._http, self._clock))

    def _forget(self, hint: ChannelChanged) -> None:
        connector = self._connectors.pop(hint.channel_id, None)
        if connector is not None:
            task = asyncio.get_running_loop().create_task(connector.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for connector in tuple(self._connectors.values()):
            await connector.close()
        self._connectors.clear()

    # Theirs to ours

    def app(self) -> ASGIApp:
        """`/hooks/{type}/{channel_id}` for all, and what each type serves of its own."""
        hooks = Starlette(routes=[Route("/hooks/{type}/{channel_id}", self._ingress, methods=["GET", "POST"])])
        mounts = {path: app for kind in self._types.values() for path, app in kind.mounts(self).items()}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            first = scope["path"].split("/", 2)[1]
            await mounts.get(f"/{first}", hooks)(scope, receive, send)

        return app

    async def _ingress(self, request: Request) -> Response:
        try:
            reply = await self._take(request)
        except IngressError as error:
            if isinstance(error, UnknownChannel):  # to the outside the same as a wrong signature
                return Response(status_code=401)
            return Response(status_code=error.http_status)
        except BusError:
            return Response(status_code=503, headers={"Retry-After": "1"})
        return Response(reply.body, status_code=reply.status, headers=dict(reply.headers))

    async def _take(self, request: Request) -> HookReply:
        connector = await self.find(request.path_params["type"], request.path_params["channel_id"])
        hook = Hook(
            request.method,
            {name.lower(): value for name, value in request.headers.items()},
            dict(request.query_params),
            await limited_body(request),
        )
        if hook.method == "GET":
            return connector.handshake(hook)
        connector.verify(hook)
        events = parse_or_keep(connector, hook)
        if events:
            await connector.port.publish(events)
        return HookReply()

    async def _reparse(self, question: ReparseRequest) -> ReparseAnswer:
        """Take apart what once could not be; its signature was checked when it came."""
        for name in self._types:
            try:
                connector = await self.find(name, question.channel_id)
            except UnknownChannel:
                continue
            try:
                events = connector.parse(Hook("POST", question.headers, {}, question.body))
            except IngressError as error:
                return ReparseAnswer(problem=error.detail)
            except Exception as error:
                return ReparseAnswer(problem=f"{type(error).__name__} in the connector")
            return ReparseAnswer(events=tuple(events))
        return ReparseAnswer(problem="the channel is not active")

    # Ours to theirs

    async def deliver(self, delivery: Delivery) -> None:
        """Carry out a command; how a send ended goes back as an event. Returns once that is safe."""
        command = delivery.command
        if not isinstance(command, SendMessage):
            await self._signal(delivery.channel_id, command)
            return
        try:
            connector = await self.find(command.address.channel, delivery.channel_id)
            sent = await connector.send(command)
        except SendError as error:
            report = failed(command, delivery.attempt, error, self._clock())
        except (UnknownChannel, BusError) as error:
            report = failed(command, delivery.attempt, Unavailable(error.detail), self._clock())
        except Exception as error:
            log.exception("connector.send_failed", channel=delivery.channel_id, message=command.message_id)
            doubt = Uncertain(f"{type(error).__name__} in the connector; it may have arrived.")
            report = failed(command, delivery.attempt, doubt, self._clock())
        else:
            report = ReceiptReported(
                address=command.address,
                occurred_at=self._clock(),
                status=Status.SENT if sent.confirmed else Status.ACCEPTED,
                evidence=Evidence.PROVIDER_ACCEPT,
                message_id=command.message_id,
                outcome=SendOutcome(attempt=delivery.attempt, external_ids=sent.external_ids, degraded=sent.degraded),
            )
        await self._report(delivery.channel_id, report)

    async def _report(self, channel_id: str, report: ReceiptReported) -> None:
        """What was sent must be known: worth several tries. Then the lease lapses, and the relay sees to it."""
        for attempt in range(OUTCOME_TRIES):
            try:
                await self._bus.publish(INBOUND, InboundBatch(channel_id=channel_id, events=(report,)))
            except BusError:
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                return
        log.error("connector.outcome_lost", channel=channel_id, message=report.message_id)

    async def _signal(self, channel_id: str, command: AnyCommand) -> None:
        """Signals of the moment: tried once, and a failure is only logged."""
        try:
            connector = await self.find(command.address.channel, channel_id)
            match command:
                case MarkRead():
                    await connector.mark_read(command)
                case SetTyping():
                    await connector.set_typing(command)
                case EditMessage():
                    await connector.edit(command)
                case DeleteMessage():
                    await connector.delete(command)
        except (SendError, IngressError, BusError) as error:
            log.info("connector.signal_failed", channel=channel_id, kind=command.kind, code=error.code)
        except Exception:
            log.exception("connector.signal_failed", channel=channel_id, kind=command.kind)


async def limited_body(request: Request) -> bytes:
    """The body, read no further than the limit."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > HOOK_MAX_BYTES:
            raise TooLarge(f"A hook takes {HOOK_MAX_BYTES} bytes.")
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


def failed(command: SendMessage, attempt: int, error: SendError, now: datetime) -> ReceiptReported:
    """What to report of an attempt that did not work out."""
    return ReceiptReported(
        address=command.address,
        occurred_at=now,
        status=Status.UNCERTAIN if error.fate is Fate.ASK else Status.FAILED,
        evidence=Evidence.NONE,
        message_id=command.message_id,
        reason=Reason(code=error.code, detail=error.detail),
        outcome=SendOutcome(attempt=attempt, fate=error.fate, retry_after_s=error.retry_after_s),
    )
