"""What a provider says of our end of a channel: that it no longer works, or that its templates have changed."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.channels.store import STOPPING
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.receipts.outcomes import PAUSE, ShowChannel
from shared.events import ChannelReported

SAID: Final = sa.text(
    "UPDATE channels SET state_reason = CAST(:reason AS jsonb), version = version + 1 "
    "WHERE shop_id = :shop_id AND id = :id RETURNING *"
)
# What a person has paused, or has to see to, stays paused.
IN_ORDER: Final = sa.text(
    "UPDATE channels SET state_reason = NULL, version = version + 1 "
    "WHERE shop_id = :shop_id AND id = :id AND state = 'active' AND state_reason IS NOT NULL RETURNING *"
)
ASK_AGAIN: Final = sa.text("UPDATE channels SET templates_synced_at = NULL WHERE shop_id = :shop_id AND id = :id")


async def reports(connection: AsyncConnection, arrivals: Sequence[Arrival], show: ShowChannel) -> list[NewEvent]:
    """Pause what cannot work until a person has seen to it, and tell what changed."""
    news = []
    for arrival in arrivals:
        if isinstance(arrival.event, ChannelReported):
            row = await report(connection, arrival, arrival.event)
            if row is not None:
                news.append(NewEvent(arrival.channel.shop_id, "channel.state", show(row).model_dump_json()))
    return news


async def report(connection: AsyncConnection, arrival: Arrival, event: ChannelReported) -> Any | None:
    """The channel's row as it stands now, None if nothing changed that is shown."""
    named: dict[str, Any] = {"shop_id": arrival.channel.shop_id, "id": arrival.channel.id}
    if event.topic == "templates":
        await connection.execute(ASK_AGAIN, named)
        return None
    if event.problem is None:
        return (await connection.execute(IN_ORDER, named)).one_or_none()
    statement = PAUSE if event.problem.code in STOPPING else SAID
    named["reason"] = event.problem.model_dump_json()
    return (await connection.execute(statement, named)).one_or_none()
