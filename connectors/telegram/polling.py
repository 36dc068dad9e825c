"""Asking Telegram for updates. An update counts as taken only when it is safe, whatever fails in between."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, Protocol

import structlog
from aiogram.methods import DeleteWebhook, TelegramMethod
from pydantic import Field

from connectors.telegram.inbound import ALLOWED_UPDATES, parse_update
from connectors.telegram.telling import Telling
from shared.errors import AuthExpired, BusError, Ignored, SendError
from shared.events import InboundEvent

log = structlog.get_logger(__name__)

LONG_POLL_S: Final = 50  # the longest that the server waits (LONG_POLL_MAX_TIMEOUT)
ANSWER_TIMEOUT_S: Final = LONG_POLL_S + 10
BATCH_MAX: Final = 100
PAUSES_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
AT_LEAST_S: Final = 0.5  # between two questions without an answer, to a server that does not wait

Take = Callable[[Sequence[InboundEvent]], Awaitable[None]]


class Call(Protocol):
    """One call of a method; raises a `SendError`."""

    async def __call__(self, method: TelegramMethod[Any], /, *, timeout_s: int = ...) -> Any: ...


class GetUpdates(TelegramMethod[list[Any]]):
    """getUpdates with each update as JSON: aiogram's own refuses a hundred of them for one that it cannot read."""

    __returning__: ClassVar[Any] = list[Any]
    __api_method__: ClassVar[str] = "getUpdates"

    offset: int | None = None
    limit: int = BATCH_MAX
    timeout: int = LONG_POLL_S
    allowed_updates: list[str] = Field(default_factory=lambda: list(ALLOWED_UPDATES))


class Poller:
    """Asks until cancelled. `take` returns when the events are safe; `trouble` says in words what is in the way."""

    def __init__(self, call: Call, take: Take, *, account: str, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._call = call
        self._take = take
        self._account = account
        self._pauses_s = pauses_s
        self.trouble: str | None = None

    async def run(self) -> None:
        """Raises `AuthExpired`; everything else is tried again, from the same update."""
        offset: int | None = None
        failures, webhook_gone = 0, False
        while True:
            asked_at = time.monotonic()
            try:
                if not webhook_gone:  # while there is one, Telegram refuses every question
                    await self._call(DeleteWebhook())
                    webhook_gone = True
                updates = await self._call(GetUpdates(offset=offset), timeout_s=ANSWER_TIMEOUT_S) or []
                await self._take(digest(updates, account=self._account))
            except AuthExpired:
                raise
            except (SendError, BusError) as error:
                self.trouble = error.detail
                await self._rest(error, failures)
                failures += 1
                continue
            failures, self.trouble = 0, None
            # Asking with a higher offset is what confirms. After an empty answer all is confirmed, and an offset would
            # only be in the way: after a week without updates the next number is a random one.
            offset = next((after for update in reversed(updates) if (after := number_after(update)) is not None), None)
            if not updates:
                await asyncio.sleep(asked_at + AT_LEAST_S - time.monotonic())

    async def _rest(self, error: SendError | BusError, failures: int) -> None:
        pause = max(self._pauses_s[min(failures, len(self._pauses_s) - 1)], retry_after_s(error))
        log.warning("telegram.polling_failed", error=error.code, detail=error.detail, again_in_s=pause)
        await asyncio.sleep(pause)


def digest(updates: Sequence[Any], *, account: str) -> list[InboundEvent]:
    """The events of all updates, in their order; what cannot be taken apart is one event, and the rest goes on."""
    return [event for update in updates for event in digest_one(update, account=account)]


def digest_one(update: Any, *, account: str) -> list[InboundEvent]:
    raw = json.dumps(update).encode()
    try:
        return parse_update(update, raw, account=account)
    except Ignored:
        return []
    except Exception as error:
        log.exception("telegram.update_not_digested", error=type(error).__name__)
        data = update if isinstance(update, dict) else {}
        return [Telling(data, raw, account).undigested(f"{type(error).__name__} in the connector.")]


def number_after(update: Any) -> int | None:
    number = update.get("update_id") if isinstance(update, dict) else None
    return number + 1 if isinstance(number, int) else None


def retry_after_s(error: SendError | BusError) -> float:
    return (isinstance(error, SendError) and error.retry_after_s) or 0.0
