"""All channels of a process: each with one connector that lives until its settings change."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, Final

import httpx
import structlog

from connectors.courier import Courier
from connectors.ingress import ingress_app
from connectors.kinds import Kind
from connectors.listening import Leases, Place
from shared.bus import Bus
from shared.clock import Clock
from shared.connector import ASGIApp, Connector, Dial, Hook, Port
from shared.errors import AuthExpired, BusError, IngressError, SendError, ShopbellError, UnknownChannel
from shared.events import Address, ChannelReported, InboundEvent, Reason
from shared.files import FileStore
from shared.subjects import (
    CHANNEL,
    CHANNEL_CHANGED,
    CHANNELS,
    INBOUND,
    ChannelChanged,
    ChannelQuestion,
    ChannelsQuestion,
    CheckAnswer,
    CheckRequest,
    InboundBatch,
    ReparseAnswer,
    ReparseRequest,
    TemplatesAnswer,
    check,
    outbound,
    reparse,
    templates,
)

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 30.0  # for channels to attend to, beside the hints
STEADY_S: Final = 60.0  # what was listened to for so long worked: its failure is the first again
AGAIN_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # after listening to a provider failed


class ConnectorHost:
    """Finds connectors, attends to the channels that have to be listened to, and answers for the providers."""

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        *,
        bus: Bus,
        http: httpx.AsyncClient,
        clock: Clock,
        files: FileStore,
        dial: Dial,
    ) -> None:
        self._kinds = kinds
        self._bus = bus
        self._http = http
        self._clock = clock
        self._files = files
        self._dial = dial
        self._leases = Leases(bus)
        self._courier = Courier(self.find, bus=bus, clock=clock, files=files)
        self._connectors: dict[str, Connector] = {}
        self._making: dict[tuple[str, str], asyncio.Task[Connector]] = {}
        self._changed: set[str] = set()
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        bus.listen(CHANNEL_CHANGED, self._forget)
        for name in kinds:
            bus.consume(outbound(name), self._courier.deliver)
            bus.serve(reparse(name), self._reparse)
            bus.serve(check(name), self._check)
            bus.serve(templates(name), self._templates)

    async def find(self, channel_type: str, channel_id: str) -> Connector:
        """The connector of a channel; raises `UnknownChannel`."""
        known = self._connectors.get(channel_id)
        if known is not None and known.channel_type.name == channel_type:
            return known
        if channel_type not in self._kinds or known is not None:
            raise UnknownChannel(f"There is no channel {channel_id} of type {channel_type} here.")
        making = self._making.get((channel_type, channel_id))
        if making is None:
            making = asyncio.get_running_loop().create_task(self._make_current(channel_type, channel_id))
            self._making[channel_type, channel_id] = making
            making.add_done_callback(lambda done: self._made(channel_type, channel_id, done))
        return await asyncio.shield(making)  # others may wait for the same

    async def _make_current(self, channel_type: str, channel_id: str) -> Connector:
        """Settings that change while they are asked for are asked for again."""
        while True:
            self._changed.discard(channel_id)
            connector = await self._make(channel_type, channel_id)
            if channel_id not in self._changed:
                self._connectors[channel_id] = connector
                return connector
            await connector.close()

    def _made(self, channel_type: str, channel_id: str, done: "asyncio.Task[Connector]") -> None:
        del self._making[channel_type, channel_id]
        self._changed.discard(channel_id)
        if not done.cancelled():
            done.exception()  # whoever waited has it; nobody may be left who did

    async def _make(self, channel_type: str, channel_id: str) -> Connector:
        kind = self._kinds[channel_type]
        answer = await self._bus.request(CHANNEL, ChannelQuestion(channel_type=channel_type, channel_id=channel_id))
        if answer.channel is None or not answer.channel.active:
            raise UnknownChannel(f"There is no active channel {channel_id} of type {channel_type}.")
        config = kind.channel_type.config.model_validate(answer.channel.config)

        async def publish(events: Sequence[InboundEvent], /) -> None:
            await self._bus.publish(INBOUND, InboundBatch.model_construct(channel_id=channel_id, events=tuple(events)))

        connector = await asyncio.to_thread(kind.load)
        return connector(
            Port(
                channel_id,
                config,
                publish,
                self._bus,
                self._http,
                self._clock,
                self._files,
                self._dial,
                Place(self._bus, channel_id),
                answer.channel.hook_url,
            )
        )

    async def _find_any(self, channel_id: str) -> Connector:
        """The connector of a channel of whatever type; raises `UnknownChannel`."""
        for name in self._kinds:
            with contextlib.suppress(UnknownChannel):
                return await self.find(name, channel_id)
        raise UnknownChannel(f"The channel {channel_id} is not active.")

    def _forget(self, hint: ChannelChanged) -> None:
        self._courier.forget(hint.channel_id)
        if any(channel_id == hint.channel_id for _, channel_id in self._making):
            self._changed.add(hint.channel_id)
        listening = self._listening.pop(hint.channel_id, None)
        connector = self._connectors.pop(hint.channel_id, None)
        if listening is not None:
            listening.cancel()
        if connector is not None:
            self._beside(closed_after(listening, connector))
        self._look.set()

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        for connector in tuple(self._connectors.values()):
            await connector.close()
        self._connectors.clear()

    # Theirs to ours

    def app(self) -> ASGIApp:
        """`/hooks/{type}/{channel_id}` for all, and what each type serves of its own."""
        own = (kind.load().mounts(self) for kind in self._kinds.values() if kind.serves)
        return ingress_app(self, {path: app for mounts in own for path, app in mounts.items()})

    def acknowledge(self, connector: Connector, events: Sequence[InboundEvent]) -> None:
        """Let the provider hear that these events are safe, without waiting for it."""
        if type(connector).taken is not Connector.taken:
            self._beside(acknowledged(connector, events))

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Attend to every channel that has to be listened to, for as long as the block lasts."""
        attending = asyncio.create_task(self._attend_to_all(), name="listening")
        try:
            yield
        finally:
            tasks = [attending, *self._listening.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _attend_to_all(self) -> None:
        while any(kind.listens for kind in self._kinds.values()):
            for name, kind in self._kinds.items():
                if kind.listens:
                    await self._attend_to_type(name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._look.wait()
            self._look.clear()

    async def _attend_to_type(self, name: str) -> None:
        try:
            active = (await self._bus.request(CHANNELS, ChannelsQuestion(channel_type=name))).channel_ids
        except BusError as error:
            log.warning("host.look_failed", type=name, error=error.code)
            return
        for channel_id in active:
            if channel_id not in self._listening:
                task = asyncio.create_task(self._attend(name, channel_id), name=f"listen {channel_id}")
                self._listening[channel_id] = task

    async def _attend(self, name: str, channel_id: str) -> None:
        """Listen until the channel is no longer ours to listen to; what fails is tried again, ever more slowly."""
        failures = 0
        while True:
            try:
                connector = await self.find(name, channel_id)
            except UnknownChannel:
                return
            except BusError:
                await asyncio.sleep(AGAIN_S[0])
                continue
            began = asyncio.get_running_loop().time()
            try:
                await self._listen(connector)
            except AuthExpired as error:
                await self._report_problem(connector, error)
                return
            except Exception as error:
                failures = 0 if asyncio.get_running_loop().time() - began > STEADY_S else failures
                told = error.code if isinstance(error, ShopbellError) else type(error).__name__
                wait = getattr(error, "retry_after_s", None) or AGAIN_S[min(failures, len(AGAIN_S) - 1)]
                log.warning("host.listening_failed", channel=channel_id, error=told, again_in_s=wait)
                failures += 1
                await asyncio.sleep(wait)
            else:
                return  # it is set up, and the provider calls us

    async def _listen(self, connector: Connector) -> None:
        place = connector.port.place
        assert isinstance(place, Place)
        async with self._leases.held(place):
            await connector.listen()

    async def _report_problem(self, connector: Connector, error: AuthExpired) -> None:
        now, kind = self._clock(), connector.channel_type
        account = getattr(connector.port.config, kind.account) if kind.account else connector.port.channel_id
        report = ChannelReported(
            address=Address(channel=kind.name, account=account, peer=account),
            occurred_at=now,
            external_id=f"listen {now.isoformat()}",
            topic="account",
            problem=Reason(code=error.code, detail=error.detail),
        )
        await connector.port.publish((report,))

    # What the gateway asks

    async def _reparse(self, question: ReparseRequest) -> ReparseAnswer:
        """Take apart what once could not be; its signature was checked when it came."""
        try:
            connector = await self._find_any(question.channel_id)
            events = connector.parse(Hook("POST", question.headers, {}, question.body))
        except IngressError as error:
            return ReparseAnswer(problem=error.detail)
        except Exception as error:
            return ReparseAnswer(problem=f"{type(error).__name__} in the connector")
        return ReparseAnswer(events=tuple(events))

    async def _check(self, question: CheckRequest) -> CheckAnswer:
        try:
            connector = await self._find_any(question.channel_id)
            return CheckAnswer(problems=(await connector.check()).problems)
        except (SendError, IngressError) as error:
            return CheckAnswer(problems=(error.detail,))

    async def _templates(self, question: CheckRequest) -> TemplatesAnswer:
        try:
            connector = await self._find_any(question.channel_id)
            return TemplatesAnswer(templates=tuple(await connector.templates()))
        except (SendError, IngressError) as error:
            return TemplatesAnswer(problem=Reason(code=error.code, detail=error.detail))


async def closed_after(listening: "asyncio.Task[None] | None", connector: Connector) -> None:
    """Close a connector once nobody listens with it."""
    if listening is not None:
        await asyncio.gather(listening, return_exceptions=True)
    await connector.close()


async def acknowledged(connector: Connector, events: Sequence[InboundEvent]) -> None:
    try:
        await connector.taken(events)
    except Exception as error:
        log.info("connector.acknowledging_failed", channel=connector.port.channel_id, error=type(error).__name__)
