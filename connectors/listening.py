"""One process listens to a channel at a time: held by a lease that is renewed while it works, and lost if it is not."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Final

import structlog

from shared.bus import Bus
from shared.errors import BusError, BusUnavailable
from shared.model import Notes
from shared.subjects import LISTEN, PLACE, ListenAnswer, ListenRequest, PlaceRequest

log = structlog.get_logger(__name__)

TTL_S: Final = 8.0
RENEW_S: Final = 2.0
ASK_S: Final = 2.0  # between two questions, while another process listens


class Lost(BusUnavailable):
    """Another process listens to this channel by now."""


class Place:
    """How far a channel has been listened to, by whoever holds its lease."""

    def __init__(self, bus: Bus, channel_id: str) -> None:
        self._bus = bus
        self.channel_id = channel_id
        self._held = ListenAnswer()

    def hold(self, answer: ListenAnswer) -> None:
        self._held = answer

    def last(self) -> Notes:
        return self._held.place

    async def keep(self, place: Notes, /) -> None:
        token = self._held.token
        if token is None:
            raise Lost("Nobody has asked to listen to this channel.")
        answer = await self._bus.request(PLACE, PlaceRequest(channel_id=self.channel_id, token=token, place=place))
        if not answer.kept:
            raise Lost("Another process listens to this channel by now.")
        self._held = ListenAnswer(token=token, place=place)


class Leases:
    """The leases that one process holds."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._holder = secrets.token_hex(8)

    @contextlib.asynccontextmanager
    async def held(self, place: Place) -> AsyncIterator[None]:
        """Wait until the channel is ours to listen to; the block is cancelled with `Lost` when it no longer is."""
        answer = await self._claim(place.channel_id)
        place.hold(answer)
        listening = asyncio.current_task()
        assert listening is not None
        lost = False

        async def renew() -> None:
            nonlocal lost
            last = asyncio.get_running_loop().time()
            while not lost:
                await asyncio.sleep(RENEW_S)
                try:
                    again = await self._ask(place.channel_id, TTL_S)
                except BusError:
                    lost = asyncio.get_running_loop().time() - last > TTL_S
                else:
                    last, lost = asyncio.get_running_loop().time(), again.token != answer.token
            listening.cancel()

        renewing = asyncio.create_task(renew(), name=f"lease {place.channel_id}")
        try:
            yield
        except asyncio.CancelledError:
            if not lost:
                raise
            raise Lost("Another process listens to this channel by now.") from None
        finally:
            renewing.cancel()
            place.hold(ListenAnswer(place=place.last()))
            if not lost:
                with contextlib.suppress(BusError):
                    await asyncio.shield(self._ask(place.channel_id, 0))

    async def _claim(self, channel_id: str) -> ListenAnswer:
        while (answer := await self._ask(channel_id, TTL_S)).token is None:  # noqa: ASYNC110 - it is in the database
            await asyncio.sleep(ASK_S)
        return answer

    async def _ask(self, channel_id: str, ttl_s: float) -> ListenAnswer:
        return await self._bus.request(LISTEN, ListenRequest(channel_id=channel_id, holder=self._holder, ttl_s=ttl_s))
