"""Typed ids: a UUIDv7 in the database, `msg_01h...` in the API (TypeID specification 0.3).

Ids are not secrets: they tell when a thing was made. Never use one to prove anything.
"""

import re
import uuid
from datetime import datetime
from typing import Final

from uuid_utils.compat import uuid7

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
SUFFIX: Final = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")  # 26 characters hold 130 bits; the first two must be 0
VALUES: Final = {letter: value for value, letter in enumerate(ALPHABET)}
PAIRS: Final = tuple(high + low for high in ALPHABET for low in ALPHABET)  # ten bits at a time: ids are on the hot path

SHOP: Final = "shp"
CHANNEL: Final = "chn"
CONTACT: Final = "cnt"
IDENTITY: Final = "idn"
CONVERSATION: Final = "cnv"
MESSAGE: Final = "msg"
AGENT: Final = "agt"
EVENT: Final = "evt"
KEY: Final = "key"
INBOUND: Final = "inb"
ATTACHMENT: Final = "att"
REQUEST: Final = "req"
VISITOR: Final = "vis"


class MalformedId(ValueError):
    """The text is not an id of the wanted type."""


def new_uuid() -> uuid.UUID:
    """A fresh UUIDv7: later ones made by this process are greater."""
    return uuid7()


def least_uuid(at: datetime) -> uuid.UUID:
    """No UUIDv7 made at this moment or later is smaller: it begins with the milliseconds since 1970, in 48 bits."""
    return uuid.UUID(int=int(at.timestamp() * 1000) << 80)


def new_id(prefix: str) -> str:
    return show_id(prefix, new_uuid())


def show_id(prefix: str, value: uuid.UUID) -> str:
    """`msg_` and 26 characters, sorted as the UUIDs are."""
    number = value.int
    letters = []
    for _ in range(13):
        letters.append(PAIRS[number & 1023])
        number >>= 10
    return f"{prefix}_{''.join(reversed(letters))}"


def read_id(prefix: str, text: str) -> uuid.UUID:
    """The UUID behind a typed id; raises `MalformedId` for anything but the canonical spelling."""
    kind, _, suffix = text.rpartition("_")
    if kind != prefix or not SUFFIX.fullmatch(suffix):
        raise MalformedId(f"expected an id like {prefix}_ followed by 26 characters")
    number = 0
    for letter in suffix:
        number = number * 32 + VALUES[letter]
    return uuid.UUID(int=number)
