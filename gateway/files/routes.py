"""`/v1/attachments`, and `/files/...`, where a link leads."""

import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from gateway.calls import PROBLEMS, REPLAYED, Call, CanRead, CanWrite, core_of, the_id
from gateway.core import Core
from gateway.files.store import ADD, BY_ID
from gateway.problems import FieldError, Problem, not_found
from gateway.requests import StrictRoute
from gateway.views import AttachmentView
from shared.errors import Rejected
from shared.ids import ATTACHMENT, new_uuid, show_id
from shared.model import storable
from shared.signing import BadToken

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["attachments"])
served = APIRouter(include_in_schema=False)

PIECE_BYTES: Final = 256 * 1024
OCTETS: Final = "application/octet-stream"
MIME: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
# What a browser may be told a file is: types that cannot run anything. All else is bytes to be saved.
SHOWN: Final = re.compile(r"image/(png|jpeg|gif|webp|avif)|audio/[\w.+-]+|video/[\w.+-]+|application/pdf|text/plain")
RANGE: Final = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")
FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}


@router.post("/v1/attachments", operation_id="attachments.create", status_code=201, response_model=AttachmentView,
             openapi_extra=FORM)  # fmt: skip
async def upload(call: CanWrite) -> Response:
    """Keep a file, to be named in a message within a day: one part `file` of a multipart form."""
    async with await the_form(call.request) as form:
        file = the_file(form)
        key = new_uuid()
        size, sha256 = await keep(call.core, file, show_id(ATTACHMENT, key))
        named = {
            "shop_id": call.shop_id,
            "id": key,
            "mime": mime_of(file.content_type),
            "name": name_of(file.filename),
            "size": size,
            "sha256": sha256,
        }
    told = f"{call.request.method} {call.request.url.path}\n{named['mime']}\n{named['name']}\n{sha256}"
    try:
        answer = await call.once(
            lambda connection: add(connection, call, named),
            status=201,
            fingerprint=hashlib.sha256(told.encode()).digest(),
        )
    except BaseException:
        await call.core.files.delete(show_id(ATTACHMENT, key))
        raise
    if answer.status_code != 201 or REPLAYED in answer.headers:
        await call.core.files.delete(show_id(ATTACHMENT, key))
    return answer


async def the_form(request: Request) -> Any:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem("unsupported_media_type", "Send the file as the part `file` of `multipart/form-data`.")
    try:
        return await FormWithin.read(request)
    except HTTPException as error:
        raise Problem("bad_request", f"The form cannot be read: {error.detail}") from error


class FormWithin:
    """A form whose files are closed at the end of the block."""

    def __init__(self, form: FormData) -> None:
        self._form = form

    @classmethod
    async def read(cls, request: Request) -> "FormWithin":
        return cls(await request.form(max_files=1, max_fields=8))

    async def __aenter__(self) -> FormData:
        return self._form

    async def __aexit__(self, *_: object) -> None:
        await self._form.close()


def the_file(form: FormData) -> UploadFile:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        error = FieldError(pointer="/file", code="missing", detail="The part `file` with the file is missing.")
        raise Problem("validation_failed", "Send the file as the part `file` of the form.", errors=[error])
    return file


async def keep(core: Core, file: UploadFile, attachment: str) -> tuple[int, str]:
    """(bytes, SHA-256 in hexadecimal); raises `Problem` for a file that is too large."""
    try:
        async with core.files.writer(attachment, max_bytes=core.settings.max_attachment_bytes) as writer:
            while piece := await file.read(PIECE_BYTES):
                await writer.write(piece)
    except Rejected as error:
        raise Problem("body_too_large", error.detail) from error
    return writer.size, writer.sha256


def mime_of(text: str | None) -> str:
    essence = (text or "").partition(";")[0].strip().lower()
    return essence if MIME.fullmatch(essence) else OCTETS


def name_of(text: str | None) -> str | None:
    """The last part of a path, without what could end a header or a line."""
    name = str(storable((text or "").replace("\\", "/").rpartition("/")[2]))
    return "".join(letter for letter in name if letter.isprintable())[:200] or None


async def add(connection: AsyncConnection, call: Call, named: dict[str, Any]) -> AttachmentView:
    await connection.execute(ADD, named)
    row = (await connection.execute(BY_ID, {"shop_id": call.shop_id, "id": named["id"]})).one()
    return attachment_view(call.core, row)


def attachment_view(core: Core, row: Any) -> AttachmentView:
    return AttachmentView(
        id=show_id(ATTACHMENT, row.id),
        state=row.state,
        mime=row.mime,
        name=row.name,
        size=row.size,
        sha256=row.sha256,
        failure=row.failure,
        url=core.links.make(row.shop_id, row.id) if row.state == "kept" else None,
        created_at=row.created_at,
    )


@router.get("/v1/attachments/{id}", operation_id="attachments.get")
async def get_attachment(call: CanRead, id: str) -> AttachmentView:
    key = the_id(ATTACHMENT, id, "attachment")
    async with call.read() as connection:
        row = (await connection.execute(BY_ID, {"shop_id": call.shop_id, "id": key})).one_or_none()
    if row is None:
        raise not_found("attachment")
    return attachment_view(call.core, row)


@served.get("/files/{token}")
async def download(request: Request, token: str) -> Response:
    """The file behind a link: whoever has the link may have the file, until it runs out."""
    core = core_of(request)
    try:
        shop_id, key, end = core.links.read(token)
    except BadToken as error:
        raise Problem("not_found", "This link is not valid or no longer so; ask for the message again.") from error
    async with core.db.shop(shop_id) as connection:
        row = (await connection.execute(BY_ID, {"shop_id": shop_id, "id": key})).one_or_none()
    if row is None or row.state != "kept":
        raise not_found("file")
    start, stop, status = wanted_range(request.headers.get("range"), row.size)
    headers = {
        "Content-Length": str(stop - start),
        "Content-Disposition": disposition(row.name),
        "Accept-Ranges": "bytes",
        "Cache-Control": f"private, max-age={max(0, int((end - core.clock()).total_seconds()))}, immutable",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{row.size}"
    mime = row.mime if row.mime and SHOWN.fullmatch(row.mime) else OCTETS
    pieces = core.files.stream(show_id(ATTACHMENT, key), start=start, stop=stop)
    return StreamingResponse(await started(pieces), status_code=status, headers=headers, media_type=mime)


def disposition(name: str | None) -> str:
    """RFC 6266: always to be saved, never shown as a page of ours."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}" if name else "attachment"


def wanted_range(header: str | None, size: int) -> tuple[int, int, int]:
    """(start, stop, status) of a `Range` header; several ranges, or one that cannot be, get the whole."""
    found = RANGE.fullmatch(header or "")
    if found is None:
        return 0, size, 200
    start, stop = int(found[1]), int(found[2]) + 1 if found[2] else size
    return (start, min(stop, size), 206) if start < min(stop, size) else (0, size, 200)


async def started(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same pieces, the first of them read: what is missing is told while there is still a status to give."""
    try:
        first = await anext(pieces, b"")
    except Rejected as error:
        raise not_found("file") from error

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_of_them()
