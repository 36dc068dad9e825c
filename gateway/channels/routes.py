"""`/v1/channels`."""

import json
import uuid
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.calls import PROBLEMS, Call, CanAdmin, CanRead, CanWrite, the_id
from gateway.channels import templates
from gateway.channels.store import (
    BY_ID,
    LOCKED,
    channel_view,
    insert,
    open_secrets,
    parse_config,
    update,
)
from gateway.conversations.store import capabilities_of
from gateway.core import Core
from gateway.database import driver
from gateway.events.feed import NewEvent, append
from gateway.paging import After, Limit, Page, read_uuid_cursor, show_cursor
from gateway.problems import FieldError, Problem, not_found
from gateway.requests import StrictRoute
from gateway.views import ChannelView, CheckView, TemplateView
from shared.ids import CHANNEL, new_uuid
from shared.model import StrictModel
from shared.subjects import CHANNEL_CHANGED, ChannelChanged, CheckRequest, check

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["channels"])

LIST: Final = sa.text(
    "SELECT * FROM channels WHERE shop_id = :shop_id AND deleted_at IS NULL AND id > :after ORDER BY id LIMIT :limit"
)
DELETE: Final = sa.text(
    "UPDATE channels SET deleted_at = now(), state = 'paused' WHERE shop_id = :shop_id AND id = :id"
)
Name = Annotated[str, Field(min_length=1, max_length=100)]


class NewChannel(StrictModel):
    """`settings` are those of the type; secrets among them go in and never come out."""

    type: str
    name: Name
    settings: dict[str, Any] = Field(default_factory=dict)


class ChannelChange(StrictModel):
    """Only what is named is changed; `settings` are merged over the present ones."""

    name: Name | None = None
    state: Literal["active", "paused"] | None = None
    settings: dict[str, Any] | None = None


@router.get("/v1/channels", operation_id="channels.list")
async def list_channels(call: CanRead, limit: Limit = 50, after: After = None) -> Page[ChannelView]:
    key = read_uuid_cursor("channels", after) if after else uuid.UUID(int=0)
    async with call.read() as connection:
        rows = (await connection.execute(LIST, {"shop_id": call.shop_id, "after": key, "limit": limit + 1})).all()
    following = show_cursor("channels", str(rows[limit - 1].id)) if len(rows) > limit else None
    return Page(items=[channel_view(call.core, row) for row in rows[:limit]], next=following)


@router.post("/v1/channels", operation_id="channels.create", status_code=201, response_model=ChannelView)
async def create_channel(call: CanAdmin, new: NewChannel) -> Response:
    return await call.once(lambda connection: create(connection, call.core, call, new), status=201)


async def create(connection: AsyncConnection, core: Core, call: Call, new: NewChannel) -> ChannelView:
    kind = core.types.get(new.type)
    if kind is None:
        known = ", ".join(sorted(core.types))
        error = FieldError(pointer="/type", code="unknown", detail=f"Known types: {known}.")
        raise Problem("validation_failed", f"There is no channel type `{new.type}`; known: {known}.", errors=[error])
    config = parse_config(kind, new.settings)
    row = await insert(
        connection, core, shop_id=call.shop_id, key=new_uuid(), kind=new.type, name=new.name, config=config
    )
    return await tell(connection, core, row)


async def tell(connection: AsyncConnection, core: Core, row: Any) -> ChannelView:
    view = channel_view(core, row)
    await append(await driver(connection), [NewEvent(row.shop_id, "channel.state", view.model_dump_json())])
    return view


async def the_channel(call: Call, connection: AsyncConnection, text: str, *, sql: sa.TextClause = BY_ID) -> Any:
    named = {"shop_id": call.shop_id, "id": the_id(CHANNEL, text, "channel")}
    row = (await connection.execute(sql, named)).one_or_none()
    if row is None:
        raise not_found("channel")
    return row


@router.get("/v1/channels/{id}", operation_id="channels.get")
async def get_channel(call: CanRead, id: str) -> ChannelView:
    async with call.read() as connection:
        return channel_view(call.core, await the_channel(call, connection, id))


@router.patch("/v1/channels/{id}", operation_id="channels.update")
async def update_channel(call: CanAdmin, id: str, change: ChannelChange) -> ChannelView:
    async with call.write() as connection:
        row = await the_channel(call, connection, id, sql=LOCKED)
        values = row.settings | open_secrets(call.core, row) | (change.settings or {})
        config = parse_config(call.core.types[row.type], json.loads(json.dumps(values)))
        row = await update(
            connection, call.core, row, name=change.name or row.name, state=change.state or row.state, config=config
        )
        view = await tell(connection, call.core, row)
    call.core.bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id=id))
    return view


@router.delete("/v1/channels/{id}", operation_id="channels.delete", status_code=204)
async def delete_channel(call: CanAdmin, id: str) -> None:
    """Disconnect; its conversations stay."""
    async with call.write() as connection:
        row = await the_channel(call, connection, id, sql=LOCKED)
        await connection.execute(DELETE, {"shop_id": call.shop_id, "id": row.id})
    call.core.bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id=id))


@router.post("/v1/channels/{id}/check", operation_id="channels.check")
async def check_channel(call: CanWrite, id: str) -> CheckView:
    """Ask the provider whether everything is in order, and be told in words what is not."""
    async with call.read() as connection:
        row = await the_channel(call, connection, id)
    if row.state != "active":
        why = (row.state_reason or {}).get("detail", "It was paused by hand.")
        return CheckView(ok=False, problems=(f"The channel is paused: {why} Activate it when that is mended.",))
    answer = await call.core.bus.request(check(row.type), CheckRequest(channel_id=id))
    return CheckView(ok=not answer.problems, problems=answer.problems)


@router.get("/v1/channels/{id}/templates", operation_id="channels.templates")
async def list_templates(
    call: CanRead, id: str, renew: Annotated[bool, Query(description="Ask the provider first.")] = False
) -> Page[TemplateView]:
    """The texts that the provider approved beforehand, as they were when it was asked last."""
    async with call.read() as connection:
        row = await the_channel(call, connection, id)
    if not capabilities_of(call.core.types, row.type).template:
        return Page(items=[])
    if renew or row.templates_synced_at is None:
        await templates.renew(call.core, row)
    async with call.read() as connection:
        return Page(items=await templates.known(connection, call.shop_id, row.id))
