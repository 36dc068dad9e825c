"""Reading a mailbox: what is new is handed over and only then counted as read.

How far we have come is a UIDVALIDITY and a UID for each folder. It is kept after the mails before it are safe, so a
connection or a process that dies in between leads to the same mails again, which the journal knows by their content.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

import structlog

from connectors.email.config import EmailConfig
from connectors.email.mailbox import Folder, Mailbox, Size
from shared.clock import Clock
from shared.connector import Place
from shared.errors import BusError, SendError, Unavailable
from shared.model import Notes

log = structlog.get_logger(__name__)

T = TypeVar("T")

MAIL_MAX_BYTES: Final = 50_000_000  # of what is larger the beginning is read, and the rest stays in the mailbox
BEGINNING_BYTES: Final = 512 * 1024
SET_MAX: Final = 25
SET_MAX_BYTES: Final = 8_000_000
SIZES_AT_ONCE: Final = 200
LOOK_BACK: Final = timedelta(days=2)  # INTERNALDATE and SEARCH SINCE know days of the server's time zone
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Fetched:
    """A mail from the server. `whole` is False where only its beginning was fetched."""

    folder: str
    raw: bytes
    arrived_at: datetime | None
    whole: bool = True


Take = Callable[[Sequence[Fetched]], Awaitable[None]]
LogIn = Callable[[], Awaitable[tuple[str | None, str | None]]]


class Reader:
    """Reads until cancelled. `take` returns once the mails are safe; `log_in` gives a password or a token."""

    def __init__(
        self, config: EmailConfig, mailbox: Mailbox, place: Place, clock: Clock, *, take: Take, log_in: LogIn
    ) -> None:
        self._config = config
        self._mailbox = mailbox
        self._place = place
        self._clock = clock
        self._take = take
        self._log_in = log_in
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="imap")
        self._refused: Counter[tuple[str, int]] = Counter()
        self._closed = False
        self.trouble: str | None = None

    async def run(self) -> None:
        """Raises a `SendError` or a `BusError`; whoever called tries again, and nothing is lost by it."""
        try:
            password, token = await self._log_in()
            await self._do(self._mailbox.open, password, token)
            while True:
                for folder in self.folders:
                    await self._catch_up(folder)
                self.trouble = None
                await self._wait()
        except (SendError, BusError) as error:
            self.trouble = error.detail
            raise
        finally:
            self._mailbox.break_off()  # the thread may still wait for the server
            if not self._closed:
                # Handed to the thread at once: a task would begin only after a `close` that comes meanwhile.
                closing = asyncio.get_running_loop().run_in_executor(self._thread, self._mailbox.close)
                await asyncio.shield(closing)

    @property
    def folders(self) -> list[str]:
        return [one for one in (self._config.sent_folder, self._config.folder) if one]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._mailbox.break_off()
        self._thread.submit(self._mailbox.close)
        self._thread.shutdown(wait=False)

    async def _do(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    async def _wait(self) -> None:
        """Until the server tells of something, or it is time to look."""
        seconds = self._config.poll_s
        if await self._do(lambda: self._mailbox.can_idle):
            await self._do(self._mailbox.idle, seconds)
        else:
            await asyncio.sleep(seconds)

    async def _catch_up(self, name: str) -> None:
        folder = await self._do(self._mailbox.select, name)
        mark = mark_of(self._place.last(), name)
        if mark is None:
            uids = await self._begin(name, folder)
        elif mark["validity"] != folder.validity:
            uids = await self._begin_again(name, folder, date.fromisoformat(mark["since"]))
        else:
            uids = await self._do(self._mailbox.uids_after, mark["uid"])
        for start in range(0, len(uids), SIZES_AT_ONCE):
            some = uids[start : start + SIZES_AT_ONCE]
            await self._fetch(name, folder, some, await self._do(self._mailbox.sizes, some))

    async def _begin(self, name: str, folder: Folder) -> list[int]:
        """The first time: from now on, and so many days of what was there before as the shop wants."""
        since = self._clock().date() - timedelta(days=self._config.import_days)
        uids = await self._do(self._mailbox.uids_since, since) if self._config.import_days else []
        if uids:
            await self._keep(name, folder, uids[0] - 1, since)
            return uids
        before = await self._newest(folder)
        await self._keep(name, folder, before, since)
        log.info("email.begins", folder=name, after_uid=before)
        return []

    async def _begin_again(self, name: str, folder: Folder, since: date) -> list[int]:
        """The server counts anew: look through what may have come since the last mail; what we have is recognised."""
        uids = await self._do(self._mailbox.uids_since, since - LOOK_BACK)
        log.warning("email.counted_anew", folder=name, mails=len(uids))
        if not uids:
            await self._keep(name, folder, await self._newest(folder), since)
        return uids

    async def _newest(self, folder: Folder) -> int:
        """The last UID that has been given out so far."""
        if folder.next_uid is not None:
            return folder.next_uid - 1
        return max(await self._do(self._mailbox.uids_after, 0), default=0)

    async def _fetch(self, name: str, folder: Folder, uids: Sequence[int], sizes: dict[int, Size]) -> None:
        """Hand over mail by mail, several small ones at once, and count each set once it is safe."""
        ready: list[Fetched] = []
        for uid in uids:
            size = sizes.get(uid) or (await self._do(self._mailbox.sizes, [uid])).get(uid)
            if size is not None:  # else it was deleted meanwhile
                mail = await self._fetch_one(name, uid, size)
                ready += [mail] if mail is not None else []
            if len(ready) >= SET_MAX or sum(len(mail.raw) for mail in ready) >= SET_MAX_BYTES or uid == uids[-1]:
                await self._hand_over(name, folder, uid, ready)
                ready = []

    async def _hand_over(self, name: str, folder: Folder, uid: int, mails: Sequence[Fetched]) -> None:
        if mails:
            await self._take(mails)
        since = max((mail.arrived_at.date() for mail in mails if mail.arrived_at), default=None)
        await self._keep(name, folder, uid, since)

    async def _fetch_one(self, name: str, uid: int, size: Size) -> Fetched | None:
        whole = size.size <= MAIL_MAX_BYTES
        raw = await self._do(self._mailbox.content, uid, None if whole else BEGINNING_BYTES)
        if raw is None:
            return await self._not_handed_over(name, uid, size)
        self._refused.pop((name, uid), None)
        return Fetched(name, raw, size.arrived_at, whole)

    async def _not_handed_over(self, name: str, uid: int, size: Size) -> Fetched | None:
        """The server names a mail that it does not give. If it is still there, ask again, but not for ever."""
        if uid not in await self._do(self._mailbox.sizes, [uid]):
            return None
        self._refused[name, uid] += 1
        if self._refused[name, uid] < TRIES:
            raise Unavailable(f"The mail server names a mail (UID {uid} in {name}) and does not hand it over.")
        return Fetched(name, NOT_HANDED_OVER % (uid, name.encode("utf-8", "replace")), size.arrived_at, whole=False)

    async def _keep(self, name: str, folder: Folder, uid: int, since: date | None) -> None:
        place = self._place.last()
        known = mark_of(place, name)
        today = self._clock().date()
        days = [since, date.fromisoformat(known["since"]) if known else None]
        latest = max((min(day, today) for day in days if day), default=today)  # a mail may come from the future
        mark: Notes = {"validity": folder.validity, "uid": uid, "since": latest.isoformat()}
        marks: Notes = {one: other for one in self.folders if (other := mark_of(place, one))}
        await self._place.keep({**place, MARKS: {**marks, name: mark}})


MARKS: Final = "folders"
NOT_HANDED_OVER: Final = (
    b"From: mailer-daemon\r\nSubject: A mail that the server does not hand over\r\n"
    b"Auto-Submitted: auto-generated\r\n\r\n"
    b"The mail server names a mail (UID %d in the folder %s) and does not hand it over. Look for it there.\r\n"
)


def mark_of(place: Notes, folder: str) -> Any | None:
    """How far a folder was read: its UIDVALIDITY, the last UID, and the day on which the last mail came."""
    marks = place.get(MARKS)
    mark = marks.get(folder) if isinstance(marks, dict) else None
    return mark if isinstance(mark, dict) else None
