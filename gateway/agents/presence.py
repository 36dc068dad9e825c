"""Whether somebody of a shop can answer now.

An agent is there while a client with a token of theirs listens to the feed, and for a while after it did. A bot is not
somebody, and a shop's key is nobody in particular.
"""

import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.principals import Principal
from gateway.core import Core
from shared.ids import CHANNEL, MalformedId, read_id
from shared.subjects import StaffedAnswer, StaffedQuestion

THERE_FOR_S: Final = 60  # after the last sign; between two signs of an open stream are at most a heartbeat and 20 s
NOTED_EVERY_S: Final = 20

SEEN: Final = sa.text(
    f"""
    UPDATE agents SET seen_at = now()
    WHERE shop_id = :shop_id AND id = :id
      AND (seen_at IS NULL OR seen_at < now() - interval '{NOTED_EVERY_S} seconds')
    """  # noqa: S608 - made of constants
)
ANYBODY: Final = sa.text(
    f"""
    SELECT EXISTS (
        SELECT 1 FROM agents a JOIN channels c ON c.shop_id = a.shop_id
        WHERE c.id = :channel_id AND a.type = 'human' AND a.seen_at > now() - interval '{THERE_FOR_S} seconds')
    """  # noqa: S608 - made of constants
)


async def note(connection: AsyncConnection, principal: Principal) -> None:
    """The caller is there, if it is a person of the shop."""
    if principal.kind == "agent" and not principal.bot:
        await connection.execute(SEEN, {"shop_id": principal.shop_id, "id": principal.id})


class Attendance:
    """Of one stream: notes from time to time that its caller is still there."""

    def __init__(self, core: Core, principal: Principal, clock: Callable[[], float] = time.monotonic) -> None:
        self._core = core
        self._principal = principal
        self._clock = clock
        self._noted_at = clock()

    async def go_on(self) -> None:
        now = self._clock()
        if now - self._noted_at < NOTED_EVERY_S:
            return
        self._noted_at = now
        async with self._core.db.shop(self._principal.shop_id) as connection:
            await note(connection, self._principal)


class Presence:
    """Answers `STAFFED`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def answer(self, question: StaffedQuestion) -> StaffedAnswer:
        try:
            channel_id = read_id(CHANNEL, question.channel_id)
        except MalformedId:
            return StaffedAnswer(answering=False)
        async with self._core.db.system() as connection:
            return StaffedAnswer(answering=bool(await connection.scalar(ANYBODY, {"channel_id": channel_id})))
