"""The client: one object per server and token, to be used as `async with Client(...) as client`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from types import TracebackType
from typing import Self

import httpx

from shopbell_client.events import ConnectionState, EventStream, fetch_page
from shopbell_client.groups import (
    Agents,
    Attachments,
    Channels,
    Contacts,
    Conversations,
    InboundJournal,
    Keys,
    Messages,
)
from shopbell_client.models import Event, EventPage, Me
from shopbell_client.wire import Wire

__all__ = ["Client"]


class Client:
    """Talk to the Shopbell API at `base_url` (without `/v1`) with a shop key or an agent token.

    A request that fails for a passing reason is repeated up to `retries` times where that is safe:
    a POST always carries an idempotency key, so a repeated one acts once. `timeout_s` is per attempt.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout_s: float = 10.0,
        retries: int = 5,
        backoff_s: float = 0.25,
    ) -> None:
        self._wire = Wire(
            base_url, token, transport=transport, timeout_s=timeout_s, retries=retries, base_backoff_s=backoff_s
        )
        self.conversations = Conversations(self._wire)
        self.messages = Messages(self._wire)
        self.contacts = Contacts(self._wire)
        self.channels = Channels(self._wire)
        self.attachments = Attachments(self._wire)
        self.agents = Agents(self._wire)
        self.keys = Keys(self._wire)
        self.inbound = InboundJournal(self._wire)

    def __repr__(self) -> str:
        return f"Client({self._wire.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the client is of no use afterwards."""
        await self._wire.close()

    async def me(self) -> Me:
        """Return whom the token speaks for."""
        return await self._wire.one(Me, "GET", "/v1/me")

    async def events_page(
        self, *, after: str | None = None, types: Collection[str] = (), wait: int = 0, limit: int | None = None
    ) -> EventPage:
        """Return events after the cursor, from the oldest kept without one, none yet with "now".

        An empty answer is held back up to `wait` seconds (0-30). Gone when the cursor is too old.
        """
        return await fetch_page(self._wire, after=after, types=types, wait=wait, limit=limit)

    def events(
        self,
        *,
        after: str | None = None,
        types: Collection[str] = (),
        silence_s: float = 40.0,
        on_state: Callable[[ConnectionState], None] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield events as they happen, each once and in order, for ever.

        Starts after a cursor, at "now", or at the oldest kept. Lost connections, restarts of the
        server and `silence_s` without even a heartbeat are bridged from the last cursor; `on_state`
        hears of them. To go on after a restart of your own, keep the `cursor` of the last event you
        have dealt with. Raises Gone when the cursor is too old, Unauthorized when the token expired.
        """
        stream = EventStream(
            self._wire, after=after, types=types, silence_s=silence_s, on_state=on_state or (lambda _state: None)
        )
        return stream.events()
