"""Carries commands out to the channels, at the speed that the providers allow, and says how each attempt ended."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from connectors.pace import Pace
from shared.bus import Bus
from shared.clock import Clock
from shared.commands import AnyCommand, DeleteMessage, EditMessage, FetchMedia, MarkRead, SendMessage, SetTyping
from shared.connector import Connector, Fetched
from shared.content import Media
from shared.errors import (
    BusError,
    BusUnavailable,
    IngressError,
    SendError,
    Throttled,
    Unavailable,
    Uncertain,
    UnknownChannel,
)
from shared.events import Evidence, Fate, Reason, ReceiptReported, SendOutcome, Status
from shared.files import FileStore
from shared.subjects import INBOUND, MEDIA, Delivery, InboundBatch, MediaReport

log = structlog.get_logger(__name__)

OUTCOME_TRIES: Final = 5
WAIT_MAX_S: Final = 5.0  # for a turn, with the command in hand; beyond that it goes back to the outbox
HOLD_S: Final = 5.0  # for a whole account that was throttled without a word of how long
FETCH_TIMEOUT_S: Final = 120.0
MEDIA_MAX_BYTES: Final = 100 * 1024 * 1024  # WhatsApp's documents are the largest that any channel hands over

Find = Callable[[str, str], Awaitable[Connector]]


class Courier:
    """Hands each command to its connector. Retries belong to whoever sent the command."""

    def __init__(self, find: Find, *, bus: Bus, clock: Clock, files: FileStore) -> None:
        self._find = find
        self._bus = bus
        self._clock = clock
        self._files = files
        self._paces: dict[str, Pace] = {}

    def forget(self, channel_id: str) -> None:
        self._paces.pop(channel_id, None)

    async def deliver(self, delivery: Delivery) -> None:
        """Carry out a command; how a send or a fetch ended goes back as an event. Returns once that is safe."""
        match delivery.command:
            case SendMessage():
                await self._send(delivery, delivery.command)
            case FetchMedia():
                await self._fetch(delivery, delivery.command)
            case _:
                await self._signal(delivery.channel_id, delivery.command)

    async def _send(self, delivery: Delivery, command: SendMessage) -> None:
        try:
            connector = await self._find(command.address.channel, delivery.channel_id)
            pace = self._pace(delivery.channel_id, connector)
            await turn(pace, command.address.peer)
            sent = await connector.send(command)
        except SendError as error:
            self._slow_down(delivery.channel_id, error)
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
        batch = InboundBatch(channel_id=delivery.channel_id, events=(report,))
        await self._report(delivery, lambda: self._bus.publish(INBOUND, batch))

    def _pace(self, channel_id: str, connector: Connector) -> Pace:
        if channel_id not in self._paces:
            self._paces[channel_id] = Pace(connector.rate)
        return self._paces[channel_id]

    def _slow_down(self, channel_id: str, error: SendError) -> None:
        if isinstance(error, Throttled) and error.whole_account and channel_id in self._paces:
            self._paces[channel_id].hold(error.retry_after_s or HOLD_S)

    async def _report(self, delivery: Delivery, publish: Callable[[], Awaitable[None]]) -> None:
        """What became of it must be known: worth several tries. Then the lease lapses, and the relay sees to it."""
        for attempt in range(OUTCOME_TRIES):
            try:
                await publish()
            except BusError:
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                return
        log.error("connector.outcome_lost", channel=delivery.channel_id, kind=delivery.command.kind)

    # Files

    async def _fetch(self, delivery: Delivery, command: FetchMedia) -> None:
        try:
            report = await self._keep(delivery, command)
        except SendError as error:
            report = not_kept(delivery, command, error)
        except (UnknownChannel, BusError) as error:
            report = not_kept(delivery, command, Unavailable(error.detail))
        except TimeoutError:
            report = not_kept(delivery, command, Unavailable("The file did not come in time."))
        except Exception as error:
            log.exception("connector.fetch_failed", channel=delivery.channel_id, message=command.message_id)
            report = not_kept(delivery, command, Unavailable(f"{type(error).__name__} in the connector."))
        await self._report(delivery, lambda: self._bus.publish(MEDIA, report))

    async def _keep(self, delivery: Delivery, command: FetchMedia) -> MediaReport:
        connector = await self._find(command.address.channel, delivery.channel_id)
        most = largest(connector, command.media)
        async with (
            asyncio.timeout(FETCH_TIMEOUT_S),
            self._files.writer(command.attachment, max_bytes=most) as writer,
        ):
            fetched: Fetched = await connector.fetch_media(command.media, writer.write)
        return MediaReport(
            channel_id=delivery.channel_id,
            message_id=command.message_id,
            attachment=command.attachment,
            attempt=delivery.attempt,
            size=writer.size,
            mime=fetched.mime or command.media.mime,
            name=fetched.name or command.media.name,
            sha256=writer.sha256,
        )

    # Signals

    async def _signal(self, channel_id: str, command: AnyCommand) -> None:
        """Signals of the moment are tried once, and a failure is only logged.

        That a customer's message was read is more than a moment: raises `BusUnavailable` where it may be told later.
        """
        try:
            await carry_out(await self._find(command.address.channel, channel_id), command)
        except (SendError, IngressError, BusError) as error:
            log.info("connector.signal_failed", channel=channel_id, kind=command.kind, code=error.code)
            if isinstance(command, MarkRead) and isinstance(error, SendError) and error.fate is Fate.LATER:
                raise BusUnavailable(error.detail) from None
        except Exception:
            log.exception("connector.signal_failed", channel=channel_id, kind=command.kind)


async def carry_out(connector: Connector, command: AnyCommand) -> None:
    match command:
        case MarkRead():
            await connector.mark_read(command)
        case SetTyping():
            await connector.set_typing(command)
        case EditMessage():
            await connector.edit(command)
        case DeleteMessage():
            await connector.delete(command)
        case _:
            raise AssertionError(f"{command.kind} is no signal")


async def turn(pace: Pace, peer: str) -> None:
    """Wait until this partner may be written to; raises `Throttled` if that takes too long."""
    while (wait := pace.wait_s(peer)) > 0:
        if wait > WAIT_MAX_S:
            raise Throttled("Too much was sent on this channel in a short time.", retry_after_s=wait)
        await asyncio.sleep(wait)


def largest(connector: Connector, media: Media) -> int:
    """Bytes that are kept of a file of this kind."""
    rule = connector.channel_type.capabilities.media.get(media.media)
    return min(rule.max_bytes or MEDIA_MAX_BYTES, MEDIA_MAX_BYTES) if rule else MEDIA_MAX_BYTES


def not_kept(delivery: Delivery, command: FetchMedia, error: SendError) -> MediaReport:
    """To ask again what may have come is harmless here: nobody sees a file arrive twice."""
    return MediaReport(
        channel_id=delivery.channel_id,
        message_id=command.message_id,
        attachment=command.attachment,
        attempt=delivery.attempt,
        reason=Reason(code=error.code, detail=error.detail),
        fate=Fate.LATER if error.fate is Fate.ASK else error.fate,
        retry_after_s=error.retry_after_s,
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
        outcome=SendOutcome(
            attempt=attempt, external_ids=error.sent, fate=error.fate, retry_after_s=error.retry_after_s
        ),
    )
