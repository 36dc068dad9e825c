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
from gateway.paging import Order, Page, Reading, Wanted
from gateway.problems import not_found
from gateway.requests import StrictRoute
from gateway.versions import CACHED, CHANGEABLE, IfMatch, IfNoneMatch, Versioned, check_version
from gateway.views import ContactView, View
from shared.ids import CONTACT, new_uuid
from shared.model import StrictModel, Time

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["contacts"])

LIST: Final = "SELECT * FROM contacts WHERE shop_id = :shop_id"
NEWEST_FIRST: Final = Order({"id": uuid.UUID}, newest_first=True)
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

Short = Annotated[str, Field(max_length=200)]


class ContactFields(StrictModel):
    """What the shop knows of a person; it proves nothing about who writes."""

    name: Short | None = None
    email: Short | None = None
    phone: Short | None = None
    locale: Annotated[str, Field(max_length=35)] | None = None
    attributes: dict[str, Any] | None = None


@router.get("/v1/contacts", operation_id="contacts.list")
async def list_contacts(call: CanRead, span: Wanted) -> Page[ContactView]:
    """Newest first."""
    reading = Reading("contacts", NEWEST_FIRST, span)
    async with call.read() as connection:
        rows = (await connection.execute(sa.text(LIST + reading.sql), {"shop_id": call.shop_id} | reading.named)).all()
        return reading.page(rows, await contact_views(connection, call.shop_id, reading.items(rows)))


@router.post("/v1/contacts", operation_id="contacts.create", status_code=201, response_model=ContactView)
async def create_contact(call: CanWrite, new: ContactFields) -> Response:
    async def create(connection: AsyncConnection) -> Versioned:
        values = new.model_dump() | {"attributes": json.dumps(new.attributes or {})}
        row = (await connection.execute(INSERT, values | {"shop_id": call.shop_id, "id": new_uuid()})).one()
        return await tell(call, connection, row, "contact.created")

    return await call.once(create, status=201)


async def tell(call: Call, connection: AsyncConnection, row: Any, kind: str) -> Versioned:
    (view,) = await contact_views(connection, call.shop_id, [row])
    event = NewEvent(call.shop_id, kind, view.model_dump_json(), contact_id=row.id)
    await append(await driver(connection), [event])
    return Versioned(view, row.version)


@router.get("/v1/contacts/{id}", operation_id="contacts.get", response_model=ContactView, responses=CACHED)
async def get_contact(call: CanRead, id: str, if_none_match: IfNoneMatch = None) -> Response:
    async with call.read() as connection:
        named = {"shop_id": call.shop_id, "id": the_id(CONTACT, id, "contact")}
        rows = (await connection.execute(BY_ID, named)).all()
        if not rows:
            raise not_found("contact")
        (view,) = await contact_views(connection, call.shop_id, rows)
    return Versioned(view, rows[0].version).response(if_none_match=if_none_match)


@router.patch("/v1/contacts/{id}", operation_id="contacts.update", response_model=ContactView, responses=CHANGEABLE)
async def update_contact(call: CanWrite, id: str, change: ContactFields, if_match: IfMatch = None) -> Response:
    """Only what is named is changed; `null` clears."""
    named = {"shop_id": call.shop_id, "id": the_id(CONTACT, id, "contact")}
    async with call.write() as connection:
        row = (await connection.execute(LOCKED, named)).one_or_none()
        if row is None:
            raise not_found("contact")
        check_version(if_match, row.version)
        fields = {name: getattr(row, name) for name in ContactFields.model_fields}
        fields |= change.model_dump(exclude_unset=True)
        values = fields | {"attributes": json.dumps(fields["attributes"] or {})}
        updated = (await connection.execute(UPDATE, values | named)).one()
        changed = await tell(call, connection, updated, "contact.updated")
    return changed.response()


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
