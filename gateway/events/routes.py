"""`/v1/events`: the feed as pages, as a long poll, and as a stream."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse

from gateway.agents.presence import Attendance, note
from gateway.calls import PROBLEMS, Call, CanRead
from gateway.database import driver
from gateway.events.feed import Edges, FeedEvent, edges, read, read_cursor, show_cursor, show_event
from gateway.events.tail import follow
from gateway.problems import Problem
from gateway.requests import StrictRoute
from shared.ids import SHOP, show_id
from shared.model import show_time
from shared.subjects import TypingSeen

router = APIRouter(route_class=StrictRoute, responses=PROBLEMS, tags=["events"])

HEARTBEAT_S: Final = 15.0
CHECK_EVERY: Final = timedelta(seconds=1)  # how long a stream may outlive the revocation of its key
WAIT_MAX_S: Final = 30
SSE: Final = "text/event-stream"


@router.get(
    "/v1/events",
    operation_id="events.list",
    response_class=Response,
    responses={200: {"content": {"application/json": {}, SSE: {}}, "description": "Events, oldest first"}},
)
async def list_events(
    call: CanRead,
    after: Annotated[str | None, Query(max_length=100, description="A cursor, or `now`.")] = None,
    types: Annotated[
        str | None, Query(max_length=1000, pattern=r"^[a-z_., ]*$", description="Types, with commas between.")
    ] = None,
    wait: Annotated[int, Query(ge=0, le=WAIT_MAX_S, description="Seconds to wait for a first event.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    accept: Annotated[str, Header(include_in_schema=False)] = "*/*",
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """Everything that happens, in one order, from any point that is kept. `next` goes on from there.

    With `Accept: text/event-stream` the same as a stream: `id:` is the cursor, and `Last-Event-ID` resumes.
    """
    key = call.core.key("feed cursors")
    async with call.read() as connection:
        edge = await edges(await driver(connection), call.shop_id)
        await note(connection, call.principal)
    position = start(key, call, last_event_id or after, edge)
    wanted = [kind.strip() for kind in types.split(",") if kind.strip()] if types else None
    if SSE in accept:
        return StreamingResponse(
            stream(call, key, position, wanted),
            media_type=SSE,
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
    events, position = await page(call, position, wanted, limit, wait)
    following = json.dumps(show_cursor(key, call.shop_id, position))
    items = ",".join(show_event(key, call.core.links, event) for event in events)
    return Response(f'{{"items":[{items}],"next":{following}}}', media_type="application/json")


def start(key: bytes, call: Call, cursor: str | None, edge: Edges) -> int:
    """The position to read after; raises `Problem` for a cursor that is not ours or of what is not there."""
    if cursor is None:
        return edge.oldest - 1
    if cursor == "now":
        return edge.newest
    position = read_cursor(key, call.shop_id, cursor)
    if position < edge.oldest - 1:
        raise Problem(
            "cursor_expired", "Events that old are no longer kept; list what you need and go on with `after=now`."
        )
    if position > edge.newest:  # the database is a backup: what comes until it gets there would be passed over
        raise Problem(
            "cursor_expired", "The feed does not reach so far any more; list what you need and go on with `after=now`."
        )
    return position


async def page(
    call: Call, position: int, types: list[str] | None, limit: int, wait_s: float
) -> tuple[list[FeedEvent], int]:
    """Up to `limit` events and where to go on: behind everything that was looked at."""
    deadline = asyncio.get_running_loop().time() + wait_s
    with call.core.tail.listen(call.shop_id) if wait_s else contextlib.nullcontext() as listener:
        while True:
            async with call.read() as connection:
                raw = await driver(connection)
                newest = (await edges(raw, call.shop_id)).newest
                events = await read(raw, call.shop_id, after=position, limit=limit, types=types)
            if len(events) == limit:
                return events, events[-1].position
            position = max([newest, position, *(event.position for event in events)])
            left = deadline - asyncio.get_running_loop().time()
            if events or listener is None or left <= 0 or call.core.tail.draining:
                return events, position
            await listener.take(left)


async def stream(call: Call, key: bytes, position: int, types: list[str] | None) -> AsyncIterator[str]:
    """Server-sent events until the client goes, the token expires or is revoked, or the server stops."""
    expires_at, checked_at = call.principal.expires_at, call.core.clock()
    attendance = Attendance(call.core, call.principal)
    yield "retry: 2000\n\n"
    async for item in follow(call.core.tail, call.core.db, call.shop_id, after=position, idle_s=HEARTBEAT_S):
        now = call.core.clock()
        over = expires_at is not None and now >= expires_at
        if now - checked_at >= CHECK_EVERY and not over:
            checked_at, over = now, not await call.is_still_allowed()
        if over:
            yield "event: auth_expired\ndata: {}\n\n"
            return
        await attendance.go_on()
        if item is None:
            yield ": ping\n\n"
        elif isinstance(item, TypingSeen):
            if types is None or "typing" in types:
                yield f"event: typing\ndata: {typing_json(call, item)}\n\n"
        elif types is None or item.type in types:
            cursor = show_cursor(key, item.shop_id, item.position)
            yield f"id: {cursor}\nevent: {item.type}\ndata: {show_event(key, call.core.links, item)}\n\n"


def typing_json(call: Call, seen: TypingSeen) -> str:
    return json.dumps(
        {
            "id": None,
            "type": "typing",
            "at": show_time(call.core.clock()),
            "shop": show_id(SHOP, call.shop_id),
            "conversation": seen.conversation_id,
            "cursor": None,
            "data": {"conversation": seen.conversation_id, "on": seen.on, "by": seen.by},
        }
    )
