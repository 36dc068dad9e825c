"""One-time codes: whoever brings one on another channel is the contact it was made for.

They travel in a deep link (Telegram's `/start CODE`) or a QR code. Only their hash is kept.
"""

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

LIFETIME: Final = timedelta(minutes=30)
BYTES: Final = 18  # 144 bits as 24 characters of A-Z a-z 0-9 _ -: what Telegram lets a deep link carry is 64 of these
PREFIX: Final = "sb"
ADD: Final = sa.text(
    "INSERT INTO link_codes (shop_id, code_hash, contact_id, expires_at) "
    "VALUES (:shop_id, :code_hash, :contact_id, :expires_at)"
)
REDEEM: Final = """
    DELETE FROM link_codes WHERE shop_id = $1 AND code_hash = $2 AND expires_at > now() RETURNING contact_id
"""


def hash_of(code: str) -> bytes:
    """Guessing 144 bits is hopeless, so a plain hash is enough."""
    return hashlib.sha256(code.encode()).digest()


async def new_code(
    connection: AsyncConnection, shop_id: uuid.UUID, contact_id: uuid.UUID, now: datetime
) -> tuple[str, datetime]:
    """(code, end): good once, for this contact."""
    code, expires_at = PREFIX + secrets.token_urlsafe(BYTES), now + LIFETIME
    named = {"shop_id": shop_id, "code_hash": hash_of(code), "contact_id": contact_id, "expires_at": expires_at}
    await connection.execute(ADD, named)
    return code, expires_at


async def redeem(raw: Any, shop_id: uuid.UUID, code: str) -> uuid.UUID | None:
    """The contact of a code that is good; it is not good again afterwards."""
    contact_id = await raw.fetchval(REDEEM, shop_id, hash_of(code))
    assert contact_id is None or isinstance(contact_id, uuid.UUID)
    return contact_id
