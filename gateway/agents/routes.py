"""`/v1/agents`."""

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.access.principals import AGENT_PREFIX, hash_secret
from gateway.calls import PROBLEMS, CanAdmin, CanRead, the_id
from gateway.paging import Order, Page, Reading, Wanted
from gateway.problems import not_found
from gateway.requests import StrictRoute
from gateway.versions import CACHED, CHANGEABLE, IfMatch, IfNoneMatch, Versioned, check_version
from gateway.views import AgentView, Ref, View
from shared.ids import AGENT, new_uuid, show_id
from shared.model import StrictModel, Time
from shared.signing import new_secret

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["agents"])

LIST: Final = "SELECT * FROM agents WHERE shop_id = :shop_id"
OLDEST_FIRST: Final = Order({"id": uuid.UUID})
BY_ID: Final = sa.text("SELECT * FROM agents WHERE shop_id = :shop_id AND id = :id")
LOCKED: Final = sa.text("SELECT * FROM agents WHERE shop_id = :shop_id AND id = :id FOR UPDATE")
INSERT: Final = sa.text(
    "INSERT INTO agents (shop_id, id, name, email, type) VALUES (:shop_id, :id, :name, :email, :type) RETURNING *"
)
UPDATE: Final = sa.text(
    "UPDATE agents SET name = :name, email = :email, version = version + 1 "
    "WHERE shop_id = :shop_id AND id = :id RETURNING *"
)
ISSUE: Final = sa.text(
    "INSERT INTO agent_tokens (shop_id, id, agent_id, secret_hash, expires_at) "
    "VALUES (:shop_id, :id, :agent_id, :hash, :expires_at)"
)

Name = Annotated[str, Field(min_length=1, max_length=100)]
Email = Annotated[str, Field(max_length=200)]


class NewAgent(StrictModel):
    name: Name
    email: Email | None = None
    type: Literal["human", "bot"] = "human"


class AgentChange(StrictModel):
    """Only what is named is changed; `null` clears the email."""

    name: Name | None = None
    email: Email | None = None


class NewToken(StrictModel):
    """`ttl_s`: how long it is valid, in seconds; 8 hours if not said, 30 days at most."""

    ttl_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 8 * 3600


class IssuedToken(View):
    """`token` is shown once, here."""

    token: str
    expires_at: Time
    agent: Ref


def agent_view(row: Any) -> AgentView:
    return AgentView(
        id=show_id(AGENT, row.id), name=row.name, email=row.email, type=row.type, created_at=row.created_at
    )


@router.get("/v1/agents", operation_id="agents.list")
async def list_agents(call: CanRead, span: Wanted) -> Page[AgentView]:
    reading = Reading("agents", OLDEST_FIRST, span)
    async with call.read() as connection:
        rows = (await connection.execute(sa.text(LIST + reading.sql), {"shop_id": call.shop_id} | reading.named)).all()
    return reading.page(rows, [agent_view(row) for row in reading.items(rows)])


@router.post("/v1/agents", operation_id="agents.create", status_code=201, response_model=AgentView)
async def create_agent(call: CanAdmin, new: NewAgent) -> Response:
    async def create(connection: AsyncConnection) -> Versioned:
        values = new.model_dump() | {"shop_id": call.shop_id, "id": new_uuid()}
        row = (await connection.execute(INSERT, values)).one()
        return Versioned(agent_view(row), row.version)

    return await call.once(create, status=201)


@router.get("/v1/agents/{id}", operation_id="agents.get", response_model=AgentView, responses=CACHED)
async def get_agent(call: CanRead, id: str, if_none_match: IfNoneMatch = None) -> Response:
    async with call.read() as connection:
        row = await the_agent(connection, call.shop_id, id)
    return Versioned(agent_view(row), row.version).response(if_none_match=if_none_match)


async def the_agent(connection: AsyncConnection, shop_id: uuid.UUID, text: str, *, sql: sa.TextClause = BY_ID) -> Any:
    named = {"shop_id": shop_id, "id": the_id(AGENT, text, "agent")}
    row = (await connection.execute(sql, named)).one_or_none()
    if row is None:
        raise not_found("agent")
    return row


@router.patch("/v1/agents/{id}", operation_id="agents.update", response_model=AgentView, responses=CHANGEABLE)
async def update_agent(call: CanAdmin, id: str, change: AgentChange, if_match: IfMatch = None) -> Response:
    async with call.write() as connection:
        row = await the_agent(connection, call.shop_id, id, sql=LOCKED)
        check_version(if_match, row.version)
        email = change.email if "email" in change.model_fields_set else row.email
        named = {"shop_id": call.shop_id, "id": row.id, "name": change.name or row.name, "email": email}
        updated = (await connection.execute(UPDATE, named)).one()
    return Versioned(agent_view(updated), updated.version).response()


@router.post("/v1/agents/{id}/tokens", operation_id="agents.token", status_code=201, response_model=IssuedToken)
async def create_token(call: CanAdmin, id: str, new: NewToken | None = None) -> Response:
    """A token for one agent's client. It is in this answer and in repeats of it under the same Idempotency-Key."""
    ttl = timedelta(seconds=(new or NewToken()).ttl_s)

    async def create(connection: AsyncConnection) -> IssuedToken:
        row = await the_agent(connection, call.shop_id, id)
        return await issue_token(connection, row, call.core.clock() + ttl)

    return await call.once(create, status=201)


async def issue_token(connection: AsyncConnection, agent: Any, expires_at: datetime) -> IssuedToken:
    token = new_secret(AGENT_PREFIX)
    named = {
        "shop_id": agent.shop_id,
        "id": new_uuid(),
        "agent_id": agent.id,
        "hash": hash_secret(token),
        "expires_at": expires_at,
    }
    await connection.execute(ISSUE, named)
    return IssuedToken(token=token, expires_at=expires_at, agent=Ref(id=show_id(AGENT, agent.id), name=agent.name))
