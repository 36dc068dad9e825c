"""Texts that a provider approved beforehand: asked for at the provider, kept here, offered where a free answer is not
allowed."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.core import Core
from gateway.database import driver
from gateway.problems import Problem
from gateway.views import TemplateView
from shared.bus import Bus
from shared.errors import NoAnswer
from shared.ids import CHANNEL, show_id
from shared.subjects import CheckRequest, KnownTemplate, TemplatesAnswer, templates

LIST: Final = sa.text(
    "SELECT name, language, status, category, body, places, usable FROM templates "
    "WHERE shop_id = :shop_id AND channel_id = :channel_id ORDER BY name, language"
)
FORGET: Final = "DELETE FROM templates WHERE shop_id = $1 AND channel_id = $2"
KEEP: Final = """
    INSERT INTO templates (shop_id, channel_id, name, language, status, category, body, places, usable)
    SELECT $1, $2, t.name, t.language, t.status, t.category, t.body,
           ARRAY(SELECT jsonb_array_elements_text(t.places::jsonb)), t.usable
    FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::boolean[])
         AS t (name, language, status, category, body, places, usable)
    ON CONFLICT DO NOTHING
"""
SYNCED: Final = "UPDATE channels SET templates_synced_at = now() WHERE shop_id = $1 AND id = $2"
STALE: Final = sa.text(
    "SELECT shop_id, id, type FROM channels WHERE type = ANY(:types) AND state = 'active' AND deleted_at IS NULL "
    "AND (templates_synced_at IS NULL OR templates_synced_at < now() - interval '6 hours') ORDER BY id LIMIT :most"
)
# A provider that does not answer is asked again in ten minutes, and holds up nobody else meanwhile.
NOT_NOW: Final = sa.text(
    "UPDATE channels SET templates_synced_at = now() - interval '5 hours 50 minutes' "
    "WHERE shop_id = :shop_id AND id = :id"
)
TURN_MAX: Final = 20
OFFERED_MAX: Final = 20
LOOK_EVERY_S: Final = 30.0

log = structlog.get_logger(__name__)


async def ask(bus: Bus, channel_type: str, channel_id: uuid.UUID) -> TemplatesAnswer:
    """What the provider has; no transaction is open meanwhile. Raises `Problem`."""
    question = CheckRequest(channel_id=show_id(CHANNEL, channel_id))
    try:
        answer = await bus.request(templates(channel_type), question)
    except NoAnswer as error:
        raise Problem("unavailable", error.detail) from error
    if answer.problem is not None:
        code = "unsupported" if answer.problem.code == "unsupported" else "provider_refused"
        raise Problem(code, answer.problem.detail)
    return answer


async def keep(
    connection: AsyncConnection, shop_id: uuid.UUID, channel_id: uuid.UUID, found: Sequence[KnownTemplate]
) -> None:
    """Put what the provider has in the place of what was known."""
    raw = await driver(connection)
    await raw.execute(FORGET, shop_id, channel_id)
    await raw.execute(
        KEEP,
        shop_id,
        channel_id,
        [template.name for template in found],
        [template.language for template in found],
        [template.status for template in found],
        [template.category for template in found],
        [template.body for template in found],
        [json.dumps(template.places) for template in found],
        [template.usable for template in found],
    )
    await raw.execute(SYNCED, shop_id, channel_id)


async def known(connection: AsyncConnection, shop_id: uuid.UUID, channel_id: uuid.UUID) -> list[TemplateView]:
    rows = await connection.execute(LIST, {"shop_id": shop_id, "channel_id": channel_id})
    return [TemplateView(**row._mapping) for row in rows]


async def offered(connection: AsyncConnection, shop_id: uuid.UUID, channel_id: uuid.UUID) -> list[TemplateView]:
    """The first that could be used now."""
    return [view for view in await known(connection, shop_id, channel_id) if view.usable][:OFFERED_MAX]


async def keep_fresh(core: Core) -> None:
    """Ask the providers again now and then, and soon after they said that something changed, until cancelled."""
    while True:
        try:
            while await renew_stale(core) == TURN_MAX:
                pass
        except Exception as error:  # there is a next time
            log.warning("templates.look_failed", error=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY_S)


async def renew_stale(core: Core) -> int:
    """Ask for some of those that are due; how many there were."""
    with_templates = [name for name, kind in core.types.items() if kind.capabilities.template]
    if not with_templates:
        return 0
    async with core.db.system() as connection:
        rows = (await connection.execute(STALE, {"types": with_templates, "most": TURN_MAX})).all()
    for row in rows:
        try:
            await renew(core, row)
        except Problem as problem:  # said by `check`, too; asked again with the next round
            log.info("templates.not_renewed", channel=show_id(CHANNEL, row.id), code=problem.code)
            async with core.db.shop(row.shop_id) as connection:
                await connection.execute(NOT_NOW, {"shop_id": row.shop_id, "id": row.id})
    return len(rows)


async def renew(core: Core, row: Any) -> None:
    """Ask and keep, for a channel whose templates have changed or were never asked for. Raises `Problem`."""
    answer = await ask(core.bus, row.type, row.id)
    async with core.db.shop(row.shop_id) as connection:
        await keep(connection, row.shop_id, row.id, answer.templates)
