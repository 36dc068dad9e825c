"""One call of the API: who calls, one transaction, and the answer given once."""

import contextlib
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

import asyncpg
import sqlalchemy as sa
from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.access.principals import Principal, Scope, find_principal
from gateway.core import Core
from gateway.problems import PROBLEM_SCHEMA, Problem, problem_response
from gateway.requests import StrictRequest
from gateway.versions import Versioned
from shared.ids import SHOP, MalformedId, read_id, show_id
from shared.signing import BadToken, seal, unseal
from shared.subjects import FEED_GREW, OUTBOX_FILLED, FeedGrew, OutboxFilled

KEY_MAX: Final = 255
REPLAYED: Final = "Idempotency-Replayed"
KEPT_HEADERS: Final = ("content-type", "etag")
Effect = Callable[[AsyncConnection], Awaitable[BaseModel | Versioned]]

bearer = HTTPBearer(auto_error=False, description="A shop key `sb_live_...` or an agent token `sb_agent_...`.")

CLAIM: Final = sa.text(
    """
    INSERT INTO idempotency (shop_id, principal, key, fingerprint) VALUES (:shop_id, :principal, :key, :fingerprint)
    ON CONFLICT DO NOTHING RETURNING 1
    """
)
RECALL: Final = sa.text(
    "SELECT fingerprint, status, headers, body FROM idempotency "
    "WHERE shop_id = :shop_id AND principal = :principal AND key = :key"
)
KEEP: Final = sa.text(
    "UPDATE idempotency SET status = :status, headers = CAST(:headers AS jsonb), body = :body "
    "WHERE shop_id = :shop_id AND principal = :principal AND key = :key"
)


@dataclass(frozen=True)
class Call:
    """A request of a known caller."""

    core: Core
    request: Request
    principal: Principal
    idempotency_key: str | None

    @property
    def shop_id(self) -> uuid.UUID:
        return self.principal.shop_id

    async def is_still_allowed(self) -> bool:
        """Whether the token would be taken again. An answer that lasts asks from time to time."""
        _, _, token = self.request.headers["authorization"].partition(" ")
        return await find_principal(self.core.db, token.strip(), self.core.clock()) is not None

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with self.core.db.shop(self.shop_id) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction whose events wake the readers once it is committed."""
        async with self.core.db.shop(self.shop_id) as connection:
            yield connection
        self.core.bus.signal(FEED_GREW, FeedGrew(shop_id=show_id(SHOP, self.shop_id)))
        self.core.bus.signal(OUTBOX_FILLED, OutboxFilled())

    async def once(
        self,
        effect: Effect,
        *,
        status: int = 200,
        fingerprint: bytes | None = None,
    ) -> Response:
        """Do the effect, and remember the answer in the same transaction if the call carries an Idempotency-Key.

        The same key and body get the same bytes again; another body is 422; while the first is at work, 409.
        `fingerprint` tells two requests apart whose bodies are not JSON.
        """
        if self.idempotency_key is None:
            async with self.write() as connection:
                return json_response(await effect(connection), status)
        async with self.write() as connection:
            kept = await self._claim(connection, fingerprint or await self._fingerprint())
            if kept is not None:
                return kept
            answer = await self._attempt(connection, effect, status)
            await connection.execute(
                KEEP,
                self._named(
                    status=answer.status_code,
                    body=seal(self._answers_key, bytes(answer.body), bound_to=self._place),
                    headers=json.dumps({name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}),
                ),
            )
            return answer

    async def answered(self) -> Response | None:
        """The answer to the first call with this key, if there was one: for what does its work outside `once`.

        Raises `Problem` if the first call was another one.
        """
        if self.idempotency_key is None:
            return None
        async with self.read() as connection:
            return await self._recall(connection, await self._fingerprint())

    async def _attempt(self, connection: AsyncConnection, effect: Effect, status: int) -> Response:
        """The effect or its refusal; a refusal undoes the effect, and is remembered if it is final."""
        try:
            async with connection.begin_nested():
                return json_response(await effect(connection), status)
        except Problem as problem:
            if not problem.final:
                raise
            return problem_response(problem, self.request)

    async def _claim(self, connection: AsyncConnection, fingerprint: bytes) -> Response | None:
        """None if this is the first call with the key; else the answer to the first one."""
        await connection.execute(sa.text("SELECT set_config('lock_timeout', '300ms', true)"))
        try:
            claimed = await connection.scalar(CLAIM, self._named(fingerprint=fingerprint))
        except DBAPIError as error:
            if isinstance(error.orig and error.orig.__cause__, asyncpg.exceptions.LockNotAvailableError):
                raise Problem(
                    "idempotency_in_flight", "Ask again in a second.", headers={"Retry-After": "1"}
                ) from error
            raise
        await connection.execute(sa.text("SELECT set_config('lock_timeout', '0', true)"))
        return None if claimed else await self._recall(connection, fingerprint)

    async def _recall(self, connection: AsyncConnection, fingerprint: bytes) -> Response | None:
        row = (await connection.execute(RECALL, self._named())).one_or_none()
        if row is None:
            return None
        if bytes(row.fingerprint) != fingerprint:
            raise Problem(
                "idempotency_mismatch",
                "This Idempotency-Key came with another request before; use a new one for a new request.",
            )
        try:
            body = unseal(self._answers_key, bytes(row.body), bound_to=self._place)
        except BadToken as error:
            raise Problem(
                "conflict",
                "What was answered to the first call with this key cannot be read any more, since the server's secret "
                "key was changed; see what became of it, and use a new key.",
            ) from error
        return Response(body, status_code=row.status, headers={**row.headers, REPLAYED: "true"})

    @property
    def _answers_key(self) -> bytes:
        """Answers are kept sealed: some hold a secret that is shown once."""
        return self.core.key("idempotency")

    @property
    def _place(self) -> bytes:
        return f"{self.shop_id}|{self.principal.public_id}|{self.idempotency_key}".encode()

    def _named(self, **more: object) -> dict[str, object]:
        named = {"shop_id": self.shop_id, "principal": self.principal.public_id, "key": self.idempotency_key}
        return named | more

    async def _fingerprint(self) -> bytes:
        body = await self.request.body()
        canonical = json.dumps(await self.request.json(), sort_keys=True) if body else ""
        told = f"{self.request.method} {self.request.url.path}\n{canonical}"
        return hashlib.sha256(told.encode()).digest()


def json_response(body: BaseModel | Versioned, status: int) -> Response:
    if isinstance(body, Versioned):
        return body.response(status=status)
    return Response(body.model_dump_json(), status_code=status, media_type="application/json")


def core_of(request: Request) -> Core:
    core = request.app.state.core
    assert isinstance(core, Core)
    return core


async def the_principal(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Principal:
    core = core_of(request)
    principal = None if credentials is None else await find_principal(core.db, credentials.credentials, core.clock())
    if principal is None:
        raise Problem(
            "unauthorized",
            "Send `Authorization: Bearer <token>` with a key or an agent token that is valid now.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return principal


def needs(scope: Scope) -> Callable[..., Awaitable[Call]]:
    """A dependency: the call, made by someone with this scope."""

    async def the_call(
        request: Request,
        principal: Annotated[Principal, Depends(the_principal)],
        idempotency_key: Annotated[
            str | None,
            Header(description="The same key and body get the first answer again.", max_length=KEY_MAX),
        ] = None,
    ) -> Call:
        if scope not in principal.scopes:
            raise Problem("forbidden", f"This token lacks the scope `{scope}`; use one that has it.")
        key = idempotency_key.strip().strip('"') if idempotency_key else None
        if key and any(ord(letter) < 32 for letter in key):
            raise Problem("bad_request", "The Idempotency-Key must be printable.")
        if isinstance(request, StrictRequest):
            await request.check_types()
        return Call(core_of(request), request, principal, key or None)

    return the_call


CanRead = Annotated[Call, Depends(needs("read"))]
CanWrite = Annotated[Call, Depends(needs("write"))]
CanAdmin = Annotated[Call, Depends(needs("admin"))]


def the_id(prefix: str, text: str, what: str) -> uuid.UUID:
    """The UUID of a typed id in a path or body; anything else does not exist."""
    try:
        return read_id(prefix, text)
    except MalformedId:
        raise Problem(
            "not_found", f"There is no {what} with this id; ids of this kind look like {prefix}_ and 26 characters."
        ) from None


# By reference, since a model here is built anew for every status of every route: a sixth of the time to start.
PROBLEMS: Final[dict[int | str, dict[str, object]]] = {
    status: {"description": what, "content": {"application/problem+json": {"schema": {"$ref": PROBLEM_SCHEMA}}}}
    for status, what in {
        400: "Not understood",
        401: "No valid token",
        403: "The token does not allow it",
        404: "No such thing in this shop",
        409: "Conflict",
        413: "Too large",
        422: "Does not fit",
        503: "Not possible just now",
    }.items()
}
