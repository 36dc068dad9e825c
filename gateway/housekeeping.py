"""Throw away what has served its time. What people said is not among it."""

import asyncio
from typing import Final

import sqlalchemy as sa
import structlog

from gateway.core import Core
from gateway.files.store import forget_unused

log = structlog.get_logger(__name__)

EVERY_S: Final = 3600.0
# Answers under an Idempotency-Key are promised for 24 h and kept for 72.
STALE: Final = (
    "DELETE FROM idempotency WHERE created_at < now() - interval '72 hours'",
    "DELETE FROM agent_tokens WHERE expires_at < now() - interval '1 day'",
    "DELETE FROM link_codes WHERE expires_at < now()",
    # Receipts of messages that we never sent. They are looked at for minutes, and kept for whoever wonders.
    "DELETE FROM receipts WHERE message_id IS NULL AND recorded_at < now() - interval '7 days'",
)


async def keep_house(core: Core) -> None:
    """Clean up now and then, until cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await clean(core)
        except Exception as error:  # there is a next time
            log.warning("housekeeping.failed", error=type(error).__name__)


async def clean(core: Core) -> None:
    for statement in STALE:
        async with core.db.system() as connection:
            await connection.execute(sa.text(statement))
    await forget_unused(core.db, core.files)
