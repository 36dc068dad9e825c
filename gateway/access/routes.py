"""`/v1/me` and `/v1/keys`."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.access.principals import KEY_PREFIXES, SCOPES, Scope, hash_secret
from gateway.calls import PROBLEMS, CanAdmin, CanRead, the_id
from gateway.paging import Order, Page, Reading, Wanted
from gateway.problems import Problem, not_found
from gateway.requests import StrictRoute
from gateway.views import Ref, View
from shared.ids import KEY, SHOP, new_uuid, show_id
from shared.model import StrictModel, Time
from shared.signing import new_secret

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["access"])

PREFIX_SHOWN: Final = 12
LIST: Final = "SELECT * FROM keys WHERE shop_id = :shop_id AND revoked_at IS NULL"
OLDEST_FIRST: Final = Order({"id": uuid.UUID})
INSERT: Final = sa.text(
    "INSERT INTO keys (shop_id, id, name, prefix, secret_hash, scopes, mode, expires_at) "
    "VALUES (:shop_id, :id, :name, :prefix, :hash, :scopes, :mode, :expires_at) RETURNING *"
)
REVOKE: Final = sa.text(
    "UPDATE keys SET revoked_at = now() WHERE shop_id = :shop_id AND id = :id AND revoked_at IS NULL RETURNING id"
)


class PrincipalView(View):
    type: Literal["key", "agent"]
    id: str
    name: str


class Me(View):
    """Whose token this is and what it may do."""

    shop: Ref
    principal: PrincipalView
    scopes: tuple[str, ...]


class NewKey(StrictModel):
    """`admin` includes `write`, `write` includes `read`."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    mode: Literal["live", "test"] = "live"
    expires_at: Time | None = None


class KeyView(View):
    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    mode: Literal["live", "test"]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class IssuedKey(KeyView):
    """`key` is shown once, here."""

    key: str


@router.get("/v1/me", operation_id="me")
async def me(call: CanRead) -> Me:
    principal = call.principal
    return Me(
        shop=Ref(id=show_id(SHOP, principal.shop_id), name=principal.shop_name),
        principal=PrincipalView(type=principal.kind, id=principal.public_id, name=principal.name),
        scopes=tuple(scope for scope in SCOPES if scope in principal.scopes),
    )


def key_fields(row: Any) -> dict[str, Any]:
    names = ("name", "prefix", "scopes", "mode", "created_at", "expires_at", "last_used_at")
    return {"id": show_id(KEY, row.id)} | {name: getattr(row, name) for name in names}


@router.get("/v1/keys", operation_id="keys.list")
async def list_keys(call: CanAdmin, span: Wanted) -> Page[KeyView]:
    reading = Reading("keys", OLDEST_FIRST, span)
    async with call.read() as connection:
        rows = (await connection.execute(sa.text(LIST + reading.sql), {"shop_id": call.shop_id} | reading.named)).all()
    return reading.page(rows, [KeyView(**key_fields(row)) for row in reading.items(rows)])


@router.post("/v1/keys", operation_id="keys.create", status_code=201, response_model=IssuedKey)
async def create_key(call: CanAdmin, new: NewKey) -> Response:
    """A new key. Its secret is in this answer and in repeats of it under the same Idempotency-Key, and nowhere else."""

    async def create(connection: AsyncConnection) -> IssuedKey:
        if new.expires_at is not None and new.expires_at <= call.core.clock():
            raise Problem(
                "validation_failed", "expires_at is in the past; leave it out for a key that does not expire."
            )
        return await issue_key(connection, call.shop_id, new)

    return await call.once(create, status=201)


async def issue_key(connection: AsyncConnection, shop_id: uuid.UUID, new: NewKey) -> IssuedKey:
    secret = new_secret(KEY_PREFIXES[new.mode])
    expires_at: datetime | None = new.expires_at
    named = {
        "shop_id": shop_id,
        "id": new_uuid(),
        "name": new.name,
        "prefix": secret[:PREFIX_SHOWN],
        "hash": hash_secret(secret),
        "scopes": list(new.scopes),
        "mode": new.mode,
        "expires_at": expires_at,
    }
    row = (await connection.execute(INSERT, named)).one()
    return IssuedKey(**key_fields(row), key=secret)


@router.delete("/v1/keys/{id}", operation_id="keys.delete", status_code=204)
async def revoke_key(call: CanAdmin, id: str) -> None:
    """Effective at once."""
    async with call.write() as connection:
        named = {"shop_id": call.shop_id, "id": the_id(KEY, id, "key")}
        if await connection.scalar(REVOKE, named) is None:
            raise not_found("key")
