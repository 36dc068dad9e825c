"""Addresses under which a file can be had for a while, without a token: for browsers, mails and pictures in pages.

They are made when something is shown, never stored, so that what the feed tells years later still opens.
"""

import json
import struct
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.views import ConversationView, MessageView
from shared.clock import Clock
from shared.content import Content, Media, files_of, with_files
from shared.ids import ATTACHMENT, read_id
from shared.signing import BadToken, b64, hmac_sha256, unb64

LIFETIME: Final = timedelta(hours=24)
BODY: Final = struct.Struct(">16s16sI")  # shop, attachment, end in seconds since 1970
TAG_BYTES: Final = 16
MARK: Final = '"attachment":"att_'


class Links:
    """Makes and reads the links of one product. `base` is how the outside reaches us."""

    def __init__(self, key: bytes, base: str, clock: Clock) -> None:
        self._key = key
        self._base = base
        self._clock = clock

    def make(self, shop_id: uuid.UUID, attachment: uuid.UUID) -> str:
        """An absolute URL that serves the file for at least `LIFETIME`, the same for an hour: browsers may cache it."""
        hour = int(self._clock().timestamp()) // 3600 + 1
        body = BODY.pack(shop_id.bytes, attachment.bytes, hour * 3600 + int(LIFETIME.total_seconds()))
        return f"{self._base}/files/{b64(body + hmac_sha256(self._key, body)[:TAG_BYTES])}"

    def read(self, token: str) -> tuple[uuid.UUID, uuid.UUID, datetime]:
        """(shop, attachment, end); raises `BadToken` for what is not ours or has run out."""
        raw = unb64(token)
        body, tag = raw[: BODY.size], raw[BODY.size :]
        if len(body) < BODY.size or tag != hmac_sha256(self._key, body)[:TAG_BYTES]:
            raise BadToken("not one of ours")
        shop, attachment, end = BODY.unpack(body)
        now = self._clock()
        if end < now.timestamp():
            raise BadToken("has run out")
        return uuid.UUID(bytes=shop), uuid.UUID(bytes=attachment), datetime.fromtimestamp(end, tz=now.tzinfo)

    # What is shown

    def message(self, shop_id: uuid.UUID, view: MessageView) -> MessageView:
        content = show_files(view.content, lambda attachment: self.make(shop_id, attachment))
        return view if content is view.content else view.model_copy(update={"content": content})

    def conversation(self, shop_id: uuid.UUID, view: ConversationView) -> ConversationView:
        if view.last_message is None:
            return view
        last = self.message(shop_id, view.last_message)
        return view if last is view.last_message else view.model_copy(update={"last_message": last})

    def json(self, shop_id: uuid.UUID, data: str) -> str:
        """The same for a resource that is JSON already; almost none has a file, and those cost nothing."""
        if MARK not in data:
            return data
        return json.dumps(self._walk(shop_id, json.loads(data)), ensure_ascii=False, separators=(",", ":"))

    def _walk(self, shop_id: uuid.UUID, value: Any) -> Any:
        match value:
            case {"kind": "media", "attachment": str()}:
                shown = show_files(Media.model_validate(value), lambda attachment: self.make(shop_id, attachment))
                return shown.model_dump(mode="json")
            case dict():
                return {name: self._walk(shop_id, inner) for name, inner in value.items()}
            case list():
                return [self._walk(shop_id, inner) for inner in value]
            case _:
                return value


def show_files(content: Content, link: Callable[[uuid.UUID], str]) -> Content:
    """The content with an address for each file that is here, and without what only the provider understands."""
    files = files_of(content)
    return with_files(content, [show_file(file, link) for file in files]) if files else content


def show_file(media: Media, link: Callable[[uuid.UUID], str]) -> Media:
    """A file with a `source` is still to be fetched."""
    here = media.attachment is not None and media.source is None and media.failure is None
    url = link(read_id(ATTACHMENT, media.attachment)) if here and media.attachment else media.url
    return media.model_copy(update={"source": None, "url": url})
