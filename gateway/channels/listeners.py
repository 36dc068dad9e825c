"""Which process listens to a channel, and how far it has come. Answers `LISTEN` and `PLACE`.

A lease in the tables with a token that grows: a process that was asleep while another took over can keep nothing more.
"""

import json
from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from gateway.core import Core
from gateway.database import Database, driver
from shared.ids import CHANNEL, MalformedId, read_id
from shared.subjects import ListenAnswer, ListenRequest, PlaceAnswer, PlaceRequest

# The time counts by the database's clock alone. Whoever let it run out starts with a new token, also the same process.
CLAIM: Final = """
    INSERT INTO listeners AS l (shop_id, channel_id, holder, token, held_until)
    SELECT shop_id, id, $2, 1, clock_timestamp() + $3::interval FROM channels WHERE id = $1
    ON CONFLICT (shop_id, channel_id) DO UPDATE SET
        token = CASE WHEN l.holder = $2 AND l.held_until > clock_timestamp() THEN l.token ELSE l.token + 1 END,
        holder = $2, held_until = clock_timestamp() + $3::interval
    WHERE l.holder = $2 OR l.held_until IS NULL OR l.held_until <= clock_timestamp()
    RETURNING token, place::text AS place
"""
GIVE_BACK: Final = "UPDATE listeners SET holder = NULL, held_until = NULL WHERE channel_id = $1 AND holder = $2"
KEEP: Final = """
    UPDATE listeners SET place = $3::jsonb
    WHERE channel_id = $1 AND token = $2 AND held_until > clock_timestamp() RETURNING 1
"""
RECLAIM: Final = sa.text("UPDATE listeners SET holder = NULL, held_until = NULL")


class Listeners:
    """The leases of all channels."""

    def __init__(self, core: Core) -> None:
        self._db = core.db

    async def listen(self, request: ListenRequest) -> ListenAnswer:
        try:
            channel_id = read_id(CHANNEL, request.channel_id)
        except MalformedId:
            return ListenAnswer()
        async with self._db.system() as connection:
            raw = await driver(connection)
            if request.ttl_s <= 0:
                await raw.execute(GIVE_BACK, channel_id, request.holder)
                return ListenAnswer()
            row = await raw.fetchrow(CLAIM, channel_id, request.holder, timedelta(seconds=request.ttl_s))
        return ListenAnswer(token=row["token"], place=json.loads(row["place"])) if row else ListenAnswer()

    async def keep(self, request: PlaceRequest) -> PlaceAnswer:
        try:
            channel_id = read_id(CHANNEL, request.channel_id)
        except MalformedId:
            return PlaceAnswer(kept=False)
        place = json.dumps(request.place)
        async with self._db.system() as connection:
            kept = await (await driver(connection)).fetchval(KEEP, channel_id, request.token, place)
        return PlaceAnswer(kept=kept is not None)


async def reclaim(db: Database) -> None:
    """End every lease: for a process that knows itself alone and finds what one before it left."""
    async with db.system() as connection:
        await connection.execute(RECLAIM)
