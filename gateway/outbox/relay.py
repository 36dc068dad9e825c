"""The relay: takes what is due out of the outbox by lease and hands it to the channels. The only place that retries.

No transaction is open while a channel works. A lease that runs out means that nobody knows how the attempt ended: where
the channel recognises a repeat it goes out again, elsewhere the message becomes `uncertain` and waits for a person.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from pydantic import TypeAdapter

from gateway.database import Database, driver
from gateway.outbox.queue import CLAIM, DONE, RELEASE, SUPERSEDED, backoff_s
from gateway.outbox.sweep import sweep
from shared.bus import Bus
from shared.commands import AnyCommand
from shared.connector import ChannelType
from shared.ids import CHANNEL, SHOP, show_id
from shared.subjects import FEED_GREW, MEDIA, OUTBOX_FILLED, Delivery, FeedGrew, OutboxFilled, outbound

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
SWEEP_EVERY_S: Final = 2.0
CLAIM_MAX: Final = 50


@dataclass(frozen=True)
class Share:
    """A part of the outbox with hands of its own, so that slow files never hold up an answer."""

    files: bool
    in_flight_max: int
    lease: timedelta


FILE_LEASE: Final = timedelta(minutes=5)  # also of an answer that carries one
ANSWERS: Final = Share(files=False, in_flight_max=200, lease=timedelta(seconds=30))
FILES: Final = Share(files=True, in_flight_max=16, lease=FILE_LEASE)
REPORTED: Final = frozenset({"send_message", "fetch_media"})  # how they ended comes back as a message of its own
COMMAND: Final[TypeAdapter[AnyCommand]] = TypeAdapter(AnyCommand)
RECLAIM: Final = "UPDATE outbox SET lease_until = now() WHERE state = 'sending'"
NOT_TAKEN_MAX_S: Final = 60.0  # whatever is the matter with the bus, it is not the provider who asks us to wait


class Relay:
    """Hands out what the outbox holds. Several may run on one database."""

    def __init__(self, db: Database, bus: Bus, types: Mapping[str, ChannelType], share: Share = ANSWERS) -> None:
        self._share = share
        self._db = db
        self._bus = bus
        self._types = types
        self._awake = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        bus.listen(OUTBOX_FILLED, self._wake)

    def _wake(self, _: OutboxFilled) -> None:
        self._awake.set()

    async def run(self) -> None:
        """Claim and hand out until cancelled; what is on its way then is waited for by `drain`."""
        while True:
            try:
                claimed = await self._claim()
            except Exception as error:
                log.warning("relay.claim_failed", error=type(error).__name__)
                claimed = []
            for row in claimed:
                task = asyncio.create_task(self._hand_out(row))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
            if len(claimed) < CLAIM_MAX:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._awake.wait()
                self._awake.clear()

    async def reclaim(self) -> None:
        """End every lease: for a process that knows itself alone and finds what one before it left."""
        async with self._db.system() as connection:
            await (await driver(connection)).execute(RECLAIM)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is on its way."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=timeout_s)

    async def _claim(self) -> list[Any]:
        free = min(CLAIM_MAX, self._share.in_flight_max - len(self._in_flight))
        if free <= 0:
            return []
        async with self._db.system() as connection:
            raw = await driver(connection)
            rows = await raw.fetch(CLAIM, free, self._share.lease, self._share.files, FILE_LEASE)
        return sorted(rows, key=lambda row: (row["priority"], row["id"]))

    async def _hand_out(self, row: Any) -> None:
        delivery = Delivery(
            channel_id=show_id(CHANNEL, row["channel_id"]),
            command=COMMAND.validate_json(row["command"]),
            attempt=row["attempts"] if row["kind"] in REPORTED else 0,
        )
        try:
            await self._bus.publish(outbound(row["channel_type"]), delivery)
        except Exception as error:  # it was not taken: nothing has left us
            log.warning("relay.not_taken", channel=delivery.channel_id, error=type(error).__name__)
            wait = min(backoff_s("chat", row["attempts"] - row["attempts_before"]), NOT_TAKEN_MAX_S)
            await self._execute(RELEASE, row["shop_id"], row["id"], timedelta(seconds=wait), row["attempts"])
            await self._execute(SUPERSEDED, row["shop_id"], row["id"])
            return
        if row["kind"] not in REPORTED:  # signals of the moment have no outcome to wait for
            await self._execute(DONE, row["shop_id"], row["id"])

    async def _execute(self, statement: str, *values: Any) -> None:
        try:
            async with self._db.system() as connection:
                await (await driver(connection)).execute(statement, *values)
        except Exception as error:  # the lease will lapse
            log.warning("relay.write_failed", error=type(error).__name__)

    async def sweep_for_ever(self) -> None:
        """Look after what was left behind, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep()
            except Exception as error:
                log.warning("relay.sweep_failed", error=type(error).__name__)

    async def sweep(self) -> None:
        """Settle what was interrupted or is over, and receipts that came before their message was known."""
        async with self._db.system() as connection:
            swept = await sweep(connection, self._types)
        for shop_id in {event.shop_id for event in swept.events}:
            self._bus.signal(FEED_GREW, FeedGrew(shop_id=show_id(SHOP, shop_id)))
        if swept.freed:
            self._awake.set()
        for report in swept.lost_files:
            await self._bus.publish(MEDIA, report)
