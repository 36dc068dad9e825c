"""One visitor's socket: says what changed, hears what is written, and loses nothing by ending."""

import asyncio
import contextlib
from typing import Final, NoReturn

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.webchat.connector import Listener, WebChat, random_pause_s
from connectors.webchat.inbound import (
    Frame,
    Hello,
    Ping,
    Read,
    Recv,
    Send,
    TypingFrame,
    address_of,
    message_from,
    name_of,
    parse_frame,
    receipt_from,
    typing_from,
)
from connectors.webchat.outbound import (
    PONG,
    render_ack,
    render_bye,
    render_nack,
    render_sync,
    render_typing,
    render_welcome,
)
from shared.errors import BusError, Malformed, ShopbellError
from shared.events import InboundEvent
from shared.ids import REQUEST, new_id
from shared.signing import BadToken

log = structlog.get_logger(__name__)

HELLO_WITHIN_S: Final = 5.0
SILENCE_MAX_S: Final = 150.0  # the browser pings after 25, but the timers of a hidden tab fire once a minute
LOOK_EVERY_S: Final = 20.0  # in case a wake-up was lost
SEND_WITHIN_S: Final = 10.0
NOT_KEPT_PAUSE_S: Final = 5.0  # at most: nothing may be kept for a while, and all who tried come back
FRAMES_PER_S: Final = 20.0
FRAMES_BURST: Final = 100.0
ENDED: Final = (WebSocketDisconnect, OSError, RuntimeError)  # the ways in which Starlette says that it is over
BAD_TOKEN, BUSY, RESTART, COME_BACK = 4001, 4008, 1012, 1013


class Budget:
    """A token bucket over the loop's own clock."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst, self._left = per_s, burst, burst
        self._at = asyncio.get_running_loop().time()

    def take(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Session:
    """The life of one socket, from hello to its end."""

    def __init__(self, socket: WebSocket, connector: WebChat) -> None:
        self._socket = socket
        self._connector = connector
        self._awake = asyncio.Event()
        self._typing: list[str] = []
        self._leaving: float | None = None
        self._cursor: str | None = None
        self._locale: str | None = None
        self._budget = Budget(FRAMES_PER_S, FRAMES_BURST)
        self._told: dict[type, str] = {}
        self._synced = False
        self._seen: str | None = None
        self._visitor = ""

    async def run(self) -> None:
        """Serve until either side ends it."""
        await self._socket.accept()
        try:
            if not await self._greet():
                return
            listener = Listener(self._awake.set, self._show_typing, self._leave)
            if not self._connector.join(self._visitor, listener):
                await self._socket.close(BUSY, "too many sockets")
                return
            try:
                await self._converse()
            finally:
                self._connector.part(self._visitor, listener)
        except (WebSocketDisconnect, OSError):
            return

    async def _greet(self) -> bool:
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                frame = parse_frame(await self._socket.receive_text())
            if not isinstance(frame, Hello):
                raise BadToken("no hello")
            self._visitor = self._connector.visitor_of(frame.d.token)
        except (BadToken, Malformed, TimeoutError, KeyError):
            await self._socket.close(BAD_TOKEN, "a valid token is needed")
            return False
        self._cursor, self._locale = frame.d.cursor, frame.d.locale
        await self._say(render_welcome(new_id(REQUEST), self._connector.port.clock()))
        self._awake.set()
        return True

    async def _converse(self) -> None:
        """Tell and listen until one of the two ends, then end the other."""
        telling = asyncio.create_task(self._tell())
        listening = asyncio.create_task(self._listen())
        try:
            await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            listening.cancel()
            outcomes = await asyncio.gather(telling, listening, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, ENDED):
                raise outcome

    # Telling

    async def _tell(self) -> None:
        while self._leaving is None:
            self._awake.clear()
            for frame in self._take_typing():
                await self._say(frame)
            await self._catch_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._awake.wait()
        await self._say(render_bye(self._leaving))
        await self._socket.close(RESTART, "restarting")

    async def _catch_up(self) -> None:
        """Say everything that changed since the cursor; after the first time, nothing to say is nothing sent."""
        more = True
        while more:
            try:
                page = await self._connector.thread(self._visitor, self._cursor)
            except (ShopbellError, OSError) as error:
                log.info("webchat.thread_unavailable", error=type(error).__name__)
                asyncio.get_running_loop().call_later(1.0, self._awake.set)
                return
            if not self._synced or page.messages or page.reset or page.seen.up_to != self._seen:
                await self._say(render_sync(page))
            self._synced, self._seen = True, page.seen.up_to
            self._cursor, more = page.cursor, page.more

    def _take_typing(self) -> list[str]:
        frames, self._typing = self._typing, []
        return frames

    def _show_typing(self, on: bool, name: str | None) -> None:
        self._typing = [render_typing(on=on, name=name)]
        self._awake.set()

    def _leave(self, retry_after_s: float) -> None:
        self._leaving = retry_after_s
        self._awake.set()

    async def _say(self, frame: str) -> None:
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                await self._socket.send_text(frame)
        except TimeoutError:
            await self._break_off("too slow")

    async def _break_off(self, why: str) -> NoReturn:
        """Have the browser come back, to find by its cursor what it missed and to say again what we did not keep."""
        await self._socket.close(COME_BACK, why)
        raise WebSocketDisconnect(COME_BACK)

    # Listening

    async def _listen(self) -> None:
        """One frame after the other: the order in which a visitor writes is the order in which it is kept."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_MAX_S):
                    text = await self._socket.receive_text()
            except (TimeoutError, KeyError):  # KeyError: a binary frame
                return
            if not self._budget.take():
                await self._socket.close(BUSY, "too many frames")
                return
            await self._hear(text)

    async def _hear(self, text: str) -> None:
        try:
            frame = parse_frame(text)
        except Malformed as error:
            await self._say(render_nack(name_of(text), error.code, error.detail))
            return
        if frame is not None:
            await self._act(frame, text.encode())

    async def _act(self, frame: Frame, raw: bytes) -> None:
        address = address_of(self._connector.port.channel_id, self._visitor)
        now = self._connector.port.clock()
        match frame:
            case Send():
                await self._take_line(frame, raw)
            case Recv() | Read() if self._told.get(type(frame)) != frame.d.up_to:
                if not await self._publish(receipt_from(frame, address=address, raw=raw, now=now)):
                    await self._say(render_bye(random_pause_s(NOT_KEPT_PAUSE_S)))
                    await self._break_off("a receipt could not be kept")  # nothing else would have it said again
                self._told[type(frame)] = frame.d.up_to
            case TypingFrame():
                await self._publish(typing_from(frame, address=address, now=now))
            case Ping():
                await self._say(PONG)
            case _:
                return

    async def _take_line(self, frame: Send, raw: bytes) -> None:
        address = address_of(self._connector.port.channel_id, self._visitor)
        now = self._connector.port.clock()
        try:
            event = message_from(frame.d, address=address, raw=raw, now=now, locale=self._locale)
        except Malformed as error:
            await self._say(render_nack(frame.d.cmid, error.code, error.detail))
            return
        if await self._publish(event):
            await self._say(render_ack(frame.d.cmid))
            self._connector.changed(self._visitor)
        else:
            await self._say(
                render_nack(frame.d.cmid, "unavailable", "Not possible just now; it will be sent again.", 1)
            )

    async def _publish(self, event: InboundEvent) -> bool:
        """Whether the event is safe."""
        try:
            await self._connector.port.publish([event])
        except (BusError, OSError) as error:
            log.info("webchat.not_published", error=type(error).__name__)
            return False
        return True
