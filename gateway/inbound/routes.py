"""`/v1/inbound`: the raw journal and its quarantine."""

import json
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Query
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from gateway.calls import PROBLEMS, Call, CanRead, CanWrite, the_id
from gateway.inbound.arrivals import Arrival, ChannelInfo
from gateway.inbound.ingest import Ingest, is_transient
from gateway.inbound.land import describe
from gateway.paging import Order, Page, Reading, Wanted
from gateway.problems import Problem, not_found
from gateway.requests import StrictRoute
from gateway.views import InboundView
from shared.errors import NoAnswer
from shared.events import InboundEvent, Undigested
from shared.ids import CHANNEL, INBOUND, show_id
from shared.subjects import ReparseRequest, reparse

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["inbound"])

EVENT: Final[TypeAdapter[InboundEvent]] = TypeAdapter(InboundEvent)
LIST: Final = "SELECT * FROM journal WHERE shop_id = :shop_id"
NEWEST_FIRST: Final = Order({"id": uuid.UUID}, newest_first=True)
BY_ID: Final = sa.text(
    """
    SELECT j.*, c.type AS channel_type, c.account FROM journal j
    JOIN channels c ON (c.shop_id, c.id) = (j.shop_id, j.channel_id) WHERE j.shop_id = :shop_id AND j.id = :id
    """
)


def inbound_view(row: Any, *, whole: bool) -> InboundView:
    return InboundView(
        id=show_id(INBOUND, row.id),
        channel=show_id(CHANNEL, row.channel_id),
        state=row.state,
        kind=row.kind,
        reason=row.reason,
        received_at=row.received_at,
        processed_at=row.processed_at,
        event=json.loads(row.event) if whole and row.event else None,
        raw=bytes(row.raw).decode("utf-8", "replace") if whole else None,
    )


@router.get("/v1/inbound", operation_id="inbound.list")
async def list_inbound(
    call: CanRead, span: Wanted, state: Annotated[Literal["processed", "quarantined"] | None, Query()] = None
) -> Page[InboundView]:
    """Newest first, without the raw words."""
    reading = Reading(f"inbound {state}", NEWEST_FIRST, span)
    sql = LIST + (f" AND state = '{state}'" if state else "") + reading.sql
    async with call.read() as connection:
        rows = (await connection.execute(sa.text(sql), {"shop_id": call.shop_id} | reading.named)).all()
    return reading.page(rows, [inbound_view(row, whole=False) for row in reading.items(rows)])


@router.get("/v1/inbound/{id}", operation_id="inbound.get")
async def get_inbound(call: CanRead, id: str) -> InboundView:
    async with call.read() as connection:
        return inbound_view(await the_row(call, connection, id), whole=True)


async def the_row(call: Call, connection: AsyncConnection, text: str) -> Any:
    named = {"shop_id": call.shop_id, "id": the_id(INBOUND, text, "inbound event")}
    row = (await connection.execute(BY_ID, named)).one_or_none()
    if row is None:
        raise not_found("inbound event")
    return row


@router.post("/v1/inbound/{id}/replay", operation_id="inbound.replay", response_model=InboundView)
async def replay(call: CanWrite, id: str, request: Request) -> Response:
    """Try a quarantined event again. It lands once, however often it is asked for; if it still fails, it stays."""
    first = await call.answered()
    if first is not None:
        return first
    async with call.read() as connection:
        row = await the_row(call, connection, id)
    if row.state != "processed":
        ingest = request.app.state.ingest
        assert isinstance(ingest, Ingest)
        await take_in(call, ingest, row)

    async def show(connection: AsyncConnection) -> InboundView:
        return inbound_view(await the_row(call, connection, id), whole=True)

    # Only the answer is in this transaction: the replay has one of its own, and to land twice is impossible there.
    return await call.once(show)


async def take_in(call: Call, ingest: Ingest, row: Any) -> None:
    """Land what a quarantined row holds. Raises `Problem`."""
    channel = ChannelInfo(row.channel_id, row.shop_id, row.channel_type, row.account)
    arrivals = await events_of(call, ingest, row, channel)
    try:
        await ingest.replay(arrivals, row=(row.shop_id, row.id))
    except Exception as error:
        if is_transient(error):
            raise
        reason = describe(error)
        raise Problem("conflict", f"It still cannot be taken in: {reason.detail}. It stays in quarantine.") from error


async def events_of(call: Call, ingest: Ingest, row: Any, channel: ChannelInfo) -> Sequence[Arrival]:
    """The event of a journal row, or where it was not understood, what its payload gives when it is parsed anew."""
    event = EVENT.validate_json(row.event)
    if not isinstance(event, Undigested):
        arrival = await ingest.route(channel, event)
        if arrival.held is not None:
            raise not_understood(arrival.held.detail)
        arrival.number, arrival.journaled = row.id, True
        return [arrival]
    question = ReparseRequest(channel_id=show_id(CHANNEL, channel.id), body=event.raw, headers=event.headers)
    try:
        answer = await call.core.bus.request(reparse(channel.type), question)
    except NoAnswer as error:
        raise Problem("unavailable", "No connector of this type runs just now; start one and try again.") from error
    if answer.problem is not None:
        raise not_understood(answer.problem)
    arrivals = [await ingest.route(channel, parsed) for parsed in answer.events]
    for arrival in arrivals:
        if isinstance(arrival.event, Undigested) and arrival.dedupe == row.dedupe:
            raise not_understood(arrival.event.reason.detail)
    return arrivals


def not_understood(why: str) -> Problem:
    return Problem("conflict", f"It still cannot be understood: {why}. It stays in quarantine.")
