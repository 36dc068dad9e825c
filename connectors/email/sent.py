"""What people send from the mailbox by other programs: found in its folder of sent mails, shown as ours."""

from collections.abc import Sequence
from datetime import datetime

from connectors.email.bodies import read_letter, subject_of
from connectors.email.capabilities import CHANNEL
from connectors.email.classes import category_of
from connectors.email.inbound import (
    Desk,
    arrived_at,
    content_of,
    fingerprint,
    message_id_of,
    references_of,
    short_hash,
)
from connectors.email.mime import read_mail
from connectors.email.topics import read_subject
from shared.errors import Ignored
from shared.events import UNDATED, Address, Authenticity, Echo, InboundEvent, Mail, Sender


def parse_sent(raw: bytes, desk: Desk, received_at: datetime | None = None) -> Sequence[InboundEvent]:
    """The mail as an echo. Raises `Ignored` for one that we sent ourselves, and for one to nobody."""
    tree = read_mail(raw)
    headers = tree.root.headers
    if desk.signer.known(headers.ids("message-id")):
        raise Ignored("This is a mail of ours.")
    to = next((box for box in headers.mailboxes("to") if "@" in box.address and box.address != desk.account), None)
    if to is None:
        raise Ignored("This mail went to nobody but us.")
    told_apart = fingerprint(tree.root)
    external_id = message_id_of(headers, told_apart)
    subject = subject_of(tree.root)
    topic, answers = read_subject(subject)
    references = references_of(headers)
    return [
        Echo(
            address=Address(channel=CHANNEL, account=desk.account, peer=to.address, thread=short_hash(external_id)),
            occurred_at=headers.date() or arrived_at(headers) or received_at or UNDATED,
            raw=raw,
            external_id=external_id,
            recipient=Sender(name=to.name),
            content=content_of(tree, read_letter(tree.root)),
            origin="other_api",
            reply_to=references[0] if references else None,
            subject=subject,
            mail=Mail(
                category=category_of(tree.root),
                authenticity=Authenticity.VERIFIED,
                references=tuple(references),
                ours=desk.signer.known(references),
                topic=topic,
                answers=answers,
                fingerprint=told_apart,
            ),
        )
    ]
