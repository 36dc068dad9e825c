"""The bus: how the parts hear of each other, and its engine for one process.

Three ways of speaking, by what is promised:
- `publish` on a `Topic`: returns once the message is safe. In one process that means handled, so 200 means committed.
- `request` on a `Query`: one answer, or `NoAnswer`.
- `signal` on a `Hint`: a wake-up that may be lost. Whoever misses one finds the truth in the tables.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog

from shared.errors import BusUnavailable, NoAnswer
from shared.model import Model

M = TypeVar("M", bound=Model)
Q = TypeVar("Q", bound=Model)
A = TypeVar("A", bound=Model)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Topic(Generic[M]):
    """A durable stream of messages of one type."""

    name: str
    model: type[M]


@dataclass(frozen=True)
class Query(Generic[Q, A]):
    """A question with one answer."""

    name: str
    question: type[Q]
    answer: type[A]


@dataclass(frozen=True)
class Hint(Generic[M]):
    """A wake-up for everyone who listens now."""

    name: str
    model: type[M]


class Bus(Protocol):
    """What every engine promises; `tests/contract/test_bus.py` holds each to it."""

    async def publish(self, topic: Topic[M], message: M) -> None:
        """Return once the message will be handled whatever fails next; raise `BusUnavailable` if it was not taken.

        An error of the handler that says "not now" reaches the publisher in one process and leads to redelivery across
        several: either way the message is not lost.
        """
        ...

    def consume(self, topic: Topic[M], handler: Callable[[M], Awaitable[None]]) -> None:
        """Hand each message of the topic to the one handler, in the order in which each publisher published."""
        ...

    async def request(self, query: Query[Q, A], question: Q) -> A:
        """The answer of whoever serves the query; raises `NoAnswer`."""
        ...

    def serve(self, query: Query[Q, A], handler: Callable[[Q], Awaitable[A]]) -> None: ...

    def signal(self, hint: Hint[M], message: M) -> None:
        """Wake whoever listens. Never waits, never fails."""
        ...

    def listen(self, hint: Hint[M], handler: Callable[[M], None]) -> Callable[[], None]:
        """Call the handler for each signal until the returned function is called. The handler must not block."""
        ...


class LocalBus:
    """The bus inside one process: `publish` is a call."""

    def __init__(self) -> None:
        self._consumers: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self._servers: dict[str, Callable[[Any], Awaitable[Any]]] = {}
        self._listeners: dict[str, dict[object, Callable[[Any], None]]] = {}

    async def publish(self, topic: Topic[M], message: M) -> None:
        handler = self._consumers.get(topic.name)
        if handler is None:
            raise BusUnavailable(f"Nothing consumes {topic.name} in this process; start the part that does.")
        await handler(message)

    def consume(self, topic: Topic[M], handler: Callable[[M], Awaitable[None]]) -> None:
        if topic.name in self._consumers:
            raise ValueError(f"{topic.name} has a consumer already")
        self._consumers[topic.name] = handler

    async def request(self, query: Query[Q, A], question: Q) -> A:
        handler = self._servers.get(query.name)
        if handler is None:
            raise NoAnswer(f"Nothing answers {query.name} in this process; start the part that does.")
        answer: A = await handler(question)
        return answer

    def serve(self, query: Query[Q, A], handler: Callable[[Q], Awaitable[A]]) -> None:
        if query.name in self._servers:
            raise ValueError(f"{query.name} is served already")
        self._servers[query.name] = handler

    def signal(self, hint: Hint[M], message: M) -> None:
        for handler in tuple(self._listeners.get(hint.name, {}).values()):
            try:
                handler(message)
            except Exception:  # a listener's fault is not the signaller's
                log.exception("bus.listener_failed", hint=hint.name)

    def listen(self, hint: Hint[M], handler: Callable[[M], None]) -> Callable[[], None]:
        listeners, this = self._listeners.setdefault(hint.name, {}), object()
        listeners[this] = handler

        def stop() -> None:
            listeners.pop(this, None)

        return stop


@contextlib.asynccontextmanager
async def local_bus() -> AsyncIterator[LocalBus]:
    """A bus for as long as the block lasts."""
    yield LocalBus()
