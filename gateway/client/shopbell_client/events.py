"""The feed of events: one page, or a stream that outlives connections and restarts of the server."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from typing import Literal

import httpx
from pydantic import ValidationError

from shopbell_client.errors import BadAnswer, RateLimited, ServerError, bad_answer
from shopbell_client.models import Event, EventPage
from shopbell_client.sse import ServerSentEvent, SSEParser
from shopbell_client.wire import Query, Wire, backoff_s, failure_of, unreachable

__all__ = ["ConnectionState", "EventStream", "fetch_page"]

ConnectionState = Literal["connecting", "connected", "lost"]

_PATH = "/v1/events"
_LAST_WORD = "auth_expired"  # of a server to whom our token is over
_LONGEST_PAUSE_S = 60.0
_REMEMBERED_IDS = 4096  # far more than a server repeats after a reconnect


async def fetch_page(
    wire: Wire, *, after: str | None, types: Collection[str], wait: int, limit: int | None
) -> EventPage:
    """Return the events after the cursor; hold up to `wait` seconds while there are none."""
    query: Query = {"after": after, "types": ",".join(types) or None, "wait": wait or None, "limit": limit}
    return await wire.one(EventPage, "GET", _PATH, query=query, extra_wait_s=wait)


class EventStream:
    """One reader's place in the feed. `events` may be walked once."""

    def __init__(
        self,
        wire: Wire,
        *,
        after: str | None,
        types: Collection[str],
        silence_s: float,
        on_state: Callable[[ConnectionState], None],
    ) -> None:
        self._wire = wire
        self._cursor = after
        self._types = ",".join(types) or None
        self._silence_s = silence_s
        self._on_state = on_state
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._failures = 0
        self._pause_s = 0.0

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yield each event once, in order; raise only what waiting cannot cure."""
        while True:
            self._on_state("connecting")
            try:
                async with aclosing(self._one_connection()) as events:
                    async for event in events:
                        yield event
            except BadAnswer:
                raise
            except (ServerError, RateLimited) as error:
                self._pause_s = min(error.retry_after_s or self._pause_s, _LONGEST_PAUSE_S)
            self._on_state("lost")
            await asyncio.sleep(backoff_s(self._failures, self._wire.base_backoff_s, self._pause_s))
            self._failures += 1

    async def _one_connection(self) -> AsyncGenerator[Event, None]:
        """Yield what one connection brings until it ends; a lost one raises Unreachable."""
        await self._settle_now()
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._cursor is not None:
            headers["Last-Event-ID"] = self._cursor
        query: Query = {"after": self._cursor, "types": self._types}
        try:
            opened = self._wire.stream(_PATH, query=query, headers=headers, silence_s=self._silence_s)
            async with opened as response:
                await _check(response)
                async with aclosing(self._read(response)) as events:
                    async for event in events:
                        yield event
        except httpx.HTTPError as error:
            raise unreachable(self._wire.base_url, error) from error

    async def _settle_now(self) -> None:
        """Turn "now" into a cursor first: a connection lost before the first event then loses nothing."""
        if self._cursor == "now":
            self._cursor = (await fetch_page(self._wire, after="now", types=(), wait=0, limit=1)).next

    async def _read(self, response: httpx.Response) -> AsyncGenerator[Event, None]:
        self._on_state("connected")
        parser = SSEParser()
        async for chunk in response.aiter_bytes():
            self._failures = 0
            for found in parser.feed(chunk):
                if found.event == _LAST_WORD:
                    return  # the next connection is refused, and that says why
                event = _event(found)
                if self._is_new(event):
                    self._cursor = event.cursor or self._cursor
                    yield event
            self._cursor = parser.last_event_id or self._cursor
            self._pause_s = (parser.retry_ms or 0) / 1000

    def _is_new(self, event: Event) -> bool:
        if event.id is None or event.cursor is None:
            return True
        if event.id in self._seen:
            return False
        self._seen[event.id] = None
        if len(self._seen) > _REMEMBERED_IDS:
            self._seen.popitem(last=False)
        return True


async def _check(response: httpx.Response) -> None:
    if response.is_success and "text/event-stream" in response.headers.get("Content-Type", ""):
        return
    await response.aread()
    if not response.is_success:
        raise failure_of(response)
    raise bad_answer("The server did not answer with an event stream.")


def _event(found: ServerSentEvent) -> Event:
    try:
        event = Event.model_validate_json(found.data)
    except ValidationError:
        raise bad_answer(f"An event of type {found.event!r} is not one of this API.") from None
    if event.cursor is None and found.id is not None:
        return event.model_copy(update={"cursor": found.id})
    return event
