"""Put the gateway together: its routes, what it answers on the bus, and what runs beside the requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import sqlalchemy as sa
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response

from gateway.access import routes as access
from gateway.agents import routes as agents
from gateway.agents.presence import Presence
from gateway.channels import routes as channels
from gateway.channels.listeners import Listeners
from gateway.channels.store import ChannelDirectory, channel_view
from gateway.channels.templates import keep_fresh
from gateway.contacts import routes as contacts
from gateway.conversations import routes as conversations
from gateway.conversations.thread import Threads
from gateway.core import Core
from gateway.docs import add_docs
from gateway.events import routes as events
from gateway.files import routes as files
from gateway.files.fetching import Keeper
from gateway.housekeeping import keep_house
from gateway.inbound import routes as inbound
from gateway.inbound.ingest import Ingest, is_transient
from gateway.inbound.land import Surroundings
from gateway.inbound.waiting import look_for_ever
from gateway.outbox.relay import ANSWERS, FILES, Relay
from gateway.problems import TITLES, Problem, describe_problems, install_problem_handlers
from gateway.requests import BodyLimit, RequestIds
from shared.errors import BusUnavailable, NoAnswer
from shared.model import Model
from shared.subjects import CHANNEL, CHANNELS, INBOUND, LISTEN, MEDIA, PLACE, STAFFED, THREAD

Q = TypeVar("Q", bound=Model)
A = TypeVar("A", bound=Model)

VERSION: Final = "0.1.0"
FORM_BYTES: Final = 16_384  # what a form adds to the file in it
DESCRIPTION: Final = """
One API for every messenger of a shop's customers: read, answer, and know what was sent, delivered and read.

Send `Authorization: Bearer <key>`. Every POST takes an `Idempotency-Key`: a repeat is harmless. Errors are
`application/problem+json` with a stable `code`. Lists answer `{"items", "next", "prev"}`; pass `next` as `after`, or
`prev` as `before`.
Everything that happens is in `GET /v1/events`, in one order, as pages, as a long poll or as a stream.
"""

health = APIRouter(include_in_schema=False)


@health.get("/healthz")
async def healthz() -> Response:
    """Alive: this process answers."""
    return JSONResponse({"status": "ok"})


@health.get("/readyz")
async def readyz(request: Request) -> Response:
    """Ready: the database answers."""
    core: Core = request.app.state.core
    try:
        async with asyncio.timeout(2):
            async with core.db.system() as connection:
                await connection.execute(sa.text("SELECT 1"))
    except Exception:  # whatever it is, we are not ready
        return JSONResponse({"status": "not ready", "not_ready": ["database"]}, status_code=503)
    return JSONResponse({"status": "ready", "not_ready": []})


@health.get("/problems/{code}")
async def explain_problem(code: str) -> Response:
    if code not in TITLES:
        raise Problem("not_found", "There is no problem type of this name.")
    status, title = TITLES[code]
    return JSONResponse({"code": code, "status": status, "title": title})


@dataclass(frozen=True)
class Gateway:
    """The assembled gateway: an ASGI app, and its work in the background."""

    core: Core
    app: FastAPI
    ingest: Ingest
    relay: Relay
    fetcher: Relay

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything that runs beside the requests, for as long as the block lasts."""
        core = self.core
        writer = asyncio.create_task(self.ingest.run(), name="ingest")
        others = [
            asyncio.create_task(self.relay.run(), name="relay"),
            asyncio.create_task(self.fetcher.run(), name="fetcher"),
            asyncio.create_task(self.relay.sweep_for_ever(), name="sweep"),
            asyncio.create_task(core.tail.run(), name="feed"),
            asyncio.create_task(look_for_ever(core, self.ingest), name="waiting"),
            asyncio.create_task(keep_house(core), name="housekeeping"),
            asyncio.create_task(keep_fresh(core), name="templates"),
        ]
        try:
            yield
        finally:
            core.tail.close()
            await ended(others)
            await asyncio.gather(
                self.relay.drain(1.0), self.fetcher.drain(0.2)
            )  # outcomes of what is on its way still go through the writer
            await ended([writer])


async def ended(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def or_no_answer(answer: Callable[[Q], Awaitable[A]]) -> Callable[[Q], Awaitable[A]]:
    """The same, in the bus's own words where the database is to blame: whoever asks knows nothing of it."""

    async def answer_or_not(question: Q) -> A:
        try:
            return await answer(question)
        except Exception as error:
            if is_transient(error):
                raise NoAnswer("The database cannot be reached just now; try again.") from error
            raise

    return answer_or_not


def or_not_taken(take: Callable[[Q], Awaitable[None]]) -> Callable[[Q], Awaitable[None]]:
    """The same, where the database is to blame: whoever published may do so again."""

    async def take_or_not(message: Q) -> None:
        try:
            await take(message)
        except Exception as error:
            if is_transient(error):
                raise BusUnavailable("The database cannot be reached just now; try again.") from error
            raise

    return take_or_not


def build_gateway(core: Core) -> Gateway:
    """The gateway over these surroundings. Nothing runs yet."""
    app = FastAPI(
        title="Shopbell",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # those pages load their parts from the network; ours are in docs.py
        redoc_url=None,
        strict_content_type=True,
        telemetry={"logs": False},  # it would write the text of errors, and so of customers, into the log
    )
    app.state.core = core
    around = Surroundings(core.types, core.settings.reopen_days, partial(channel_view, core))
    ingest = app.state.ingest = Ingest(core.db, core.bus, around)
    relay, fetcher = (Relay(core.db, core.bus, core.types, share) for share in (ANSWERS, FILES))
    for routes in (access, agents, channels, contacts, conversations, files, inbound, events):
        app.include_router(routes.router)
    app.include_router(files.served)
    app.include_router(health)
    add_docs(app)
    describe_problems(app)
    install_problem_handlers(app)
    app.add_middleware(
        BodyLimit,
        max_bytes=core.settings.max_body_bytes,
        larger={"/v1/attachments": core.settings.max_attachment_bytes + FORM_BYTES},
    )
    app.add_middleware(RequestIds)
    core.bus.consume(INBOUND, ingest.ingest)
    core.bus.consume(MEDIA, or_not_taken(Keeper(core).take))
    directory = ChannelDirectory(core)
    core.bus.serve(CHANNEL, or_no_answer(directory.answer))
    core.bus.serve(CHANNELS, or_no_answer(directory.list))
    listeners = Listeners(core)
    core.bus.serve(LISTEN, or_no_answer(listeners.listen))
    core.bus.serve(PLACE, or_no_answer(listeners.keep))
    core.bus.serve(THREAD, or_no_answer(Threads(core).answer))
    core.bus.serve(STAFFED, or_no_answer(Presence(core).answer))
    return Gateway(core, app, ingest, relay, fetcher)
