"""One reader of the feed per process, and as many listeners as there are streams.

A wake-up is only a hint: the reader also looks by itself. A listener that is too slow is not fed from memory; it is
told that it fell behind and reads the table from where it stopped.
"""

import asyncio
import contextlib
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Final

import structlog

from gateway.database import Database, driver
from gateway.events.feed import FeedEvent, edges, read
from shared.bus import Bus
from shared.ids import SHOP, read_id
from shared.subjects import FEED_GREW, TYPING_SEEN, FeedGrew, TypingSeen

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 0.5  # how late a lost wake-up may be noticed
PAGE: Final = 500
QUEUE_MAX: Final = 1000  # events held for one slow listener


class Listener:
    """What one stream gets: events in order, live signals between them."""

    def __init__(self) -> None:
        self._queue: deque[FeedEvent | TypingSeen] = deque()
        self._awake = asyncio.Event()
        self.behind = False

    def push(self, item: FeedEvent | TypingSeen) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self._queue.clear()
            self.behind = True
        self._queue.append(item)
        self._awake.set()

    def wake(self) -> None:
        """End the wait of `take`, though nothing came."""
        self._awake.set()

    async def take(self, timeout_s: float) -> list[FeedEvent | TypingSeen]:
        """What has come, at once if there is something; nothing after the time-out."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._awake.wait()
        items = list(self._queue)
        self._queue.clear()
        self._awake.clear()
        return items


class FeedTail:
    """Reads the feeds of the shops that somebody listens to."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._listeners: dict[uuid.UUID, set[Listener]] = {}
        self._positions: dict[uuid.UUID, int] = {}
        self._awake = asyncio.Event()
        self.draining = False
        self._stop_listening = [bus.listen(FEED_GREW, self._on_growth), bus.listen(TYPING_SEEN, self._on_typing)]

    def _on_growth(self, hint: FeedGrew) -> None:
        if read_id(SHOP, hint.shop_id) in self._listeners:
            self._awake.set()

    def _on_typing(self, hint: TypingSeen) -> None:
        for listener in self._listeners.get(read_id(SHOP, hint.shop_id), ()):
            listener.push(hint)

    @contextlib.contextmanager
    def listen(self, shop_id: uuid.UUID) -> Iterator[Listener]:
        """A listener that gets every event appended from now on."""
        listener = Listener()
        self._listeners.setdefault(shop_id, set()).add(listener)
        try:
            yield listener
        finally:
            self._listeners[shop_id].discard(listener)
            if not self._listeners[shop_id]:
                del self._listeners[shop_id]
                self._positions.pop(shop_id, None)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._awake.wait()
            self._awake.clear()
            for shop_id in list(self._listeners):
                try:
                    await self._advance(shop_id)
                except Exception as error:  # the table is the truth: look again
                    log.warning("feed.read_failed", error=type(error).__name__)

    async def _advance(self, shop_id: uuid.UUID) -> None:
        while True:
            position = self._positions.get(shop_id)
            async with self._db.shop(shop_id) as connection:
                raw = await driver(connection)
                if position is None:
                    # The first look: listeners read what came before from the table themselves.
                    self._positions[shop_id] = (await edges(raw, shop_id)).newest
                    self._tell_behind(shop_id)
                    return
                events = await read(raw, shop_id, after=position, limit=PAGE)
            if not events or shop_id not in self._listeners:
                return
            self._positions[shop_id] = events[-1].position
            for listener in tuple(self._listeners[shop_id]):
                for event in events:
                    listener.push(event)
            if len(events) < PAGE:
                return

    def _tell_behind(self, shop_id: uuid.UUID) -> None:
        for listener in self._listeners.get(shop_id, ()):
            listener.behind = True
            listener.wake()

    def close(self) -> None:
        """End every stream: their clients come back to whoever is there then."""
        self.draining = True
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.wake()
        for stop in self._stop_listening:
            stop()


async def follow(
    tail: FeedTail, db: Database, shop_id: uuid.UUID, *, after: int, idle_s: float
) -> AsyncIterator[FeedEvent | TypingSeen | None]:
    """Every event after a position, in order and once, until the server drains; signals between; None when idle."""
    position = after
    with tail.listen(shop_id) as listener:
        listener.behind = True  # what came before we listened is in the table
        while not tail.draining:
            if listener.behind:
                listener.behind = False
                while True:
                    async with db.shop(shop_id) as connection:
                        events = await read(await driver(connection), shop_id, after=position, limit=PAGE)
                    for event in events:
                        position = event.position
                        yield event
                    if len(events) < PAGE:
                        break
            items = await listener.take(idle_s)
            if not items and not listener.behind:
                yield None
            for item in items:
                if isinstance(item, TypingSeen):
                    yield item
                elif item.position == position + 1:
                    position = item.position
                    yield item
                elif item.position > position:  # a hole in what we were handed: read it from the table
                    listener.behind = True
                    break
