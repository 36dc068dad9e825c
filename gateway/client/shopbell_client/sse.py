"""The text/event-stream format as a pure parser; it reads no socket and knows no event of ours.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

__all__ = ["SSEParser", "ServerSentEvent"]

# Not str.splitlines: that also cuts at U+2028, U+0085 and friends, which are legal inside data.
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    """One dispatched event. `id` is what its own block said, None when the block had no id."""

    data: str
    event: str = "message"
    id: str | None = None


class SSEParser:
    """Turn bytes, cut anywhere, into events. One parser serves one connection.

    `last_event_id` moves only when a block is complete, also when that block carries no data; a
    block that the connection cut short neither moves it nor comes out.
    """

    def __init__(self) -> None:
        self.last_event_id: str | None = None
        self.retry_ms: int | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._skip_lf = False
        self._pieces: list[str] = []
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that `chunk` completes, in order."""
        found = (self._take(line) for line in self._lines(self._decoder.decode(chunk)))
        return [event for event in found if event is not None]

    def _lines(self, text: str) -> list[str]:
        """Return the lines that `text` completes and keep the rest for the next chunk."""
        text = self._without_leftovers(text)
        if not text:
            return []
        *ended, rest = _LINE_END.split(text)
        if ended:
            ended[0] = "".join(self._pieces) + ended[0]
            self._pieces.clear()
        self._pieces.append(rest)
        self._skip_lf = text.endswith("\r")
        return ended

    def _without_leftovers(self, text: str) -> str:
        """Drop a byte order mark at the very start, and the LF of a CRLF cut between two chunks."""
        if not text:
            return text
        if self._at_start:
            self._at_start = False
            return text.removeprefix("\ufeff")
        if self._skip_lf:
            self._skip_lf = False
            return text.removeprefix("\n")
        return text

    def _take(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")  # a comment has an empty name
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
            case _:
                pass  # comments and fields nobody has defined yet

    def _dispatch(self) -> ServerSentEvent | None:
        data, event, event_id = self._data, self._event, self._id
        self._data, self._event, self._id = [], "", None
        if event_id is not None:
            self.last_event_id = event_id
        if not data:
            return None
        return ServerSentEvent(data="\n".join(data), event=event or "message", id=event_id)
