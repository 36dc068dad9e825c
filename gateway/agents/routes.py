"""`/v1/agents`."""

import uuid
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.access.principals import AGENT_PREFIX, hash_secret
from gateway.calls import PROBLEMS, CanAdmin, CanRead, the_id
from gateway.paging import After, Limit, Page, read_uuid_cursor, show_cursor
from gateway.problems import not_found
from gateway.requests import StrictRoute
from gateway.views import AgentView, Ref, View
from shared.ids import AGENT, new_uuid, show_id
from shared.model import StrictModel, Time
from shared.signing import new_secret

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["agents"])

LIST: Final = sa.text("SELECT * FROM agents WHERE shop_id = :shop_id AND id > :after ORDER BY id LIMIT :limit")
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
    """Shown once."""

    token: str
    expires_at: Time
    agent: Ref


def agent_view(row: Any) -> AgentView:
    return AgentView(
        id=show_id(AGENT, row.id), name=row.name, email=row.email, type=row.type, created_at=row.created_at
    )


@router.get("/v1/agents", operation_id="agents.list")
async def list_agents(call: CanRead, limit: Limit = 50, after: After = None) -> Page[AgentView]:
    key = read_uuid_cursor("agents", after) if after else uuid.UUID(int=0)
    async with call.read() as connection:
        rows = (await connection.execute(LIST, {"shop_id": call.shop_id, "after": key, "limit": limit + 1})).all()
    following = show_cursor("agents", str(rows[limit - 1].id)) if len(rows) > limit else None
    return Page(items=[agent_view(row) for row in rows[:limit]], next=following)


@router.post("/v1/agents", operation_id="agents.create", status_code=201, response_model=AgentView)
async def create_agent(call: CanAdmin, new: NewAgent) -> Response:
    async def create(connection: AsyncConnection) -> AgentView:
        values = new.model_dump() | {"shop_id": call.shop_id, "id": new_uuid()}
        return agent_view((await connection.execute(INSERT, values)).one())

    return await call.once(create, status=201)


@router.get("/v1/agents/{id}", operation_id="agents.get")
async def get_agent(call: CanRead, id: str) -> AgentView:
    async with call.read() as connection:
        return agent_view(await the_agent(connection, call.shop_id, id))


async def the_agent(connection: AsyncConnection, shop_id: uuid.UUID, text: str, *, sql: sa.TextClause = BY_ID) -> Any:
    named = {"shop_id": shop_id, "id": the_id(AGENT, text, "agent")}
    row = (await connection.execute(sql, named)).one_or_none()
    if row is None:
        raise not_found("agent")
    return row


@router.patch("/v1/agents/{id}", operation_id="agents.update")
async def update_agent(call: CanAdmin, id: str, change: AgentChange) -> AgentView:
    async with call.write() as connection:
        row = await the_agent(connection, call.shop_id, id, sql=LOCKED)
        email = change.email if "email" in change.model_fields_set else row.email
        named = {"shop_id": call.shop_id, "id": row.id, "name": change.name or row.name, "email": email}
        return agent_view((await connection.execute(UPDATE, named)).one())


@router.post("/v1/agents/{id}/tokens", operation_id="agents.token", status_code=201)
async def issue_token(call: CanAdmin, id: str, new: NewToken | None = None) -> IssuedToken:
    """A token for one agent's client. Not kept under an Idempotency-Key: a secret is shown once and stored nowhere."""
    token = new_secret(AGENT_PREFIX)
    expires_at = call.core.clock() + timedelta(seconds=(new or NewToken()).ttl_s)
    async with call.write() as connection:
        row = await the_agent(connection, call.shop_id, id)
        await connection.execute(
            ISSUE,
            {
                "shop_id": call.shop_id,
                "id": new_uuid(),
                "agent_id": row.id,
                "hash": hash_secret(token),
                "expires_at": expires_at,
            },
        )
    return IssuedToken(token=token, expires_at=expires_at, agent=Ref(id=id, name=row.name))
