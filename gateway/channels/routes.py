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
from gateway.paging import Order, Page, Reading, Wanted
from gateway.problems import FieldError, Problem, not_found
from gateway.requests import StrictRoute
from gateway.versions import CACHED, CHANGEABLE, IfMatch, IfNoneMatch, Versioned, check_version
from gateway.views import ChannelView, CheckView, TemplateView
from shared.connector import ChannelType
from shared.ids import CHANNEL, new_uuid
from shared.model import StrictModel
from shared.subjects import CHANNEL_CHANGED, ChannelChanged, CheckRequest, check

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["channels"])

LIST: Final = "SELECT * FROM channels WHERE shop_id = :shop_id AND deleted_at IS NULL"
OLDEST_FIRST: Final = Order({"id": uuid.UUID})
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
async def list_channels(call: CanRead, span: Wanted) -> Page[ChannelView]:
    reading = Reading("channels", OLDEST_FIRST, span)
    async with call.read() as connection:
        rows = (await connection.execute(sa.text(LIST + reading.sql), {"shop_id": call.shop_id} | reading.named)).all()
    return reading.page(rows, [channel_view(call.core, row) for row in reading.items(rows)])


@router.post("/v1/channels", operation_id="channels.create", status_code=201, response_model=ChannelView)
async def create_channel(call: CanAdmin, new: NewChannel) -> Response:
    answer = await call.once(lambda connection: create(connection, call.core, call, new), status=201)
    if answer.status_code == 201:  # it may have to be attended to: polled, or set up at its provider
        call.core.bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id=json.loads(bytes(answer.body))["id"]))
    return answer


async def create(connection: AsyncConnection, core: Core, call: Call, new: NewChannel) -> Versioned:
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


async def tell(connection: AsyncConnection, core: Core, row: Any) -> Versioned:
    view = channel_view(core, row)
    await append(await driver(connection), [NewEvent(row.shop_id, "channel.state", view.model_dump_json())])
    return Versioned(view, row.version)


async def the_channel(call: Call, connection: AsyncConnection, text: str, *, sql: sa.TextClause = BY_ID) -> Any:
    named = {"shop_id": call.shop_id, "id": the_id(CHANNEL, text, "channel")}
    row = (await connection.execute(sql, named)).one_or_none()
    if row is None:
        raise not_found("channel")
    return row


@router.get("/v1/channels/{id}", operation_id="channels.get", response_model=ChannelView, responses=CACHED)
async def get_channel(call: CanRead, id: str, if_none_match: IfNoneMatch = None) -> Response:
    async with call.read() as connection:
        row = await the_channel(call, connection, id)
    return Versioned(channel_view(call.core, row), row.version).response(if_none_match=if_none_match)


@router.patch("/v1/channels/{id}", operation_id="channels.update", response_model=ChannelView, responses=CHANGEABLE)
async def update_channel(call: CanAdmin, id: str, change: ChannelChange, if_match: IfMatch = None) -> Response:
    async with call.write() as connection:
        row = await the_channel(call, connection, id, sql=LOCKED)
        check_version(if_match, row.version)
        config = parse_config(
            kind_of(call.core, row), row.settings | open_secrets(call.core, row) | (change.settings or {})
        )
        row = await update(
            connection, call.core, row, name=change.name or row.name, state=change.state or row.state, config=config
        )
        changed = await tell(connection, call.core, row)
    call.core.bus.signal(CHANNEL_CHANGED, ChannelChanged(channel_id=id))
    return changed.response()


def kind_of(core: Core, row: Any) -> ChannelType:
    """The type of a channel, to check its settings by; raises `Problem` where this version does not have it."""
    kind = core.types.get(row.type)
    if kind is None:
        raise Problem(
            "conflict",
            f"This version of Shopbell has no channels of type `{row.type}`, so this one can only be deleted; "
            "to change it, start a version that has them.",
        )
    return kind


@router.delete("/v1/channels/{id}", operation_id="channels.delete", status_code=204, responses=CHANGEABLE)
async def delete_channel(call: CanAdmin, id: str, if_match: IfMatch = None) -> None:
    """Disconnect; its conversations stay."""
    async with call.write() as connection:
        row = await the_channel(call, connection, id, sql=LOCKED)
        check_version(if_match, row.version)
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
