"""What the contract suite needs to know of e-mail."""

from typing import Final

from pydantic import SecretStr

from connectors.email.capabilities import KINDS
from connectors.email.config import EmailConfig
from connectors.email.connector import Email
from connectors.email.ids import Signer
from shared.connector import Hook
from shared.content import Album, Buttons, ContactCard, Location, Media, Option, Text
from shared.events import Address
from shared.ids import MESSAGE, new_id
from tests.connectors.email.given import HOOK_SECRET, MAIL, MAILBOX, PASSWORD, SIGNING_KEY
from tests.connectors.email.sink import to_sink
from tests.contract.registry import ConnectorCase, Driver, Hooks

TOKEN: Final = Signer(SIGNING_KEY.encode()).token(new_id(MESSAGE))
DELIVERED: Final = (
    b"From: mailer-daemon@example.org\r\nTo: help@shop.example\r\nSubject: Delivered\r\n"
    b"Message-ID: <a2@example.org>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nIt is there.\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
    b"Final-Recipient: rfc822; ann@example.org\r\nAction: delivered\r\nStatus: 2.0.0\r\n"
    b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <" + TOKEN.encode() + b"@shop.example>\r\n--b--\r\n"
)
READ: Final = (
    b"From: ann@example.org\r\nTo: help@shop.example\r\nSubject: Read: Size\r\nMessage-ID: <a3@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nIt was read.\r\n"
    b"--b\r\nContent-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; ann@example.org\r\n"
    b"Original-Message-ID: <" + TOKEN.encode() + b"@shop.example>\r\n"
    b"Disposition: manual-action/MDN-sent-manually; displayed\r\n--b--\r\n"
)
OURS_AGAIN: Final = b"From: help@shop.example\r\nMessage-ID: <" + TOKEN.encode() + b"@shop.example>\r\n\r\nYes.\r\n"


FILE: Final = Media(media="file", attachment="att_1", mime="application/pdf", size=12, name="invoice.pdf")


def email_config(key: str = SIGNING_KEY) -> EmailConfig:
    return EmailConfig(
        address=MAILBOX,
        password=SecretStr(PASSWORD),
        smtp_host="mx.example.org",
        smtp_security="none",
        hook_secret=SecretStr(HOOK_SECRET),
        signing_key=SecretStr(key),
    )


def signed(body: bytes) -> Hook:
    return Hook("POST", {"authorization": f"Bearer {HOOK_SECRET}", "content-type": "message/rfc822"}, {}, body)


EMAIL: Final[ConnectorCase] = ConnectorCase(
    connector=Email,
    config=email_config,
    secrets=(PASSWORD, HOOK_SECRET, SIGNING_KEY),
    driver=Driver(
        address=Address(channel="email", account=MAILBOX, peer="ann@example.org"),
        contents=(
            Text(text="It is."),
            *(Media(media=kind, attachment="att_1", mime="image/png", size=12, caption="This") for kind in KINDS),
            Album(items=(FILE, FILE)),
            Location(latitude=52.5, longitude=13.4, label="The shop, Ilica 1"),
            ContactCard(name="Olga", phones=("+15551234",), emails=("olga@shop.example",)),
            Buttons(text="Which?", options=(Option(id="r", label="Red"), Option(id="b", label="Blue"))),
        ),
        notes={"message_id": "a1@example.org", "subject": "Size"},
    ),
    hooks=Hooks(
        sign=signed,
        signature_header="authorization",
        samples=(MAIL, DELIVERED, READ),
        ignored=(OURS_AGAIN,),
        covers_body=False,
    ),
    dial=to_sink,
)
