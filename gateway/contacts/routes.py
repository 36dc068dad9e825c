"""`/v1/contacts`."""

import json
import uuid
from typing import Annotated, Any, Final

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.calls import PROBLEMS, Call, CanRead, CanWrite, the_id
from gateway.contacts.codes import new_code
from gateway.contacts.store import contact_views
from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.paging import After, Limit, Page, read_uuid_cursor, show_cursor
from gateway.problems import not_found
from gateway.requests import StrictRoute
from gateway.views import ContactView, View
from shared.ids import CONTACT, new_uuid
from shared.model import StrictModel, Time

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["contacts"])

LIST: Final = sa.text("SELECT * FROM contacts WHERE shop_id = :shop_id AND id < :after ORDER BY id DESC LIMIT :limit")
BY_ID: Final = sa.text("SELECT * FROM contacts WHERE shop_id = :shop_id AND id = :id")
LOCKED: Final = sa.text("SELECT * FROM contacts WHERE shop_id = :shop_id AND id = :id FOR UPDATE")
INSERT: Final = sa.text(
    "INSERT INTO contacts (shop_id, id, name, email, phone, locale, attributes) "
    "VALUES (:shop_id, :id, :name, :email, :phone, :locale, CAST(:attributes AS jsonb)) RETURNING *"
)
UPDATE: Final = sa.text(
    "UPDATE contacts SET name = :name, email = :email, phone = :phone, locale = :locale, "
    "attributes = CAST(:attributes AS jsonb), updated_at = now(), version = version + 1 "
    "WHERE shop_id = :shop_id AND id = :id RETURNING *"
)
NEWEST: Final = uuid.UUID(int=2**128 - 1)

Short = Annotated[str, Field(max_length=200)]


class ContactFields(StrictModel):
    """What the shop knows of a person; it proves nothing about who writes."""

    name: Short | None = None
    email: Short | None = None
    phone: Short | None = None
    locale: Annotated[str, Field(max_length=35)] | None = None
    attributes: dict[str, Any] | None = None


@router.get("/v1/contacts", operation_id="contacts.list")
async def list_contacts(call: CanRead, limit: Limit = 50, after: After = None) -> Page[ContactView]:
    """Newest first."""
    key = read_uuid_cursor("contacts", after) if after else NEWEST
    async with call.read() as connection:
        rows = (await connection.execute(LIST, {"shop_id": call.shop_id, "after": key, "limit": limit + 1})).all()
        views = await contact_views(connection, call.shop_id, rows[:limit])
    following = show_cursor("contacts", str(rows[limit - 1].id)) if len(rows) > limit else None
    return Page(items=views, next=following)


@router.post("/v1/contacts", operation_id="contacts.create", status_code=201, response_model=ContactView)
async def create_contact(call: CanWrite, new: ContactFields) -> Response:
    async def create(connection: AsyncConnection) -> ContactView:
        values = new.model_dump() | {"attributes": json.dumps(new.attributes or {})}
        row = (await connection.execute(INSERT, values | {"shop_id": call.shop_id, "id": new_uuid()})).one()
        return await tell(call, connection, row, "contact.created")

    return await call.once(create, status=201)


async def tell(call: Call, connection: AsyncConnection, row: Any, kind: str) -> ContactView:
    (view,) = await contact_views(connection, call.shop_id, [row])
    event = NewEvent(call.shop_id, kind, view.model_dump_json(), contact_id=row.id)
    await append(await driver(connection), [event])
    return view


@router.get("/v1/contacts/{id}", operation_id="contacts.get")
async def get_contact(call: CanRead, id: str) -> ContactView:
    async with call.read() as connection:
        named = {"shop_id": call.shop_id, "id": the_id(CONTACT, id, "contact")}
        rows = (await connection.execute(BY_ID, named)).all()
        if not rows:
            raise not_found("contact")
        return (await contact_views(connection, call.shop_id, rows))[0]


@router.patch("/v1/contacts/{id}", operation_id="contacts.update")
async def update_contact(call: CanWrite, id: str, change: ContactFields) -> ContactView:
    """Only what is named is changed; `null` clears."""
    named = {"shop_id": call.shop_id, "id": the_id(CONTACT, id, "contact")}
    async with call.write() as connection:
        row = (await connection.execute(LOCKED, named)).one_or_none()
        if row is None:
            raise not_found("contact")
        fields = {name: getattr(row, name) for name in ContactFields.model_fields}
        fields |= change.model_dump(exclude_unset=True)
        values = fields | {"attributes": json.dumps(fields["attributes"] or {})}
        updated = (await connection.execute(UPDATE, values | named)).one()
        return await tell(call, connection, updated, "contact.updated")


class NewCode(View):
    """Good once, until `expires_at`: whoever brings it on another channel is this contact."""

    code: str
    expires_at: Time


@router.post("/v1/contacts/{id}/codes", operation_id="contacts.code", status_code=201, response_model=NewCode)
async def create_code(call: CanWrite, id: str) -> Response:
    """A one-time code to carry on elsewhere, for a deep link or a QR code: `https://t.me/your_bot?start=CODE`."""
    named = {"shop_id": call.shop_id, "id": the_id(CONTACT, id, "contact")}

    async def create(connection: AsyncConnection) -> NewCode:
        if (await connection.execute(BY_ID, named)).one_or_none() is None:
            raise not_found("contact")
        code, expires_at = await new_code(connection, call.shop_id, named["id"], call.core.clock())
        return NewCode(code=code, expires_at=expires_at)

    return await call.once(create, status=201)
