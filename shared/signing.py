"""Signatures, sealed values and secrets: one place, constant time, nothing that prints a key."""

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import zlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_LETTERS: Final = 32  # 190 bits
CHECKSUM_LETTERS: Final = 6
NONCE_BYTES: Final = 12  # NIST SP 800-38D, the size AES-GCM is made for


class BadToken(ValueError):
    """The token is not one of ours, was changed, or has expired."""


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def verify_hmac_sha256(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is right, in a time that does not tell how wrong it is."""
    return hmac.compare_digest(hmac_sha256(key, message), signature)


def derive_key(master: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, so that no two uses share one."""
    return hmac_sha256(master, b"shopbell:" + purpose.encode())


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Raises `BadToken` for what is not URL-safe base64 in its one spelling: the last letter can have spare bits."""
    try:
        data = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadToken("not base64") from error
    if b64(data) != text:
        raise BadToken("not base64 as we write it")
    return data


def sign_claims(key: bytes, claims: dict[str, str | int]) -> str:
    """A token that carries its claims in clear and cannot be changed. `exp` is in seconds since 1970."""
    payload = b64(json.dumps(claims, separators=(",", ":")).encode())
    return f"{payload}.{b64(hmac_sha256(key, payload.encode()))}"


def read_claims(key: bytes, token: str, *, now_s: float) -> dict[str, str | int]:
    """The claims of a token of ours; raises `BadToken`."""
    payload, _, signature = token.partition(".")
    if not token.isascii() or not verify_hmac_sha256(key, payload.encode(), unb64(signature)):
        raise BadToken("wrong signature")
    claims: dict[str, str | int] = json.loads(unb64(payload))
    expires = claims.get("exp")
    if not isinstance(expires, int) or expires <= now_s:
        raise BadToken("expired")
    return claims


def seal(key: bytes, data: bytes, *, bound_to: bytes = b"") -> bytes:
    """Encrypt and authenticate (AES-256-GCM). `bound_to` must be given again to open, so a row cannot be swapped."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, bound_to)


def unseal(key: bytes, sealed: bytes, *, bound_to: bytes = b"") -> bytes:
    """The data; raises `BadToken` if it was changed, moved, or sealed with another key."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except (InvalidTag, ValueError) as error:
        raise BadToken("cannot be opened") from error


def new_secret(prefix: str) -> str:
    """`sb_live_` + 32 random letters + `_` + checksum, which lets a scanner or a client tell a typo without asking."""
    body = "".join(secrets.choice(BASE62) for _ in range(SECRET_LETTERS))
    return f"{prefix}_{body}_{checksum(f'{prefix}_{body}')}"


def is_secret(text: str) -> bool:
    """Whether the text has the form and the checksum of a secret of ours."""
    head, _, tail = text.rpartition("_")
    return text.isascii() and len(head) > SECRET_LETTERS and hmac.compare_digest(checksum(head).encode(), tail.encode())


def checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    letters = []
    for _ in range(CHECKSUM_LETTERS):
        number, rest = divmod(number, 62)
        letters.append(BASE62[rest])
    return "".join(reversed(letters))
