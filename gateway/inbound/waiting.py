"""Edits and deletions that overtook their message: providers keep no order. They land once the message is here."""

import asyncio
from datetime import timedelta
from typing import Any, Final

import structlog
from pydantic import TypeAdapter

from gateway.core import Core
from gateway.database import driver
from gateway.inbound.arrivals import Arrival, ChannelInfo
from gateway.inbound.ingest import Ingest, is_transient
from gateway.inbound.land import UNKNOWN_MESSAGE, describe
from shared.events import InboundEvent
from shared.ids import INBOUND, least_uuid, show_id

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 2.0
PATIENCE: Final = timedelta(hours=1)  # what has waited longer is left to a person
EVENT: Final[TypeAdapter[InboundEvent]] = TypeAdapter(InboundEvent)
# Shop by shop, since the index of what is in quarantine begins with it: however much is there, only the youngest rows
# are read. A message is found through the person, as in landing. Edits first: they may not change what is deleted.
HERE_BY_NOW: Final = """
    SELECT j.shop_id, j.id, j.channel_id, j.dedupe, j.event, c.type, c.account
    FROM shops s
    CROSS JOIN LATERAL (
        SELECT q.*, q.event::jsonb AS said FROM journal q
        WHERE q.shop_id = s.id AND q.id >= $1 AND q.state = 'quarantined' AND q.reason ->> 'code' = $2
    ) j
    JOIN channels c ON (c.shop_id, c.id) = (j.shop_id, j.channel_id)
    CROSS JOIN LATERAL (
        SELECT FROM identities k
        JOIN identities i ON (i.shop_id, i.contact_id, i.channel_type) = (k.shop_id, k.contact_id, k.channel_type)
        JOIN messages m ON (m.shop_id, m.channel_id, m.identity_id, m.external_id)
                           = (i.shop_id, j.channel_id, i.id, j.said ->> 'external_id')
        WHERE (k.shop_id, k.channel_type, k.account, k.peer)
              = (j.shop_id, j.said #>> '{address,channel}', j.said #>> '{address,account}', j.said #>> '{address,peer}')
        LIMIT 1
    ) here
    ORDER BY j.kind = 'message_deleted', j.id LIMIT 100
"""


async def look_for_ever(core: Core, ingest: Ingest) -> None:
    """Look every now and then, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            await look(core, ingest)
        except Exception as error:  # there is a next time
            log.warning("waiting.look_failed", error=type(error).__name__)


async def look(core: Core, ingest: Ingest) -> None:
    """Take out of quarantine what waited for a message that is here by now. What cannot land stays there."""
    async with core.db.system() as connection:
        since = least_uuid(core.clock() - PATIENCE)
        rows = await (await driver(connection)).fetch(HERE_BY_NOW, since, UNKNOWN_MESSAGE.code)
    for row in rows:
        try:
            await ingest.replay([arrival_of(row)], row=(row["shop_id"], row["id"]))
        except Exception as error:
            if is_transient(error):
                raise
            log.warning("waiting.not_landed", inbound=show_id(INBOUND, row["id"]), reason=describe(error).code)


def arrival_of(row: Any) -> Arrival:
    """What was set aside on this channel, to be landed there."""
    channel = ChannelInfo(row["channel_id"], row["shop_id"], row["type"], row["account"])
    return Arrival(channel, EVENT.validate_json(row["event"]), row["id"], row["dedupe"], journaled=True)
