"""Attachments in the tables: what is known of each file, and the message that it belongs to."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.database import Database
from gateway.problems import Problem
from shared.content import Content, Media, files_of, with_files
from shared.files import FileStore
from shared.ids import ATTACHMENT, MalformedId, read_id, show_id

ADD: Final = sa.text(
    """
    INSERT INTO attachments (shop_id, id, state, mime, name, size, sha256)
    VALUES (:shop_id, :id, 'kept', :mime, :name, :size, :sha256)
    """
)
EXPECT: Final = """
    INSERT INTO attachments (shop_id, id, state, mime, name, message_id)
    SELECT t.shop_id, t.id, 'expected', t.mime, t.name, t.message_id
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[]) AS t (shop_id, id, mime, name, message_id)
"""
BY_ID: Final = sa.text("SELECT * FROM attachments WHERE shop_id = :shop_id AND id = :id")
THESE: Final = sa.text("SELECT * FROM attachments WHERE shop_id = :shop_id AND id = ANY(:ids) ORDER BY id FOR UPDATE")
GIVE: Final = sa.text(
    "UPDATE attachments SET message_id = :message_id WHERE shop_id = :shop_id AND id = ANY(:ids) AND message_id IS NULL"
)
UNUSED: Final = sa.text(
    "UPDATE attachments SET state = 'lost', failure = 'It was not used within a day.' "
    "WHERE message_id IS NULL AND created_at < now() - interval '1 day' RETURNING id"
)
FORGET: Final = sa.text("DELETE FROM attachments WHERE id = ANY(:ids) AND message_id IS NULL")


@dataclass(frozen=True, slots=True)
class Expected:
    """A file of a message that is still at the provider."""

    shop_id: uuid.UUID
    id: uuid.UUID
    message_id: uuid.UUID
    media: Media


async def expect(raw: Any, files: Sequence[Expected]) -> None:
    """Note files that are to be fetched."""
    await raw.execute(
        EXPECT,
        [file.shop_id for file in files],
        [file.id for file in files],
        [file.media.mime for file in files],
        [file.media.name for file in files],
        [file.message_id for file in files],
    )


async def fill_in(connection: AsyncConnection, shop_id: uuid.UUID, content: Content) -> Content:
    """Content to be sent, with what is known of its files. Raises `Problem` for a file that is not there."""
    wanted = files_of(content)
    if not wanted:
        return content
    known = await these(connection, shop_id, wanted)
    return with_files(content, [filled_media(media, known) for media in wanted])


async def these(connection: AsyncConnection, shop_id: uuid.UUID, wanted: Sequence[Media]) -> dict[str, Any]:
    ids: dict[str, uuid.UUID] = {}
    for media in wanted:
        if media.attachment is not None:
            try:
                ids[media.attachment] = read_id(ATTACHMENT, media.attachment)
            except MalformedId:
                raise no_such_file(media.attachment) from None
    rows = await connection.execute(THESE, {"shop_id": shop_id, "ids": list(ids.values())})
    by_id = {row.id: row for row in rows}
    return {text: by_id[key] for text, key in ids.items() if key in by_id}


def filled_media(media: Media, known: dict[str, Any]) -> Media:
    if media.attachment is None:
        if media.url is None:
            raise Problem(
                "validation_failed",
                "The file is missing: upload it with POST /v1/attachments and name it in `attachment`, or give `url`.",
            )
        return media
    row = known.get(media.attachment)
    if row is None or row.state != "kept":
        raise no_such_file(media.attachment)
    return media.model_copy(
        update={"url": None, "mime": row.mime, "size": row.size, "name": media.name or row.name, "source": None}
    )


def no_such_file(attachment: str) -> Problem:
    return Problem("validation_failed", f"There is no file {attachment!r} here; upload it with POST /v1/attachments.")


async def give(connection: AsyncConnection, shop_id: uuid.UUID, content: Content, message_id: uuid.UUID) -> None:
    """Note to which message the files of this content went: what belongs to none is thrown away after a day."""
    ids = [read_id(ATTACHMENT, media.attachment) for media in files_of(content) if media.attachment]
    if ids:
        await connection.execute(GIVE, {"shop_id": shop_id, "ids": ids, "message_id": message_id})


async def forget_unused(db: Database, files: FileStore) -> None:
    """Throw away what was uploaded and never sent.

    The rows say so first, so that nobody sends it meanwhile, and go last: a file without a row would stay for ever.
    """
    async with db.system() as connection:
        rows = (await connection.execute(UNUSED)).all()
    for row in rows:
        await files.delete(show_id(ATTACHMENT, row.id))
    async with db.system() as connection:
        await connection.execute(FORGET, {"ids": [row.id for row in rows]})
