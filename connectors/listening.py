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
    """The leases that one process holds, renewed every `renew_s` for `ttl_s` more."""

    def __init__(self, bus: Bus, *, ttl_s: float = TTL_S, renew_s: float = RENEW_S, ask_s: float = ASK_S) -> None:
        self._bus = bus
        self._ttl_s, self._renew_s, self._ask_s = ttl_s, renew_s, ask_s

    @contextlib.asynccontextmanager
    async def held(self, place: Place) -> AsyncIterator[None]:
        """Wait until the channel is ours to listen to; the block is cancelled with `Lost` when it no longer is."""
        holder = secrets.token_hex(8)  # of each its own: one that ends late must not give back what the next one holds
        answer = await self._claim(place.channel_id, holder)
        place.hold(answer)
        listening = asyncio.current_task()
        assert listening is not None
        lost, cancelling = False, listening.cancelling()

        async def renew() -> None:
            nonlocal lost
            last = asyncio.get_running_loop().time()
            while not lost:
                await asyncio.sleep(self._renew_s)
                try:
                    again = await self._ask(place.channel_id, holder, self._ttl_s)
                except BusError:
                    lost = asyncio.get_running_loop().time() - last > self._ttl_s
                else:
                    last, lost = asyncio.get_running_loop().time(), again.token != answer.token
            listening.cancel()

        renewing = asyncio.create_task(renew(), name=f"lease {place.channel_id}")
        try:
            yield
        except asyncio.CancelledError:
            if not lost or listening.uncancel() > cancelling:  # or somebody else wants it to end as well
                raise
            raise Lost("Another process listens to this channel by now.") from None
        finally:
            renewing.cancel()
            place.hold(ListenAnswer(place=place.last()))
            if not lost:
                with contextlib.suppress(BusError):
                    await asyncio.shield(self._ask(place.channel_id, holder, 0))

    async def _claim(self, channel_id: str, holder: str) -> ListenAnswer:
        while (answer := await self._ask(channel_id, holder, self._ttl_s)).token is None:  # noqa: ASYNC110 - in tables
            await asyncio.sleep(self._ask_s)
        return answer

    async def _ask(self, channel_id: str, holder: str, ttl_s: float) -> ListenAnswer:
        return await self._bus.request(LISTEN, ListenRequest(channel_id=channel_id, holder=holder, ttl_s=ttl_s))
