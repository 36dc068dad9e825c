"""What providers tell of messages of ours: which they mean, by our id, by their own, or by both."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.inbound.arrivals import Arrival
from gateway.receipts import marks, matching
from gateway.receipts.line import Carried, Row, own_id
from shared.events import ReceiptReported

OURS: Final = """
    SELECT m.id, p.part, p.generation, p.external_id, p.former_ids
    FROM unnest($1::uuid[], $2::uuid[]) AS t (shop_id, id) JOIN messages m USING (shop_id, id)
    LEFT JOIN message_parts p ON (p.shop_id, p.message_id) = (m.shop_id, m.id)
    WHERE m.direction = 'out' AND m.visibility = 'public'
"""


async def told_lines(raw: Any, told: Sequence[Arrival]) -> tuple[list[Row], list[Carried]]:
    """The lines that receipts mean, and the ids that they tell of parts that have none."""
    rows: list[Row] = []
    exact: list[Mention] = []
    for arrival in told:
        event = arrival.event
        assert isinstance(event, ReceiptReported)
        if event.up_to is not None or event.up_to_id is not None:
            rows += await marks.lines(raw, arrival, event)
        else:
            exact += mentions(arrival, event)
    carried = await look_up(raw, exact)
    return [*rows, *(mention.line() for mention in exact if mention.means_something)], carried


@dataclass(slots=True)
class Mention:
    """One message, or part of one, of which a receipt speaks: by our own id, by the provider's, or by both."""

    arrival: Arrival
    event: ReceiptReported
    message_id: uuid.UUID | None
    external_id: str | None = None
    part: int | None = None
    generation: int | None = None

    @property
    def means_something(self) -> bool:
        """What names nothing of ours and no id that may come to be ours is nobody's."""
        return self.message_id is not None or self.external_id is not None

    def line(self) -> Row:
        channel, event, known = self.arrival.channel, self.event, self.message_id is not None
        return Row(
            channel.shop_id,
            channel.id,
            self.message_id,
            event.status,
            event.evidence,
            event.occurred_at,
            self.external_id,
            self.part if known else None,
            reason=event.reason,
            generation=self.generation,
            account=None if known else event.address.account,
            peer=None if known else event.address.peer,
        )


def mentions(arrival: Arrival, event: ReceiptReported) -> list[Mention]:
    own = own_id(event.message_id)
    if not event.external_ids:
        return [Mention(arrival, event, own, part=event.part)]
    return [
        Mention(arrival, event, own, external_id, part)
        for part, external_id in enumerate(event.external_ids, event.part or 0)
    ]


async def look_up(raw: Any, exact: Sequence[Mention]) -> list[Carried]:
    """Find the message of each mention; what is new in them of the provider's ids.

    Our own id says which message, the provider's which part of it and which of several tries.
    """
    by_theirs = [mention for mention in exact if mention.external_id]
    found = await matching.find(raw, [(mention.arrival, mention.external_id or "") for mention in by_theirs])
    ours = await our_messages(raw, [mention for mention in exact if mention.message_id])
    carried = []
    for mention in exact:
        if mention.message_id not in ours:
            mention.message_id = None
    for mention, row in zip(by_theirs, found, strict=True):
        if row is not None and mention.message_id in (None, row["message_id"]):
            mention.message_id, mention.part, mention.generation = row["message_id"], row["part"], row["generation"]
        elif mention.message_id is not None:
            carried.append(told_of(mention, ours[mention.message_id]))
    return carried


async def our_messages(raw: Any, named: Sequence[Mention]) -> dict[uuid.UUID | None, list[Any]]:
    """Those of the messages named that there are in the shop, with their parts that have an id."""
    if not named:
        return {}
    shops, ids = [m.arrival.channel.shop_id for m in named], [m.message_id for m in named]
    ours: dict[uuid.UUID | None, list[Any]] = {}
    for row in await raw.fetch(OURS, shops, ids):
        ours.setdefault(row["id"], []).extend([] if row["part"] is None else [row])
    return ours


def told_of(mention: Mention, parts: Sequence[Any]) -> Carried:
    """The provider's id of a part, which a receipt brought along."""
    assert mention.message_id is not None
    assert mention.part is not None
    assert mention.external_id is not None
    mention.part, mention.generation = place_of(mention.external_id, mention.part, parts)
    channel = mention.arrival.channel
    return Carried(channel.shop_id, mention.message_id, mention.part, channel.id, mention.external_id)


def place_of(external_id: str, part: int, parts: Sequence[Any]) -> tuple[int, int | None]:
    """The part and the generation of which an id speaks that came with this part's number.

    If the part has another id, this one is of an earlier try. A part without any is of the present one.
    """
    present = {row["external_id"]: (row["part"], row["generation"]) for row in parts}
    former = {id: (row["part"], row["generation"] - 1) for row in parts for id in row["former_ids"]}
    other = next((row["generation"] - 1 for row in parts if row["part"] == part), None)
    return present.get(external_id) or former.get(external_id) or (part, other)
