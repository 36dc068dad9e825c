"""The relay: takes what is due out of the outbox by lease and hands it to the channels. The only place that retries.

No transaction is open while a channel works. A lease that runs out means that nobody knows how the attempt ended: where
the channel recognises a repeat it goes out again, elsewhere the message becomes `uncertain` and waits for a person.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import structlog
from pydantic import TypeAdapter

from gateway.database import Database, driver
from gateway.events.feed import append
from gateway.outbox.queue import CLAIM, DONE, LAPSED
from gateway.receipts import ledger
from gateway.receipts.line import Row
from shared.bus import Bus
from shared.commands import AnyCommand
from shared.connector import ChannelType
from shared.events import Evidence, Reason, Status
from shared.ids import CHANNEL, SHOP, show_id
from shared.subjects import FEED_GREW, OUTBOX_FILLED, Delivery, FeedGrew, OutboxFilled, outbound

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 1.0
SWEEP_EVERY_S: Final = 2.0
CLAIM_MAX: Final = 50
IN_FLIGHT_MAX: Final = 200
LEASE: Final = timedelta(seconds=30)
FETCH_LEASE: Final = timedelta(minutes=5)  # a large file takes its time
REPORTED: Final = frozenset({"send_message", "fetch_media"})  # how they ended comes back as a message of its own
COMMAND: Final[TypeAdapter[AnyCommand]] = TypeAdapter(AnyCommand)
RELEASE: Final = (
    "UPDATE outbox SET state = 'ready', lease_until = NULL, available_at = now() + $3::interval "
    "WHERE shop_id = $1 AND id = $2 AND attempts = $4 AND state = 'sending'"
)
RECLAIM: Final = "UPDATE outbox SET lease_until = now() WHERE state = 'sending'"
UNCERTAIN: Final = Reason(
    code="lease_lapsed", detail="The attempt was interrupted and nobody knows whether it arrived; ask or send it again."
)


class Relay:
    """Hands out what the outbox holds. Several may run on one database."""

    def __init__(self, db: Database, bus: Bus, types: Mapping[str, ChannelType]) -> None:
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
        free = min(CLAIM_MAX, IN_FLIGHT_MAX - len(self._in_flight))
        if free <= 0:
            return []
        async with self._db.system() as connection:
            raw = await driver(connection)
            rows = await raw.fetch(CLAIM, free, LEASE, FETCH_LEASE)
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
            await self._execute(RELEASE, row["shop_id"], row["id"], timedelta(seconds=1), row["attempts"])
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
        """Settle lapsed leases, and receipts that came before the message they speak of was known."""
        async with self._db.system() as connection:
            raw = await driver(connection)
            lapsed = await raw.fetch(LAPSED)
            doubtful = [row for row in lapsed if not self._may_repeat(row)]
            for row in lapsed:
                if self._may_repeat(row):
                    await raw.execute(RELEASE, row["shop_id"], row["id"], timedelta(0), row["attempts"])
                else:
                    await raw.execute(DONE, row["shop_id"], row["id"])
            await ledger.record(raw, [uncertain(row) for row in doubtful if row["message_id"]])
            adopted = await raw.fetch(ledger.ADOPT, None)
            touched = {(row["shop_id"], row["message_id"]) for row in [*adopted, *doubtful] if row["message_id"]}
            events = await ledger.settle(connection, touched)
            await append(raw, events)
        for shop_id in {event.shop_id for event in events}:
            self._bus.signal(FEED_GREW, FeedGrew(shop_id=show_id(SHOP, shop_id)))
        if lapsed:
            self._awake.set()

    def _may_repeat(self, row: Any) -> bool:
        kind = self._types.get(row["channel_type"])
        return row["kind"] != "send_message" or (kind is not None and kind.capabilities.idempotent_send)


def uncertain(row: Mapping[str, Any]) -> Row:
    message_id = row["message_id"]
    assert isinstance(message_id, uuid.UUID)
    return Row(
        row["shop_id"],
        row["channel_id"],
        message_id,
        Status.UNCERTAIN,
        Evidence.NONE,
        None,
        attempt=row["attempts"],
        reason=UNCERTAIN,
    )
