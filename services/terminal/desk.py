"""One agent at work: the client, the inbox it fills, and what the agent does. Draws nothing."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

from shopbell_client import (
    Client,
    ConnectionState,
    Conversation,
    Event,
    Forbidden,
    Gone,
    Me,
    Message,
    NotFound,
    ShopbellError,
    Unauthorized,
    ValidationFailed,
)

from services.terminal.inbox import Inbox, fold

__all__ = ["Desk", "utc_now"]

_LIST_LIMIT = 200  # the API's most; the waiting ones are fetched on top, however old
_THREAD_LIMIT = 100
_LOAD_AGAIN_S = 3.0
_TYPING_EVERY_S = 3.0
_READ_AGAIN_S = 5.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class Desk:
    """Keeps `inbox` true while `work` runs and carries out what the agent asks for.

    No call raises a ShopbellError: its sentence goes to `on_notice`. `on_change` is called after
    every change of `inbox` or `connection`, `on_event` before it with the event that made it.
    """

    def __init__(
        self,
        client: Client,
        *,
        now: Callable[[], datetime] = utc_now,
        on_change: Callable[[], None] = lambda: None,
        on_event: Callable[[Event], None] = lambda _event: None,
        on_notice: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.inbox = Inbox()
        self.me: Me | None = None
        self.connection: ConnectionState = "connecting"
        self.loaded = asyncio.Event()
        self._client = client
        self._now = now
        self._on_change, self._on_event, self._on_notice = on_change, on_event, on_notice
        self._sending = asyncio.Lock()
        self._unsent: dict[tuple[str, str], str] = {}
        self._asked_read: dict[str, int] = {}
        self._not_read_at: dict[str, datetime] = {}
        self._older: dict[str, str] = {}
        self._typing_at: dict[str, datetime] = {}
        self._cannot_type: set[str] = set()

    async def work(self) -> None:
        """Load, then follow the events, for ever; return only when the token no longer serves."""
        while True:
            try:
                await self._follow(await self._load())
            except (Unauthorized, Forbidden) as error:
                self._on_notice(error.sentence)
                self._set_connection("lost")
                return
            except Gone:
                self._on_notice("Away for longer than events are kept: loading everything again.")
            except ShopbellError as error:
                self._on_notice(error.sentence)
                self._set_connection("lost")
                await asyncio.sleep(_LOAD_AGAIN_S)

    async def refresh(self, conversation_id: str | None) -> None:
        """Fetch the lists and one thread again while events go on coming."""
        try:
            self._set(self.inbox.with_conversations(await self._list()))
        except ShopbellError as error:
            self._on_notice(error.sentence)
            return
        self._forget_asked()
        if conversation_id is not None:
            await self._fetch_thread(conversation_id)

    async def open(self, conversation_id: str) -> None:
        """Have the newest messages of the conversation in the inbox."""
        if conversation_id not in self.inbox.threads:
            await self._fetch_thread(conversation_id)

    async def older(self, conversation_id: str) -> bool:
        """Have the page before the oldest message of an open thread too; False when there is none."""
        before = self._older.get(conversation_id)
        if before is None:
            return False
        try:
            found = await self._thread(conversation_id, before)
        except ShopbellError as error:
            self._on_notice(error.sentence)
            return False
        self._set(self.inbox.with_thread(conversation_id, found.values()))
        return True

    async def send(self, conversation_id: str, text: str) -> Message | None:
        """Send in the order of the calls; None when the server did not take it.

        The same text to the same conversation after a failure is the same message: it never
        arrives twice, even when only the answer was lost.
        """
        self._typing_at.pop(conversation_id, None)  # a message ends the signal: the next letter renews it
        async with self._sending:
            # Not before its turn: the same text may be on its way, and is then another message.
            reference = self._unsent.setdefault((conversation_id, text), f"terminal-{uuid.uuid4()}")
            try:
                sent = await self._client.messages.send(
                    conversation_id, text=text, client_ref=reference, idempotency_key=reference
                )
            except ShopbellError as error:
                self._on_notice(f"Not sent: {error.sentence}")
                return None
            del self._unsent[conversation_id, text]
        self._take(Event(type="message.queued", conversation=conversation_id, data=sent))
        return sent

    async def mark_read(self, conversation_id: str) -> None:
        """Mark an open thread read up to its newest inbound message, once; what failed may be tried again after 5 s."""
        newest = self.inbox.unread_up_to(conversation_id)
        if newest is None or newest.seq <= self._asked_read.get(conversation_id, 0):
            return
        if self._is_sooner(_READ_AGAIN_S, self._not_read_at.get(conversation_id)):
            return
        self._asked_read[conversation_id] = newest.seq
        try:
            await self._client.conversations.read(conversation_id, up_to=newest.id)
        except ShopbellError as error:
            self._not_read_at[conversation_id] = self._now()
            self._asked_read.pop(conversation_id, None)
            self._on_notice(f"Not marked read: {error.sentence}")
            return
        self._set(self.inbox.with_read(conversation_id, newest.seq))

    async def typing(self, conversation_id: str) -> None:
        """Show the customer that somebody writes, at most every 3 s; where it cannot be shown, nothing."""
        too_soon = self._is_sooner(_TYPING_EVERY_S, self._typing_at.get(conversation_id))
        if too_soon or conversation_id in self._cannot_type:
            return
        self._typing_at[conversation_id] = self._now()
        try:
            await self._client.conversations.typing(conversation_id, on=True)
        except ValidationFailed:
            self._cannot_type.add(conversation_id)
        except ShopbellError:
            pass  # a courtesy that is worthless a moment later: nothing to tell the agent

    def _is_sooner(self, pause_s: float, last: datetime | None) -> bool:
        """Whether the pause since then is not over."""
        return last is not None and (self._now() - last).total_seconds() < pause_s

    def _forget_asked(self) -> None:
        self._asked_read.clear()
        self._not_read_at.clear()

    async def _load(self) -> str:
        """Fill the inbox and return the cursor from which events complete it."""
        self.me = self.me or await self._client.me()
        # The cursor first: what happens while the lists load comes again as an event.
        cursor = (await self._client.events_page(after="now")).next
        found = await self._list()
        threads = {opened: await self._thread(opened) for opened in self.inbox.threads}
        inbox = Inbox(typing_until=self.inbox.typing_until, threads={**self.inbox.threads, **threads})
        self._set(inbox.with_conversations(found))
        self._forget_asked()
        self.loaded.set()
        return cursor

    async def _list(self) -> list[Conversation]:
        page = await self._client.conversations.list(limit=_LIST_LIMIT)
        waiting = self._client.conversations.iterate(waiting=True, limit=_LIST_LIMIT)
        return [*page.items, *[one async for one in waiting]]

    async def _thread(self, conversation_id: str, before: str | None = None) -> dict[str, Message]:
        page = await self._client.messages.list(conversation_id, limit=_THREAD_LIMIT, before=before)
        if page.prev is None:
            self._older.pop(conversation_id, None)
        else:
            self._older[conversation_id] = page.prev
        return {message.id: message for message in page.items}

    async def _follow(self, cursor: str) -> None:
        events = self._client.events(after=cursor, on_state=self._set_connection)
        async with aclosing(events):
            async for event in events:
                self._take(event)
                for conversation_id in self.inbox.unknown:
                    await self._meet(conversation_id)

    async def _fetch_thread(self, conversation_id: str) -> None:
        # Opened before the fetch, so that what happens during it is kept.
        self._set(self.inbox.with_thread(conversation_id))
        try:
            found = await self._thread(conversation_id)
        except ShopbellError as error:
            threads = {key: one for key, one in self.inbox.threads.items() if key != conversation_id}
            self._set(replace(self.inbox, threads=threads))
            self._on_notice(error.sentence)
            return
        self._set(self.inbox.with_thread(conversation_id, found.values()))

    async def _meet(self, conversation_id: str) -> None:
        """Fetch a conversation that only events spoke of."""
        try:
            found = await self._client.conversations.get(conversation_id)
        except NotFound:  # erased meanwhile
            self._set(replace(self.inbox, unknown=self.inbox.unknown - {conversation_id}))
            return
        self._set(self.inbox.with_conversations([found]))

    def _take(self, event: Event) -> None:
        before = self.inbox
        self.inbox = fold(before, event, now=self._now())
        self._on_event(event)
        if self.inbox is not before:
            self._on_change()

    def _set(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self._on_change()

    def _set_connection(self, state: ConnectionState) -> None:
        self.connection = state
        self._on_change()
