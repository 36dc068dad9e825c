"""Files that customers send: expected when the message lands, fetched afterwards, shown on the message when they are
here. The text never waits for a picture."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.conversations.store import CONTENT, messages_by_id
from gateway.core import Core
from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.files.store import Expected, expect
from gateway.outbox import queue
from gateway.outbox.queue import DONE, backoff_s
from shared.commands import FetchMedia
from shared.content import Content, Media, files_of, with_files
from shared.events import Address, Fate
from shared.ids import ATTACHMENT, CHANNEL, MESSAGE, SHOP, MalformedId, new_uuid, read_id, show_id
from shared.subjects import FEED_GREW, FeedGrew, MediaReport

log = structlog.get_logger(__name__)

FIND: Final = """
    SELECT m.shop_id, m.id, m.conversation_id, m.content::text AS content, c.contact_id, h.id AS channel_id
    FROM channels h
    JOIN messages m ON (m.shop_id, m.id) = (h.shop_id, $2) JOIN conversations c ON (c.shop_id, c.id) =
        (m.shop_id, m.conversation_id)
    WHERE h.id = $1 FOR UPDATE OF m
"""
TASK: Final = """
    SELECT id, attempts, pace, deadline_at <= now() AS late FROM outbox
    WHERE shop_id = $1 AND lane = $2 AND kind = 'fetch_media' FOR UPDATE
"""
AGAIN: Final = """
    UPDATE outbox SET state = 'ready', lease_until = NULL, available_at = least(now() + $3::interval, deadline_at)
    WHERE shop_id = $1 AND id = $2
"""
KEPT: Final = """
    UPDATE attachments SET state = $3, mime = $4, name = $5, size = $6, sha256 = $7, failure = $8
    WHERE shop_id = $1 AND id = $2
"""
CONTENT_OF: Final = "UPDATE messages SET content = $3::jsonb WHERE shop_id = $1 AND id = $2"


def claimed(content: Content) -> Content:
    """The content with an attachment of ours for each file that is still at the provider."""
    return with_files(content, [claimed_file(file) for file in files_of(content)])


def claimed_file(file: Media) -> Media:
    if file.source is None or file.attachment is not None or file.failure is not None:
        return file
    return file.model_copy(update={"attachment": show_id(ATTACHMENT, new_uuid())})


def expected(shop_id: uuid.UUID, message_id: uuid.UUID, content: Content) -> list[Expected]:
    """What has to be fetched for a message."""
    return [
        Expected(shop_id, read_id(ATTACHMENT, file.attachment), message_id, file)
        for file in files_of(content)
        if file.attachment and file.source
    ]


Order = tuple[Expected, Address, uuid.UUID]  # a file, whose it is, and the channel that has it


async def order(raw: Any, files: Sequence[Order]) -> None:
    """Have the files fetched, each with its address and channel; in the transaction of their messages."""
    await expect(raw, [file for file, _, _ in files])
    for file, address, channel_id in files:
        attachment = show_id(ATTACHMENT, file.id)
        command = FetchMedia(
            address=address,
            message_id=show_id(MESSAGE, file.message_id),
            attachment=attachment,
            media=file.media,
        )
        await queue.put(
            raw,
            command,
            shop_id=file.shop_id,
            lane=lane_of(attachment),
            channel_id=channel_id,
            channel_type=address.channel,
            pace="file",
        )


def lane_of(attachment: str) -> str:
    return f"file:{attachment}"


class Keeper:
    """Takes in how each fetch ended."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def take(self, report: MediaReport) -> None:
        """Show the file on its message, plan another try, or say on the message why it will not come."""
        try:
            channel_id, message_id = read_id(CHANNEL, report.channel_id), read_id(MESSAGE, report.message_id)
        except MalformedId:
            return
        async with self._core.db.system() as connection:
            raw = await driver(connection)
            row = await raw.fetchrow(FIND, channel_id, message_id)
            if row is None:
                return
            task = await raw.fetchrow(TASK, row["shop_id"], lane_of(report.attachment))
            if task is None or task["attempts"] != report.attempt:
                return  # told twice, or of a try that was given up
            if report.fate in (Fate.LATER, Fate.PAUSE) and not task["late"]:
                wait = max(report.retry_after_s or 0, backoff_s(task["pace"], task["attempts"]))
                await raw.execute(AGAIN, row["shop_id"], task["id"], timedelta(seconds=wait))
                return
            await raw.execute(DONE, row["shop_id"], task["id"])
            await self._show(connection, raw, row, report)
        self._core.bus.signal(FEED_GREW, FeedGrew(shop_id=show_id(SHOP, row["shop_id"])))

    async def _show(self, connection: AsyncConnection, raw: Any, row: Any, report: MediaReport) -> None:
        shop_id, attachment = row["shop_id"], read_id(ATTACHMENT, report.attachment)
        failure = None if report.reason is None else f"The file could not be had: {report.reason.detail}"
        state = "kept" if report.reason is None else "lost"
        await raw.execute(
            KEPT, shop_id, attachment, state, report.mime, report.name, report.size, report.sha256, failure
        )
        content = settled(CONTENT.validate_json(row["content"]), report, failure)
        await raw.execute(CONTENT_OF, shop_id, row["id"], content.model_dump_json(exclude_none=True))
        view = (await messages_by_id(connection, shop_id, [row["id"]]))[row["id"]]
        event = NewEvent(
            shop_id, "message.media", view.model_dump_json(), row["conversation_id"], row["contact_id"], row["id"]
        )
        await append(raw, [event])
        log.info("media.settled", message_id=report.message_id, state=state, bytes=report.size)


def settled(content: Content, report: MediaReport, failure: str | None) -> Content:
    """The content with this file as it stands now."""
    return with_files(content, [settled_file(file, report, failure) for file in files_of(content)])


def settled_file(file: Media, report: MediaReport, failure: str | None) -> Media:
    if file.attachment != report.attachment:
        return file
    if failure is not None:
        return file.model_copy(update={"source": None, "failure": failure})
    told = {"mime": report.mime, "size": report.size, "name": report.name}
    return file.model_copy(update={"source": None, **told})
