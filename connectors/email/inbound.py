"""From a raw mail to our words. Pure, and never without a result: what cannot be read comes whole, as a file.

A report about a mail of ours becomes a receipt, every other mail a message: also those of machines, which say so.
"""

import hashlib
import re
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from pydantic import JsonValue

from connectors.email.bodies import Enclosed, Letter, read_letter, subject_of
from connectors.email.capabilities import CHANNEL
from connectors.email.classes import category_of
from connectors.email.headers import Headers, Mailbox, a_time
from connectors.email.ids import Signer
from connectors.email.looks import MARKUP_MAX, is_showable, made_safe
from connectors.email.mime import Part, Tree, read_mail
from connectors.email.replies import html_to_text, visible_html, visible_text
from connectors.email.reports import Report, read_delivery, read_disposition, read_prose
from connectors.email.topics import read_subject
from connectors.email.trust import authenticity
from shared import markup
from shared.content import Media, MediaKind, Text
from shared.errors import Ignored, Malformed
from shared.events import (
    UNDATED,
    Address,
    Authenticity,
    Evidence,
    InboundEvent,
    Mail,
    MailClass,
    MessageReceived,
    Reason,
    ReceiptReported,
    Sender,
    Status,
)
from shared.model import Notes

log = structlog.get_logger(__name__)

REFERENCES_MAX: Final = 50
REFERENCES_KEPT: Final = 20
AUDIENCE_MAX: Final = 20
COPY: Final = re.compile(  # above the copy of the mail that came back
    r"^[ \t]*-{3,}[ \t]*(?:this is a copy|below this line|the body of|original message|the header of|"
    r"undelivered message|копия|ниже|текст вашего|исходное|kopija|preslika|ispod)",
    re.IGNORECASE | re.MULTILINE,
)
CLEARSIGNED: Final = re.compile(
    r"^-----BEGIN PGP SIGNED MESSAGE-----\n(?:[A-Za-z-]+:[^\n]*\n)*\n(.*?)\n?-----BEGIN PGP SIGNATURE-----",
    re.DOTALL | re.MULTILINE,
)
FILES_MAX: Final = 100
ID_MAX: Final = 300
RAW: Final = "raw"  # the place of the mail itself
NOBODY: Final = "unknown"
WHOLE: Final = "message.eml"
DELIVERED_TO: Final = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to", "cc")
UNREADABLE: Final = "This mail could not be read; it is enclosed as it came."
TOO_LARGE: Final = "The mail is too large to be fetched; the whole of it stays in the mailbox."
FAILED: Final = "The mail could not be delivered."
# What a delivery report means for a message of ours, by its action.
MEANING: Final = {
    "failed": (Status.FAILED, Evidence.BOUNCE),
    "delayed": (Status.SENT, Evidence.BOUNCE),
    "delivered": (Status.DELIVERED, Evidence.PROVIDER_RECEIPT),
    "relayed": (Status.SENT, Evidence.PROVIDER_RECEIPT),
    "expanded": (Status.SENT, Evidence.PROVIDER_RECEIPT),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose mail it is: our address, how its server names itself in what it checked, and the signature of our ids."""

    account: str = NOBODY
    server: str | None = None
    signer: Signer = field(default_factory=Signer)


def parse_payload(body: bytes, *, account: str = NOBODY) -> list[InboundEvent]:
    """How a mail is understood, without a channel."""
    return parse_mail(body, Desk(account))


def parse_mail(raw: bytes, desk: Desk, received_at: datetime | None = None) -> list[InboundEvent]:
    """What one mail means. Raises `Malformed` for nothing at all, and `Ignored` for our own mail that comes back.

    `received_at`: when our server took it, for a mail that bears no date.
    """
    if not raw.strip():
        raise Malformed("This is no mail: send a message as RFC 5322 describes it, its head first.")
    try:
        return [understood(raw, desk, received_at)]
    except Ignored:
        raise
    except Exception as error:
        log.exception("email.not_understood", error=type(error).__name__)
        return [stub(raw, desk, received_at)]


def understood(raw: bytes, desk: Desk, received_at: datetime | None) -> InboundEvent:
    tree = read_mail(raw)
    root = tree.root
    headers = root.headers
    if desk.signer.known(headers.ids("message-id")):
        raise Ignored("This is a mail of ours.")
    sender = sender_of(headers, desk)
    at = headers.date() or arrived_at(headers) or received_at or UNDATED
    category = category_of(root)
    letter = read_letter(root)
    report = report_of(root, letter, category)
    if report is not None:
        ours = desk.signer.known(named_in(report, headers))
        if ours and (report.displayed or (report.bounce and is_from_a_server(root))):
            return receipt(report, ours[0], sender, at, raw, desk)
    return message(tree, letter, sender, at, category, report, desk)


def is_from_a_server(root: Part) -> bool:
    """Whether a delivery report may count: it is one in form, or came from nobody, as servers send."""
    nobody = (root.headers.get("return-path") or "").replace(" ", "") == "<>"
    return nobody or root.mime == "multipart/report" or root.headers.has("x-failed-recipients")


# Who


def sender_of(headers: Headers, desk: Desk) -> Mailbox:
    """Who wrote. A form on the shop's own site writes from the shop's address and names the person to be answered."""
    boxes = [box for name in ("from", "sender", "reply-to", "return-path") for box in headers.mailboxes(name)]
    first = next((box for box in boxes if "@" in box.address), boxes[0] if boxes else Mailbox(NOBODY))
    if first.address == desk.account:
        asked = [box for box in headers.mailboxes("reply-to") if box.address != desk.account]
        return asked[0] if asked else first
    return first


def arrived_at(headers: Headers) -> datetime | None:
    """When the last server took it."""
    return next((at for line in headers.all("received") if (at := a_time(line.rpartition(";")[2].strip()))), None)


# Reports


def report_of(root: Part, letter: Letter, category: MailClass) -> Report | None:
    if category is MailClass.AUTO_REPLY:
        return read_disposition(root)
    if category is MailClass.BOUNCE:
        text = letter.text
        return read_delivery(root, text) or read_prose(root, text)
    return None


def named_in(report: Report, headers: Headers) -> list[str]:
    """Where a report may name the mail that it is about: surest first."""
    to = [box.address for name in DELIVERED_TO for box in headers.mailboxes(name)]
    return [*to, *([report.envelope] if report.envelope else []), *report.named]


def receipt(report: Report, ours: str, sender: Mailbox, at: datetime, raw: bytes, desk: Desk) -> ReceiptReported:
    bounce = report.bounce
    peer = (bounce.recipient if bounce else None) or sender.address
    address = Address(channel=CHANNEL, account=desk.account, peer=peer)
    if bounce is None:
        return ReceiptReported(
            address=address, occurred_at=at, raw=raw, status=Status.READ, evidence=Evidence.MDN, message_id=ours
        )
    status, evidence = MEANING[bounce.action]
    code = bounce.status or bounce.action
    reason = Reason(code=code, detail=report.detail or FAILED) if bounce.action != "delivered" else None
    return ReceiptReported(
        address=address,
        occurred_at=at,
        raw=raw,
        status=status,
        evidence=evidence,
        message_id=ours,
        reason=reason,
        bounce=bounce,
    )


# Messages


def message(
    tree: Tree, letter: Letter, sender: Mailbox, at: datetime, category: MailClass, report: Report | None, desk: Desk
) -> MessageReceived:
    headers, raw = tree.root.headers, tree.root.raw
    told_apart = fingerprint(tree.root)
    external_id = message_id_of(headers, told_apart)
    subject = subject_of(tree.root)
    topic, answers = read_subject(subject)
    references = references_of(headers)
    named = headers.mailboxes("from")
    sure = len(named) == 1 and named[0].address == sender.address  # a form names another, and two are nobody
    trust = authenticity(headers, sender.address, desk.server) if sure else Authenticity.UNKNOWN
    mail = Mail(
        category=category,
        authenticity=trust,
        references=tuple(references),
        ours=desk.signer.known(
            [*references, *(box.address for name in DELIVERED_TO for box in headers.mailboxes(name))]
        ),
        topic=topic,
        answers=answers,
        audience=() if trust is Authenticity.SUSPICIOUS else tuple(audience(headers, sender, desk)),
        fingerprint=told_apart,
        bounce=report.bounce if report else None,
    )
    return MessageReceived(
        address=Address(
            channel=CHANNEL, account=desk.account, peer=sender.address, thread=short_hash(external_id + told_apart)
        ),
        occurred_at=at,
        raw=raw,
        external_id=external_id,
        sender=Sender(name=sender.name),
        content=content_of(tree, letter, category),
        reply_to=references[0] if references else None,
        subject=subject,
        context=None if mail.automatic else notes(headers, external_id, subject, references, sender),
        mail=mail,
    )


def message_id_of(headers: Headers, told_apart: str) -> str:
    """Its Message-ID, or one that we give it."""
    return (headers.ids("message-id") or [""])[0][:ID_MAX] or f"none-{told_apart}"


def references_of(headers: Headers) -> list[str]:
    """The mails that this one names, the nearest first."""
    ids = [*headers.ids("in-reply-to"), *reversed(headers.ids("references"))]
    return [one[:ID_MAX] for one in dict.fromkeys(ids)][:REFERENCES_MAX]


def audience(headers: Headers, sender: Mailbox, desk: Desk) -> list[str]:
    """Those to whom the same mail went, beside us."""
    found = [box.address for name in ("reply-to", "to", "cc") for box in headers.mailboxes(name) if "@" in box.address]
    return [one for one in dict.fromkeys(found) if one not in (desk.account, sender.address)][:AUDIENCE_MAX]


def notes(headers: Headers, external_id: str, subject: str | None, references: Sequence[str], sender: Mailbox) -> Notes:
    """What an answer to this mail needs to know."""
    earlier: list[JsonValue] = [*reversed(references)]
    told: Notes = {"message_id": external_id, "references": earlier[-REFERENCES_KEPT:]}
    if subject:
        told["subject"] = subject
    asked = next((box.address for box in headers.mailboxes("reply-to") if "@" in box.address), None)
    if asked and asked != sender.address:
        told["reply_to"] = asked
    return told


def content_of(tree: Tree, letter: Letter, category: MailClass = MailClass.NORMAL) -> Text:
    whole = letter.text.strip()
    html = letter.html
    showable = html is not None and is_showable(html)
    seen = visible(letter, whole if category is not MailClass.BOUNCE else COPY.split(whole, maxsplit=1)[0])
    pictures = {file.content_id: number for number, file in enumerate(letter.files[:FILES_MAX]) if file.content_id}
    key = raw_key(tree.root.raw)
    files = [as_media(file, key) for file in letter.files[:FILES_MAX]]
    if tree.cut or len(letter.files) > FILES_MAX:
        files.append(whole_mail(tree.root.raw))
    return Text(
        text=seen,
        html=markup.clean(visible_html(html)) if html and showable else None,
        full_text=whole if whole != seen else None,
        full_html=made_safe(html, pictures) if html and showable else None,
        attachments=tuple(files),
    )


def visible(letter: Letter, whole: str) -> str:
    """What the person wrote now."""
    if len(letter.blocks) == 1:
        block = letter.blocks[0]
        short = block.html is not None and len(block.html) <= MARKUP_MAX
        if block.html is not None and short and (block.plain is None or block.is_stub):
            return html_to_text(visible_html(block.html)).strip()
    signed = CLEARSIGNED.search(whole)
    return visible_text(re.sub(r"(?m)^- ", "", signed[1]) if signed else whole).strip()


def as_media(file: Enclosed, key: str) -> Media:
    return Media(media=kind_of(file.mime), source=f"{key}/{file.place}", mime=file.mime, size=file.size, name=file.name)


def kind_of(mime: str) -> MediaKind:
    kinds: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
    return "file" if mime == "image/svg+xml" else kinds.get(mime.partition("/")[0], "file")


def whole_mail(raw: bytes) -> Media:
    return Media(media="file", source=f"{raw_key(raw)}/{RAW}", mime="message/rfc822", size=len(raw), name=WHOLE)


def shortened(event: InboundEvent) -> InboundEvent:
    """What was read of a mail of which only the beginning was fetched: its files are not to be had."""
    if not isinstance(event, MessageReceived) or not isinstance(event.content, Text):
        return event
    rest = Media(media="file", mime="message/rfc822", name=WHOLE, failure=TOO_LARGE)
    return event.model_copy(update={"content": event.content.model_copy(update={"attachments": (rest,)})})


def stub(raw: bytes, desk: Desk, received_at: datetime | None) -> MessageReceived:
    """A mail of which nothing is certain but that it is there."""
    key = raw_key(raw)
    return MessageReceived(
        address=Address(channel=CHANNEL, account=desk.account, peer=NOBODY, thread=short_hash(key)),
        occurred_at=received_at or UNDATED,
        raw=raw,
        external_id=f"none-{key[:24]}",
        content=Text(text=UNREADABLE, attachments=(whole_mail(raw),)),
        context=None,
        mail=Mail(fingerprint=key[:24]),
    )


# Names


def raw_key(raw: bytes) -> str:
    """The name under which the mail is kept."""
    return hashlib.sha256(raw).hexdigest()


def fingerprint(root: Part) -> str:
    """The same for a mail that came twice, whatever servers wrote into its head; another for any other mail."""
    told = hashlib.sha256()
    for name in ("from", "date", "subject", "message-id"):
        told.update(name.encode() + b":" + (root.headers.raw(name) or b"") + b"\n")
    told.update(root.raw[root.start :].replace(b"\r\n", b"\n").rstrip())
    return told.hexdigest()[:24]


def short_hash(text: str) -> str:
    """The name of a matter, made of the id of its first mail."""
    return b32encode(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:15]).decode().lower()
