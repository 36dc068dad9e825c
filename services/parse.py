"""`shopbell parse`: how a provider's payload is understood, without a database and without a channel."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TextIO

from shared.content import Text
from shared.errors import Ignored, IngressError, ShopbellError
from shared.events import Bounce, InboundEvent, Mail, MailClass, MessageReceived, ReceiptReported

Parser = Callable[[bytes], Sequence[InboundEvent]]

PARSERS: Final = {
    "email": "connectors.email.inbound",
    "telegram": "connectors.telegram.inbound",
    "whatsapp": "connectors.whatsapp.inbound",
}
STDIN: Final = "-"


class NoParser(ShopbellError):
    """There is no channel type of this name whose payloads can be parsed."""


def parser_of(channel_type: str) -> Parser:
    """Raises `NoParser`. Only that channel's code is loaded."""
    name = PARSERS.get(channel_type)
    if name is None:
        raise NoParser(f"There is no parser for {channel_type!r}; known: {', '.join(sorted(PARSERS))}.")
    parse: Parser = import_module(name).parse_payload
    return parse


def print_parsed(channel_type: str, files: Sequence[Path], out: TextIO) -> bool:
    """A JSON line for each event, one for each file without any; True if no file was malformed."""
    parse, well = parser_of(channel_type), True
    for source, read in sources(files):
        for line in lines_of(parse, source, read):
            well = well and line.get("outcome") != "malformed"
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    out.flush()
    return well


def sources(files: Sequence[Path]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    if not files:
        yield STDIN, sys.stdin.buffer.read
    for path in files:
        yield str(path), (sys.stdin.buffer.read if str(path) == STDIN else path.read_bytes)


def lines_of(parse: Parser, source: str, read: Callable[[], bytes]) -> list[dict[str, Any]]:
    try:
        events = parse(read())
    except Ignored as error:
        return [{"source": source, "outcome": "ignored", "reason": error.detail}]
    except IngressError as error:
        return [{"source": source, "outcome": "malformed", "reason": error.detail}]
    except OSError as error:
        return [{"source": source, "outcome": "malformed", "reason": f"The file cannot be read: {error.strerror}"}]
    if not events:
        return [{"source": source, "outcome": "ignored", "reason": "It holds nothing of interest."}]
    return [show(source, event) for event in events]


def show(source: str, event: InboundEvent) -> dict[str, Any]:
    """The event as it travels, without the raw words and without what says nothing."""
    told = event.model_dump(mode="json", exclude={"raw"}, exclude_none=True)
    if isinstance(event, ReceiptReported) and event.external_ids:
        told["external_id"] = event.external_ids[0]
    return {"source": source, **told, **mail_of(event)}


def mail_of(event: InboundEvent) -> dict[str, Any]:
    """What is asked of a mail, beside what every event tells."""
    match event:
        case ReceiptReported(bounce=Bounce()):
            return {"class": MailClass.BOUNCE}
        case MessageReceived(mail=Mail() as mail, content=Text() as text):
            files = [{"name": file.name, "mime": file.mime, "size": file.size} for file in text.attachments]
            told = {"class": mail.category, "full_text": text.full_text or text.text, "attachments": files}
            return told | ({"bounce": mail.bounce.model_dump(mode="json")} if mail.bounce else {})
        case _:
            return {}
