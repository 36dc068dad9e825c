"""The ids of our mails: the message that they carry, signed, so that nobody can make up one that leads to it.

`<0190a5b2c3d47e8f90a1b2c3d4e5f607.k3j5h7g9f2d4s6a8@shop.example>`: our id of the message in hexadecimal and a signature
in base 32, all in lower case since some servers fold the case of what they hand on.
"""

import base64
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shared.ids import MESSAGE, read_id, show_id
from shared.signing import hmac_sha256

SIGNATURE_BYTES: Final = 10
OURS: Final = re.compile(r"(?:^|[+<])([0-9a-f]{32})\.([a-z2-7]{16})(?=@|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes and knows our ids. Without a key every id of the right form passes, as for showing how a mail is read."""

    key: bytes | None = field(repr=False, default=None)

    def token(self, message_id: str) -> str:
        """What stands for a message of ours (`msg_...`) in a Message-ID, in an address and in an envelope."""
        number = read_id(MESSAGE, message_id)
        return f"{number.hex}.{self._sign(number)}"

    def _sign(self, number: uuid.UUID) -> str:
        assert self.key is not None
        tag = hmac_sha256(self.key, b"mail id" + number.bytes)[:SIGNATURE_BYTES]
        return base64.b32encode(tag).decode().lower()

    def known(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The messages of ours (`msg_...`) that these ids and addresses name, in their order."""
        found = (self._read(text) for text in texts)
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def _read(self, text: str) -> str | None:
        match = OURS.search(text)
        if match is None:
            return None
        number = uuid.UUID(hex=match[1])
        if self.key is not None and not secrets.compare_digest(self._sign(number), match[2].lower()):
            return None
        return show_id(MESSAGE, number)
