"""Take a contact form: where it lands, and what its sender is told."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from connectors.webchat.connector import WebChat
from connectors.webchat.forms import words
from connectors.webchat.forms.form import Form, Way
from connectors.webchat.inbound import address_of
from connectors.webchat.refusals import Refused
from shared.connector import Connector, Host
from shared.content import Text
from shared.errors import BusError, UnknownChannel
from shared.events import Address, Mail, MessageReceived, Sender, join_key
from shared.ids import ALPHABET, VISITOR, show_id
from shared.signing import BadToken, derive_key, hmac_sha256

log = structlog.get_logger(__name__)

REFERENCE_LETTERS: Final = 8  # 40 bits: short enough to be said on the phone
MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Taken:
    """What the sender is told. Nothing in it was typed."""

    reference: str
    answer_by: Way
    within: timedelta
    expected_by: datetime
    expect: str
    language: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A form and what came with it."""

    form: Form
    raw: bytes
    caller: str
    visitor: str | None
    language: str | None


async def take_form(host: Host, connector: WebChat, sent: Sent) -> Taken:
    """Return once the form is safe; the same form again changes nothing. Raises `Refused` or `BusError`."""
    form, limits = sent.form, connector.form_limits
    wait_s = limits.take(sent.caller, by_machine=form.by_machine)
    if wait_s > 0:
        raise too_many(wait_s)
    digest = digest_of(connector, sent)
    told = answer_to(connector, sent, reference_of(digest))
    if form.by_machine:
        log.info("webchat.form_by_machine", channel=connector.port.channel_id)
        return told
    try:
        landed_in = await deliver(host, connector, sent, told, digest)
    except BusError:
        limits.give_back(sent.caller)
        raise
    log.info("webchat.form_taken", channel=landed_in, reference=told.reference, answer_by=told.answer_by)
    return told


def too_many(wait_s: float) -> Refused:
    seconds = max(1, round(wait_s + 0.5))
    detail = f"Too many forms have come just now; send it again in {-(-seconds // MINUTE_S)} minutes, or use the chat."
    return Refused(429, "rate_limited", detail, headers=((b"retry-after", str(seconds).encode()),))


def digest_of(connector: WebChat, sent: Sent) -> bytes:
    """The same for the same form sent again, and for no other: one `cmid` on every form of a page loses none."""
    form, now = sent.form, connector.port.clock()
    cmid = form.cmid or f"minute {int(now.timestamp()) // MINUTE_S}"
    handle = form.handle.model_dump_json() if form.handle else ""
    facts = (sent.visitor or "", cmid, form.email or "", form.phone or "", handle, form.text)
    key = derive_key(connector.config.signing_key.get_secret_value().encode(), "contact forms")
    return hmac_sha256(key, join_key(connector.port.channel_id, *facts).encode())


def reference_of(digest: bytes) -> str:
    number = int.from_bytes(digest[-8:], "big")
    return "".join(ALPHABET[number >> 5 * place & 31] for place in range(REFERENCE_LETTERS)).upper()


def answer_to(connector: WebChat, sent: Sent, reference: str) -> Taken:
    hours, language = connector.config.form_answer_hours, sent.language or words.ENGLISH
    within = timedelta(hours=hours)
    return Taken(
        reference=reference,
        answer_by=sent.form.ways[0],
        within=within,
        expected_by=connector.port.clock() + within,
        expect=words.expect(language, sent.form, hours),
        language=language,
    )


async def deliver(host: Host, connector: WebChat, sent: Sent, told: Taken, digest: bytes) -> str:
    """Publish it where it can be answered; the id of that channel. Raises `BusError`."""
    mailbox = await find_mailbox(host, connector) if sent.form.email else None
    if mailbox is not None:
        await mailbox.port.publish([mail_from(mailbox, connector, sent, told, digest)])
        return mailbox.port.channel_id
    event = line_from(connector, sent, told, digest)
    await connector.port.publish([event])
    connector.changed(event.address.peer)
    return connector.port.channel_id


async def find_mailbox(host: Host, connector: WebChat) -> Connector | None:
    """The e-mail channel that the settings name, if it is at work and of the same shop."""
    record = await connector.forms_mailbox()
    if record is None:
        return None
    try:
        return await host.find(record.type, record.id)
    except UnknownChannel:  # it is paused
        return None


def mail_from(mailbox: Connector, connector: WebChat, sent: Sent, told: Taken, digest: bytes) -> MessageReceived:
    """As if the sender had written a mail. The address is typed, so it opens a matter of its own."""
    kind, config, form = mailbox.channel_type, mailbox.port.config, sent.form
    assert form.email is not None
    account = str(getattr(config, kind.account)) if kind.account else mailbox.port.channel_id
    return message(
        connector,
        sent,
        digest,
        Address(channel=kind.name, account=account, peer=form.email, thread=f"form-{mark_of(digest)}"),
        words.in_a_mail(told.language, form),
        words.subject(told.language, told.reference),
    )


def line_from(connector: WebChat, sent: Sent, told: Taken, digest: bytes) -> MessageReceived:
    """As a line of the visitor who holds the token, or of a new one: the same if the form is sent again."""
    visitor = sent.visitor or show_id(VISITOR, uuid.UUID(bytes=hashlib.sha256(digest).digest()[:16]))
    text = words.in_the_chat(told.language, sent.form, told.reference)
    return message(connector, sent, digest, address_of(connector.port.channel_id, visitor), text, None)


def mark_of(digest: bytes) -> str:
    return digest[:16].hex()


def message(
    connector: WebChat, sent: Sent, digest: bytes, address: Address, text: str, subject: str | None
) -> MessageReceived:
    return MessageReceived(
        address=address,
        occurred_at=connector.port.clock(),
        raw=sent.raw,
        context={"form": True},
        external_id=f"form:{mark_of(digest)}",
        sender=Sender(name=sent.form.name or None, locale=sent.form.language or sent.language),
        content=Text(text=text),
        subject=subject,
        mail=Mail() if subject is not None else None,
    )


def visitor_in(connector: WebChat, authorization: str) -> str | None:
    """Who holds the token, if there is one that is valid; nobody needs one to leave a message."""
    scheme, _, token = authorization.partition(" ")
    try:
        return connector.visitor_of(token) if scheme.lower() == "bearer" else None
    except BadToken:
        return None
