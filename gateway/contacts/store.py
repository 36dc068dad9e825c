"""Contacts, read from the tables as the API shows them."""

import uuid
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.views import ContactView, IdentityView
from shared.ids import CONTACT, IDENTITY, show_id

IDENTITIES: Final = sa.text(
    "SELECT * FROM identities WHERE shop_id = :shop_id AND contact_id = ANY(:ids) AND left_at IS NULL ORDER BY id"
)
BY_IDS: Final = sa.text("SELECT * FROM contacts WHERE shop_id = :shop_id AND id = ANY(:ids)")


async def contacts_by_id(
    connection: AsyncConnection, shop_id: uuid.UUID, ids: list[uuid.UUID]
) -> dict[uuid.UUID, ContactView]:
    rows = (await connection.execute(BY_IDS, {"shop_id": shop_id, "ids": ids})).all()
    views = await contact_views(connection, shop_id, rows)
    return {row.id: view for row, view in zip(rows, views, strict=True)}


async def contact_views(connection: AsyncConnection, shop_id: uuid.UUID, rows: Any) -> list[ContactView]:
    named = {"shop_id": shop_id, "ids": [row.id for row in rows]}
    identities = (await connection.execute(IDENTITIES, named)).all()
    return [contact_view(row, [i for i in identities if i.contact_id == row.id]) for row in rows]


def contact_view(row: Any, identities: list[Any]) -> ContactView:
    return ContactView(
        id=show_id(CONTACT, row.id),
        name=row.name,
        email=row.email,
        phone=row.phone,
        locale=row.locale,
        attributes=row.attributes,
        identities=tuple(identity_view(identity) for identity in identities),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def identity_view(row: Any) -> IdentityView:
    return IdentityView(
        id=show_id(IDENTITY, row.id),
        channel_type=row.channel_type,
        account=row.account,
        peer=row.peer,
        name=row.name,
        username=row.username,
        proof=row.proof,
        blocked_at=row.blocked_at,
    )
