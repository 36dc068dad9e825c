"""Mails that are posted to us: raw, or in the forms of the services that receive mail."""

import base64
from typing import Final
from urllib.parse import quote_from_bytes

import pytest

from shared.connector import Hook
from shared.errors import BadSignature, Malformed
from shared.events import MessageReceived
from tests.connectors.email.given import HOOK_SECRET, MAIL, NOW, Given, settings

FORM: Final = "multipart/form-data; boundary=x"


def hook(body: bytes, kind: str = "message/rfc822", login: str = f"Bearer {HOOK_SECRET}") -> Hook:
    return Hook("POST", {"content-type": kind, "authorization": login}, {}, body)


def in_a_form(field: str, content: bytes, name: bytes = b"") -> bytes:
    disposition = b'Content-Disposition: form-data; name="' + field.encode() + b'"' + name
    return b"--x\r\n" + disposition + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        hook(MAIL),
        hook(MAIL, "application/octet-stream"),
        hook(MAIL, ""),
        hook(in_a_form("email", MAIL), FORM),
        hook(in_a_form("body-mime", MAIL), FORM),
        hook(in_a_form("message", MAIL, b'; filename="mail.eml"'), FORM),
        hook(b"from=a&body-mime=" + quote_from_bytes(MAIL).encode(), "application/x-www-form-urlencoded"),
        hook(MAIL, login="Basic " + base64.b64encode(f"mail:{HOOK_SECRET}".encode()).decode()),
    ],
    ids=["raw", "octets", "no type", "sendgrid", "mailgun", "a file", "url-encoded", "basic login"],
)
def test_a_mail_is_taken_in_every_form(request_: Hook) -> None:
    (event,) = Given(settings()).receive(request_)
    assert isinstance(event, MessageReceived)
    assert (event.external_id, event.address.peer, event.raw.strip()) == (
        "a1@example.org",
        "ann@example.org",
        MAIL.strip(),
    )


@pytest.mark.parametrize("login", ["", "Bearer", "Bearer wrong", f"Token {HOOK_SECRET}", "Basic %%%", "Basic bWFpbDo="])
def test_without_the_secret_nothing_is_read(login: str) -> None:
    with pytest.raises(BadSignature):
        Given(settings()).receive(hook(MAIL, login=login))


@pytest.mark.parametrize("body", [b"", b"\r\n", b"hello", in_a_form("text", b"hello")], ids=repr)
def test_what_is_no_mail_is_said(body: bytes) -> None:
    with pytest.raises(Malformed, match="mail"):
        Given(settings()).receive(hook(body, FORM if body.startswith(b"--") else "message/rfc822"))


async def test_a_mail_without_any_date_has_the_time_at_which_it_came() -> None:
    given = Given(settings())
    await given.publish(given.receive(hook(b"From: ann@example.org\r\n\r\nHi\r\n")))
    assert [event.occurred_at for event in given.published] == [NOW]
