"""A mail that is posted to us: by a service that receives mail, or piped from a mail server.

The body is the mail itself, or a form that holds it as services send it (SendGrid "raw", Mailgun "mime").
"""

import base64
import binascii
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from connectors.email.headers import read_headers
from shared.connector import Hook
from shared.errors import BadSignature, Malformed

FIELDS: Final = ("email", "body-mime", "message", "raw")  # SendGrid, Mailgun, and what others call it
URLENCODED: Final = b"application/x-www-form-urlencoded"
FORMS: Final = (b"multipart/form-data", URLENCODED)


def verify(hook: Hook, secret: str) -> None:
    """`Authorization: Bearer <hook_secret>`, or Basic with it as the password, as an address with a login gives."""
    scheme, _, given = hook.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        given = password_in(given)
    elif scheme.lower() != "bearer":
        given = ""
    if not given or not secrets.compare_digest(given.strip().encode(errors="surrogatepass"), secret.encode()):
        raise BadSignature("Send the channel's hook_secret as a bearer token, or as the password of a basic login.")


def password_in(login: str) -> str:
    try:
        return base64.b64decode(login, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def mail_in(hook: Hook) -> bytes:
    """The mail of the request. Raises `Malformed`."""
    raw = body_of(hook)
    if not read_headers(raw)[0].fields:
        raise Malformed("This is no mail: send a message as RFC 5322 describes it, its head first.")
    return raw


def body_of(hook: Hook) -> bytes:
    kind, options = parse_options_header(hook.headers.get("content-type", ""))
    if kind.lower() not in FORMS:
        return hook.body
    fields = read_form(hook.body, kind, options)
    mail = next((fields[name] for name in FIELDS if fields.get(name)), None)
    if mail is None:
        raise Malformed(f"The form has no field with a raw mail; it should be one of {', '.join(FIELDS)}.")
    return mail


def read_form(body: bytes, kind: bytes, options: Mapping[bytes, bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    if kind.lower() == URLENCODED:
        pairs = parse_qsl(body.decode("latin-1"), encoding="latin-1")
        return {name: value.encode("latin-1") for name, value in reversed(pairs)}

    def on_field(field: Any) -> None:
        found.setdefault((field.field_name or b"").decode("utf-8", "replace"), field.value or b"")

    def on_file(file: Any) -> None:
        file.file_object.seek(0)
        found.setdefault((file.field_name or b"").decode("utf-8", "replace"), file.file_object.read())
        file.close()

    try:
        parser = FormParser(
            kind.decode("latin-1"),
            on_field,
            on_file,
            boundary=options.get(b"boundary"),
            config={"MAX_MEMORY_FILE_SIZE": len(body) + 1, "MAX_BODY_SIZE": len(body) + 1},
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError, KeyError) as error:
        raise Malformed(f"The form cannot be read ({type(error).__name__}).") from None
    return found
