"""The frame of every provider simulator: it stands in for a provider, misbehaves on purpose and keeps the ground truth.

A simulator is an ASGI app. In one process it is reached through `transport()`, where a fault is the httpx error that a
client would have met; over a real port, opened by `serve`, the fault happens on the wire. One plan drives both, so a
seed and the order of requests tell everything that goes wrong.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, TypeAlias

import httpx
import uvicorn
from pydantic import JsonValue
from starlette.requests import Request as Request

from shared.connector import ASGIApp, Hook

Scope: TypeAlias = MutableMapping[str, Any]
Fact: TypeAlias = Mapping[str, JsonValue]  # one thing that happened at the provider, in its words

IN_PROCESS: Final = "shopbell.in_process"


class Fault(StrEnum):
    """What happens to one request. Whether the provider took it is the truth that the client cannot always see."""

    OK = "ok"
    SLOW = "slow"  # taken; the answer arrives in pieces
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"  # a page of HTML from something in between
    REFUSED = "refused"  # no connection: nothing left the client
    CONNECT_TIMEOUT = "connect_timeout"  # the same, slower
    TIMEOUT = "timeout"  # never taken, never answered
    DROPPED = "dropped"  # never taken, the connection ends instead of an answer
    TAKEN_THEN_TIMEOUT = "taken_then_timeout"
    TAKEN_THEN_ERROR = "taken_then_error"
    TAKEN_THEN_RESET = "taken_then_reset"  # the connection ends inside the answer
    TAKEN_THEN_GARBAGE = "taken_then_garbage"  # 200 and a body that nobody can read


STATUS: Final = {
    Fault.BAD_REQUEST: 400,
    Fault.UNAUTHORIZED: 401,
    Fault.FORBIDDEN: 403,
    Fault.NOT_FOUND: 404,
    Fault.THROTTLED: 429,
    Fault.SERVER_ERROR: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.TAKEN_THEN_ERROR: 500,
}
TAKING: Final = frozenset({Fault.OK, Fault.SLOW, *(kind for kind in Fault if kind.value.startswith("taken"))})
BROKEN: Final[Mapping[Fault, type[httpx.TransportError]]] = {
    Fault.REFUSED: httpx.ConnectError,
    Fault.CONNECT_TIMEOUT: httpx.ConnectTimeout,
    Fault.TIMEOUT: httpx.ReadTimeout,
    Fault.DROPPED: httpx.RemoteProtocolError,
    Fault.TAKEN_THEN_TIMEOUT: httpx.ReadTimeout,
    Fault.TAKEN_THEN_RESET: httpx.ReadError,
}


@dataclass
class FaultPlan:
    """What happens to each request: the script while it lasts, then chance; without either, all is well.

    `rates` gives each fault its share of all requests; together at most 1. What happens to request n depends on the
    seed and n alone.
    """

    seed: int = 0
    rates: Mapping[Fault, float] = field(default_factory=dict)
    script: deque[Fault] = field(default_factory=deque)

    def decide(self, number: int) -> Fault:
        if self.script:
            return self.script.popleft()
        point = random.Random(f"{self.seed}:{number}").random()  # noqa: S311 (chance to repeat, not to keep secrets)
        for fault, rate in self.rates.items():
            if point < rate:
                return fault
            point -= rate
        return Fault.OK


@dataclass(frozen=True)
class Taken:
    """The provider has it. `key` is the same for what a partner would see as the same message."""

    key: str
    external_id: str


@dataclass(frozen=True)
class Answer:
    """What the provider says, and what it took by saying so."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    taken: tuple[Taken, ...] = ()

    @classmethod
    def json(cls, value: JsonValue, *, status: int = 200, taken: Sequence[Taken] = ()) -> "Answer":
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json"}, tuple(taken))


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. `status` is what was meant to be answered, whether or not it arrived."""

    number: int
    request: Request
    fault: Fault
    status: int | None
    taken: tuple[Taken, ...]


class Broken(Exception):
    """The exchange ends without a whole answer."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True)
class HookPlan:
    """How badly facts are told: each rate is between 0 and 1, `batch` the most facts in one request."""

    seed: int = 0
    duplicate: float = 0.0
    reorder: float = 0.0
    batch: int = 1

    def batches(self, facts: Iterable[Fact]) -> Iterator[list[Fact]]:
        """Every fact at least once: some again later, some after what followed them, in batches of any size."""
        chance = random.Random(self.seed)  # noqa: S311 (chance to repeat, not to keep secrets)
        told: list[Fact] = []
        for fact in facts:
            place = len(told) - 1 if told and chance.random() < self.reorder else len(told)
            told.insert(place, fact)
            if chance.random() < self.duplicate:
                told.insert(chance.randint(place + 1, len(told)), fact)
        while told:
            size = chance.randint(1, self.batch)
            yield told[:size]
            del told[:size]


@dataclass(frozen=True)
class HookDelivery:
    """One request to our ingress, and how each try of it was answered; None where no answer came."""

    facts: tuple[Fact, ...]
    hook: Hook
    statuses: tuple[int | None, ...]


AS_IT_HAPPENED: Final = HookPlan()


class Simulator:
    """A provider that can be told to fail. A subclass says what the well-behaved one answers and how it calls us."""

    def __init__(self, *, plan: FaultPlan | None = None, retry_after_s: int = 2, drip_s: float = 0) -> None:
        self.plan = plan or FaultPlan()
        self.retry_after_s, self.drip_s = retry_after_s, drip_s
        self.ledger: list[Entry] = []
        self._number = 0

    # What a simulator says for itself

    async def answer(self, request: Request) -> Answer:
        """The answer of a provider in good order, naming what it took. Called for every request that is taken."""
        raise NotImplementedError

    def refuse(self, fault: Fault, request: Request) -> Answer:
        """How this provider words an error; nothing is taken by it."""
        if fault is Fault.BAD_GATEWAY:
            page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Answer(502, page, {"content-type": "text/html"})
        answer = Answer.json({"error": fault.value}, status=STATUS[fault])
        if fault is Fault.THROTTLED:
            return replace(answer, headers={**answer.headers, "retry-after": str(self.retry_after_s)})
        return answer

    def spares(self, request: Request) -> bool:
        """Whether the plan leaves this request alone, such as a log-in that is not under test."""
        return False

    def hook(self, facts: Sequence[Fact]) -> Hook:
        """The request that tells these facts, signed as the provider signs."""
        raise NotImplementedError

    # Ground truth

    def script(self, faults: Iterable[Fault]) -> None:
        """Decide the next requests, in order, before chance has its say again."""
        self.plan.script.extend(faults)

    @property
    def taken(self) -> tuple[Taken, ...]:
        """Everything the provider took, in order."""
        return tuple(taken for entry in self.ledger for taken in entry.taken)

    def assert_nothing_taken_twice(self) -> None:
        """Raise `AssertionError` if a partner would have seen one message more than once."""
        twice = [key for key, count in Counter(taken.key for taken in self.taken).items() if count > 1]
        if twice:
            raise AssertionError(f"the provider took more than once: {', '.join(sorted(twice))}")

    # The app

    async def __call__(self, scope: Scope, receive: ASGIApp, send: ASGIApp) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"a simulator speaks HTTP only, not {scope['type']}")
        request = Request(scope, receive)
        await request.body()  # kept by the request, for the answer and for whoever reads the ledger
        fault = Fault.OK
        if not self.spares(request):
            self._number += 1
            fault = self.plan.decide(self._number)
        answer = await self._decide(fault, request)
        status, taken = (answer.status, answer.taken) if answer else (None, ())
        self.ledger.append(Entry(len(self.ledger) + 1, request, fault, status, taken))
        if fault in BROKEN and IN_PROCESS in scope:
            raise Broken(fault)
        await self._say(fault, answer, receive, send)

    async def _decide(self, fault: Fault, request: Request) -> Answer | None:
        """The answer that is owed, with what was taken; None if the request came to nothing."""
        if fault not in TAKING:
            return self.refuse(fault, request) if fault in STATUS else None
        answer = await self.answer(request)
        if fault is Fault.TAKEN_THEN_ERROR:
            return replace(self.refuse(fault, request), taken=answer.taken)
        if fault is Fault.TAKEN_THEN_GARBAGE:
            return replace(answer, body=b'{"\xff\x00<')
        return answer

    async def _say(self, fault: Fault, answer: Answer | None, receive: ASGIApp, send: ASGIApp) -> None:
        if fault in (Fault.TIMEOUT, Fault.TAKEN_THEN_TIMEOUT):
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        answer = answer or Answer()
        promised = len(answer.body) + (fault in BROKEN)
        headers = {**answer.headers, "content-length": str(promised)}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        if fault in BROKEN:  # the server behind us closes the connection when bytes are missing
            await send({"type": "http.response.body", "body": answer.body[:1], "more_body": True})
            raise Broken(fault)
        size = 7 if fault is Fault.SLOW else max(len(answer.body), 1)
        for start in range(0, len(answer.body), size):
            await send({"type": "http.response.body", "body": answer.body[start : start + size], "more_body": True})
            if fault is Fault.SLOW:
                await asyncio.sleep(self.drip_s)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def transport(self) -> httpx.AsyncBaseTransport:
        """The way to this simulator without a network; every host leads here."""
        return InProcess(app=self._answer_in_process)

    async def _answer_in_process(self, scope: Scope, receive: ASGIApp, send: ASGIApp) -> None:
        await self({**scope, IN_PROCESS: True}, receive, send)

    # Calling us

    async def deliver(
        self,
        http: httpx.AsyncClient,
        url: str,
        facts: Iterable[Fact],
        *,
        plan: HookPlan = AS_IT_HAPPENED,
        tries: int = 3,
    ) -> list[HookDelivery]:
        """Tell our ingress the facts, one request after another, each again until it is answered with 2xx."""
        deliveries = []
        for batch in plan.batches(facts):
            hook = self.hook(batch)
            statuses: list[int | None] = []
            while len(statuses) < tries and not any(status and status < 300 for status in statuses):
                statuses.append(await post_hook(http, url, hook))
            deliveries.append(HookDelivery(tuple(batch), hook, tuple(statuses)))
        return deliveries


async def post_hook(http: httpx.AsyncClient, url: str, hook: Hook) -> int | None:
    """The status we were answered with, None if there was no answer."""
    query, headers = hook.query or None, dict(hook.headers)
    try:
        return (await http.request(hook.method, url, params=query, headers=headers, content=hook.body)).status_code
    except httpx.TransportError:
        return None


class InProcess(httpx.ASGITransport):
    """A way without a network, on which a broken exchange is told as httpx would have told it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except Broken as broken:
            raise BROKEN[broken.fault](broken.fault.value, request=request) from None


@contextlib.asynccontextmanager
async def serve(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """The base URL of the app on 127.0.0.1 for as long as the block lasts; port 0 takes a free one.

    Over a port nothing can be refused before the connection stands: `REFUSED` and `CONNECT_TIMEOUT` are then cut off
    like `DROPPED`, and a client meets an unknown outcome. Stop serving to be refused.
    """

    def unplanned(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], Broken))

    complaints = logging.getLogger("uvicorn.error")
    complaints.addFilter(unplanned)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()  # the steps of `Server.serve` without its hold on the signals of the process
    running = asyncio.create_task(server.main_loop())
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        await server.shutdown()
        complaints.removeFilter(unplanned)
