"""Group commit: events that arrive while a transaction is in flight go together into the next one.

One insert per message would wait for the disk once per message. Here everyone who came while the disk was busy shares
the next wait, and each caller's `await` returns when its own events are committed.
"""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import TRANSIENT, Database, driver, raw_of
from gateway.inbound import journal
from gateway.inbound.arrivals import Arrival, ChannelInfo, arrive
from gateway.inbound.land import Landed, Surroundings, describe, land
from gateway.inbound.people import Overtaken
from shared.bus import Bus
from shared.errors import BusUnavailable, UnknownChannel
from shared.events import InboundEvent, Reason
from shared.ids import CHANNEL, SHOP, MalformedId, read_id, show_id
from shared.subjects import (
    CHANNEL_CHANGED,
    FEED_GREW,
    OUTBOX_FILLED,
    TYPING_SEEN,
    ChannelChanged,
    FeedGrew,
    InboundBatch,
    OutboxFilled,
)

log = structlog.get_logger(__name__)

SET_MAX: Final = 500  # events in one transaction; beyond this a set no longer gets cheaper per row
WAITING_MAX: Final = 20_000  # events held in memory before new ones are refused
TURNS: Final = 3  # of the loop before a set is closed: those who were just answered may speak again
TRIES: Final = 5  # against others who write to the same conversations
FIND_CHANNEL: Final = sa.text("SELECT id, shop_id, type, account FROM channels WHERE id = :id")
FIND_ACCOUNT: Final = sa.text(
    "SELECT id, shop_id, type, account FROM channels "
    "WHERE shop_id = :shop_id AND type = :type AND account = :account AND deleted_at IS NULL"
)


@dataclass(slots=True)
class Ticket:
    """One caller's events and its wait for them."""

    arrivals: Sequence[Arrival]
    done: "asyncio.Future[None]" = field(repr=False)


class Ingest:
    """The one writer of what channels tell this process."""

    def __init__(self, db: Database, bus: Bus, around: Surroundings) -> None:
        self._db = db
        self._bus = bus
        self._around = around
        self._waiting: deque[Ticket] = deque()
        self._held = 0
        self._awake = asyncio.Event()
        self._channels: dict[str, ChannelInfo] = {}
        self._connection: AsyncConnection | None = None
        bus.listen(CHANNEL_CHANGED, self._forget)

    def _forget(self, hint: ChannelChanged) -> None:
        self._channels.clear()  # they are few, and what belongs to an account may have moved

    async def ingest(self, batch: InboundBatch) -> None:
        """Return once every event of the batch is committed: landed, known before, or in quarantine.

        Raises `BusUnavailable` if that could not be done now, and `UnknownChannel`; nothing is lost by trying again.
        """
        channel = self._channels.get(batch.channel_id) or await self._find_channel(batch.channel_id)
        if self._held + len(batch.events) > WAITING_MAX:
            raise BusUnavailable("Too many events are waiting for the database; try again in a moment.")
        arrivals = [await self.route(channel, event) for event in batch.events]
        if not arrivals:
            return
        ticket = Ticket(arrivals, asyncio.get_running_loop().create_future())
        self._waiting.append(ticket)
        self._held += len(arrivals)
        self._awake.set()
        await ticket.done  # a caller that goes away does not take its events along: the writer has them

    async def _find_channel(self, channel_id: str) -> ChannelInfo:
        try:
            found = await self._look_up(FIND_CHANNEL, {"id": read_id(CHANNEL, channel_id)})
        except MalformedId:
            found = None
        if found is None:
            raise UnknownChannel(f"There is no channel {channel_id}.")
        self._channels[channel_id] = found
        return found

    async def _look_up(self, statement: sa.TextClause, named: dict[str, Any]) -> ChannelInfo | None:
        try:
            async with self._db.system() as connection:
                row = (await connection.execute(statement, named)).one_or_none()
        except (*TRANSIENT, DBAPIError, PoolTimeout) as error:
            raise BusUnavailable("The database cannot be reached just now; try again.") from error
        return ChannelInfo(row.id, row.shop_id, row.type, row.account) if row else None

    async def route(self, channel: ChannelInfo, event: InboundEvent) -> Arrival:
        """The event on the channel of its account: a provider may tell of several of our ends at one address.

        Of an account that is not connected it goes to quarantine, to be replayed once it is. Raises `BusUnavailable`.
        """
        account = event.address.account
        if channel.account is None or account == channel.account:
            return arrive(channel, event)
        name = f"{channel.shop_id}|{channel.type}|{account}"
        other = self._channels.get(name)
        if other is None:
            named = {"shop_id": channel.shop_id, "type": channel.type, "account": account}
            other = await self._look_up(FIND_ACCOUNT, named)
        if other is not None:
            self._channels[name] = other
            return arrive(other, event)
        arrival = arrive(channel, event)
        arrival.held = arrival.held or Reason(
            code="unknown_account", detail=f"The account {account} is not connected here; connect it and replay this."
        )
        return arrival

    async def run(self) -> None:
        """Write until cancelled; what waits then is refused, and its senders try again."""
        try:
            while True:
                await self._awake.wait()
                self._awake.clear()
                while self._waiting:
                    for _ in range(TURNS):
                        await asyncio.sleep(0)
                    await self._write(self._take())
        finally:
            await self._let_go()
            while self._waiting:
                self._refuse(self._waiting.popleft(), BusUnavailable("The server is stopping; try again."))

    def _take(self) -> list[Ticket]:
        tickets = [self._waiting.popleft()]
        size = len(tickets[0].arrivals)
        while self._waiting and size + len(self._waiting[0].arrivals) <= SET_MAX:
            tickets.append(self._waiting.popleft())
            size += len(tickets[-1].arrivals)
        return tickets

    async def _write(self, tickets: list[Ticket]) -> None:
        arrivals = [arrival for ticket in tickets for arrival in ticket.arrivals]
        try:
            await self._land(arrivals)
        except asyncio.CancelledError:
            for ticket in tickets:
                self._refuse(ticket, BusUnavailable("The server is stopping; try again."))
            raise
        except Exception as error:
            log.warning("ingest.refused", error=type(error).__name__, events=len(arrivals))
            for ticket in tickets:
                self._refuse(ticket, BusUnavailable("The database cannot be reached just now; try again."))
            return
        for ticket in tickets:
            self._held -= len(ticket.arrivals)
            if not ticket.done.done():
                ticket.done.set_result(None)

    def _refuse(self, ticket: Ticket, error: BusUnavailable) -> None:
        self._held -= len(ticket.arrivals)
        if not ticket.done.done():
            ticket.done.set_exception(error)
            ticket.done.exception()  # the caller may be gone: nobody need hear of it then

    async def _land(self, arrivals: Sequence[Arrival]) -> None:
        """Land all; where one event spoils the set, halve the set until it stands alone, and quarantine it.

        Raises only what says nothing about the events themselves.
        """
        try:
            landed = await self._transaction(arrivals)
        except Exception as error:
            if is_transient(error):
                raise
            if len(arrivals) == 1:
                await self._quarantine(arrivals[0], error)
                return
            middle = len(arrivals) // 2
            await self._land(arrivals[:middle])
            await self._land(arrivals[middle:])
            return
        self._signal(landed)

    async def _transaction(self, arrivals: Sequence[Arrival]) -> Landed:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._once(arrivals)
            except Exception as error:
                if attempt == TRIES or not is_overtaken(error):
                    raise
        raise AssertionError("the loop returns or raises")

    async def _once(self, arrivals: Sequence[Arrival]) -> Landed:
        """One transaction on the connection that this writer keeps: to borrow one each time costs two round trips."""
        connection, raw = await self._held_connection()
        try:
            async with raw.transaction():
                return await land(connection, arrivals, self._around)
        except BaseException:
            # A connection that dies under the driver is closed; under SQLAlchemy it is also invalid, and whatever is
            # asked of it then raises an error of its own, which says nothing of why.
            if raw.is_closed() or connection.invalidated:
                await self._let_go()
            raise

    async def _held_connection(self) -> tuple[AsyncConnection, Any]:
        """The connection that is kept, made if there is none, and the driver's below."""
        if self._connection is None:
            self._connection = await self._db.hold()
        try:
            return self._connection, await raw_of(self._connection)
        except BaseException:
            await self._let_go()
            raise

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.invalidate()
            with contextlib.suppress(Exception):
                await connection.close()

    async def _quarantine(self, arrival: Arrival, error: Exception) -> None:
        reason = describe(error)
        log.error("inbound.quarantined", inbound=str(arrival.number), kind=arrival.event.kind, reason=reason.code)
        async with self._db.system() as connection:
            await journal.quarantine(await driver(connection), arrival, reason)
        self._signal(Landed(shops={arrival.channel.shop_id}))

    async def replay(self, arrivals: Sequence[Arrival], *, row: tuple[uuid.UUID, uuid.UUID]) -> bool:
        """Land what a journal row (shop, id) holds, in one transaction with taking it out of quarantine.

        That is its event, or what its payload gives when it is parsed anew: many events, or none at all.
        False if the row was taken out meanwhile. Raises whatever stands in the way; the row then stays.
        """
        for attempt in range(1, TRIES + 1):
            try:
                async with self._db.system() as connection:
                    if not await journal.accept(await driver(connection), *row):
                        return False
                    landed = await land(connection, arrivals, self._around)
            except Exception as error:
                if attempt == TRIES or not is_overtaken(error):
                    raise
            else:
                self._signal(landed)
                return True
        raise AssertionError("the loop returns or raises")

    def _signal(self, landed: Landed) -> None:
        for shop_id in landed.shops:
            self._bus.signal(FEED_GREW, FeedGrew(shop_id=show_id(SHOP, shop_id)))
        for typing in landed.typing:
            self._bus.signal(TYPING_SEEN, typing)
        for channel_id in landed.changed_channels:
            self._bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id=show_id(CHANNEL, channel_id)))
        if landed.sent:  # a lane may have become free
            self._bus.signal(OUTBOX_FILLED, OutboxFilled())


def driver_error(error: BaseException) -> BaseException:
    """The driver's own error behind SQLAlchemy's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def is_transient(error: Exception) -> bool:
    return isinstance(error, PoolTimeout) or isinstance(driver_error(error), TRANSIENT)


def is_overtaken(error: Exception) -> bool:
    """Somebody else wrote the same thing at the same moment: the same work again finds what they wrote."""
    if isinstance(error, Overtaken):
        return True
    cause = driver_error(error)
    if isinstance(cause, asyncpg.exceptions.UniqueViolationError):
        return cause.constraint_name in ("uq_conversations_open", "uq_messages_shop_id_conversation_id_seq")
    return isinstance(cause, asyncpg.exceptions.TransactionRollbackError)
