"""From our words to a mail. Pure but for reading the files that it carries.

Facts: RFC 5322 (threading by In-Reply-To and References), 3834 (answers of machines), 8098 (asking for a receipt).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address as Named
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from html import escape
from typing import Final

from connectors.email.capabilities import FILES_MAX_BYTES
from connectors.email.config import EmailConfig
from connectors.email.ids import Signer
from connectors.email.topics import reply_subject
from shared.commands import SendMessage
from shared.connector import Files
from shared.content import Buttons, ContactCard, Content, Location, Media, Text, files_of
from shared.errors import Unreachable, Unsupported
from shared.model import Notes

REFERENCES_MAX: Final = 20
AS_LINK: Final = "A file is in the mail as a link, since only its address was given."
AS_TEXT: Final = "A {what} is in the mail as text."
ID: Final = re.compile(r"(?!.*=\?)[!-;=?-~]{1,300}")  # strangers choose them
MAILBOX: Final = re.compile(r"[^\s\x00-\x1f\x7f<>,;:\"()\[\]\\@=]{1,64}@[^\s<>,;:\"()\[\]\\@=]{1,190}")
LINK: Final = re.compile(r"https?://[^\s<>\"']{3,2000}[^\s<>\"'.,;:!?)\]]")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail that is ready. `message_id` without brackets; `sender` and `recipient` are those of the envelope."""

    message_id: str
    token: str
    sender: str
    recipient: str
    data: bytes
    wide: bool
    """It needs a server that takes addresses beyond ASCII (RFC 6531)."""
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """The text of a mail in both forms, and what became something else on the way."""

    text: str
    html: str
    degraded: tuple[str, ...] = ()


async def write(command: SendMessage, config: EmailConfig, signer: Signer, files: Files, now: datetime) -> Letter:
    """The mail of a command: the same Message-ID however often it is written. Raises `Rejected`, `Unreachable`."""
    recipient = recipient_of(command)
    token = signer.token(command.message_id)
    domain = config.address.rpartition("@")[2]
    words = words_of(command.content, config.signature)
    message = EmailMessage()
    message["Message-ID"] = f"<{token}@{domain}>"
    message["Date"] = format_datetime(now)
    message["From"] = named(config.name or command.author_name or "", config.address)
    message["To"] = named("", recipient)
    message["Subject"] = subject_of(command, config)
    if config.plus_addresses:
        message["Reply-To"] = named(config.name, with_token(config.address, token))
    for name, value in thread_of(command).items():
        message[name] = value
    if command.automatic:
        message["Auto-Submitted"] = "auto-replied"
        message["X-Auto-Response-Suppress"] = "All"
    elif config.ask_read:
        message["Disposition-Notification-To"] = config.address
    message.set_content(words.text, cte="quoted-printable")
    message.add_alternative(words.html, subtype="html", cte="quoted-printable")
    total = 0
    for file in files_of(command.content):
        if file.attachment is not None:
            content = await files.read(file.attachment)
            total += len(content)
            if total > FILES_MAX_BYTES:
                raise Unsupported(f"The files are larger than the {FILES_MAX_BYTES} bytes that mail servers take.")
            attach(message, file, content)
    wide = not f"{config.address}{recipient}".isascii()
    return Letter(
        f"{token}@{domain}",
        token,
        with_token(config.address, token) if config.plus_addresses else config.address,
        recipient,
        message.as_bytes(policy=SMTPUTF8 if wide else SMTP),
        wide,
        words.degraded,
    )


def recipient_of(command: SendMessage) -> str:
    """Where the answer goes: where the customer wants it, else where they wrote from."""
    asked = command.context.get("reply_to")
    address = asked if isinstance(asked, str) else command.address.peer
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or any(letter in address for letter in " \r\n<>,;\0"):
        raise Unreachable("The customer's mail bears no address to which an answer could go.")
    try:
        return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        raise Unreachable("The customer's address has a domain that cannot be.") from None


def named(name: str, address: str) -> Named | str:
    """An address for a header."""
    try:
        return Named(one_line(name), addr_spec=address)
    except (ValueError, IndexError, MessageError):
        if not address.isascii() and MAILBOX.fullmatch(address):  # the library knows none of them (RFC 6531)
            return address
        raise Unreachable("The customer's mail bears no address to which an answer could go.") from None


def with_token(address: str, token: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}+{token}@{domain}"


def subject_of(command: SendMessage, config: EmailConfig) -> str:
    said = command.context.get("subject")
    subject = said if isinstance(said, str) and said.strip() else command.subject
    if not subject or not subject.strip():
        return f"Message from {config.name or config.address}"
    answers = "message_id" in command.context
    return one_line(reply_subject(subject) if answers else subject)


def one_line(text: str) -> str:
    """For a field of the head: no line breaks, and nothing that would be decoded into some."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text).replace("=?", "= ?").split())


def thread_of(command: SendMessage) -> dict[str, str]:
    """What ties the mail to those before it."""
    notes = command.context
    last = command.reply_to or notes.get("message_id")
    if not isinstance(last, str) or not ID.fullmatch(last) or last.startswith("none-"):
        return {}
    earlier = references_in(notes)
    chain = [*(one for one in earlier if one != last), last]
    if len(chain) > REFERENCES_MAX:
        chain = [chain[0], *chain[1 - REFERENCES_MAX :]]
    return {"In-Reply-To": f"<{last}>", "References": " ".join(f"<{one}>" for one in chain)}


def references_in(notes: Notes) -> Sequence[str]:
    told = notes.get("references")
    ids = told if isinstance(told, list) else []
    return [one for one in ids if isinstance(one, str) and ID.fullmatch(one)]


def words_of(content: Content, signature: str) -> Words:
    """The words of a content, with what it cannot carry otherwise, and the signature below."""
    match content:
        case Text():
            words = Words(content.text, content.html or as_html(content.text))
        case Media():
            words = captioned([content])
        case Buttons():
            lines = [f"{number}. {option.label}" for number, option in enumerate(content.options, 1)]
            words = plain("\n".join([content.text, "", *lines]), "choice of buttons")
        case Location():
            place = f"{content.latitude:.6f}, {content.longitude:.6f}"
            link = f"https://www.openstreetmap.org/?mlat={content.latitude:.6f}&mlon={content.longitude:.6f}"
            words = plain("\n".join(filter(None, [content.label, place, link])), "place")
        case ContactCard():
            words = plain("\n".join([content.name, *content.phones, *content.emails]), "contact")
        case _:
            words = captioned(files_of(content))
    if not signature.strip():
        return words
    return Words(
        f"{words.text.rstrip()}\n\n-- \n{signature.strip()}\n",
        f"{words.html}<br><br>-- <br>{as_html(signature.strip())}",
        words.degraded,
    )


def plain(text: str, what: str) -> Words:
    return Words(text, as_html(text), (AS_TEXT.format(what=what),))


def captioned(files: Sequence[Media]) -> Words:
    """What is said with files, and the addresses of those that we do not hold."""
    said = [file for file in files if file.caption]
    links = [file.url for file in files if file.attachment is None and file.url]
    text = "\n\n".join([*(file.caption or "" for file in said), *links])
    html = [file.caption_html or as_html(file.caption or "") for file in said]
    return Words(text, "<br><br>".join([*html, *map(as_html, links)]), (AS_LINK,) if links else ())


def as_html(text: str) -> str:
    """The text as HTML, its addresses as links."""
    pieces, place = [], 0
    for found in LINK.finditer(text):
        link = escape(found.group())
        pieces += [escape(text[place : found.start()]), f'<a href="{link}">{link}</a>']
        place = found.end()
    return "".join([*pieces, escape(text[place:])]).replace("\n", "<br>")


def attach(message: EmailMessage, file: Media, content: bytes) -> None:
    main, _, sub = (file.mime or "application/octet-stream").partition("/")
    if main in ("message", "multipart") or not sub or not re.fullmatch(r"[\w.+-]+/[\w.+-]+", f"{main}/{sub}"):
        main, sub = "application", "octet-stream"
    name = re.sub(r"[\"\\/]", "_", one_line(file.name or "file"))
    message.add_attachment(content, maintype=main, subtype=sub, filename=name)
