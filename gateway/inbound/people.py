"""From the addresses of a batch to contacts: found, or made, each exactly once whoever else is at it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.views import ContactView, IdentityView
from shared.events import Address, Sender
from shared.ids import CONTACT, IDENTITY, new_uuid, show_id

# The contact's row is locked in one order by all: it serialises what happens to one person.
FIND: Final = """
    SELECT i.channel_type, i.account, i.peer, i.shop_id, i.id, i.contact_id, c.name
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS t (shop_id, channel_type, account, peer)
    JOIN identities i USING (shop_id, channel_type, account, peer)
    JOIN contacts c ON (c.shop_id, c.id) = (i.shop_id, i.contact_id)
    ORDER BY c.id FOR UPDATE OF c
"""
MAKE_IDENTITIES: Final = """
    INSERT INTO identities (shop_id, id, contact_id, channel_type, account, peer, name, username)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    ON CONFLICT (shop_id, channel_type, account, peer) DO NOTHING
    RETURNING id
"""
MAKE_CONTACTS: Final = """
    INSERT INTO contacts (shop_id, id, name, locale)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
"""

Key = tuple[uuid.UUID, str, str, str]


@dataclass(frozen=True, slots=True)
class Person:
    """An identity and the contact behind it."""

    shop_id: uuid.UUID
    identity_id: uuid.UUID
    contact_id: uuid.UUID
    name: str | None


def key_of(arrival: Arrival) -> Key:
    address = arrival.event.address
    return arrival.channel.shop_id, address.channel, address.account, address.peer


async def find_or_make(
    connection: Any, senders: Mapping[Key, tuple[Address, Sender]], now: Any
) -> tuple[dict[Key, Person], list[NewEvent]]:
    """The person behind each address, their rows locked; events for the contacts that are new."""
    found = await find(connection, list(senders))
    missing = sorted(key for key in senders if key not in found)
    if not missing:
        return found, []
    made = await make(connection, missing, senders)
    found |= made
    overtaken = [key for key in missing if key not in made]
    if overtaken:  # another transaction made them between our look and our insert, and has committed by now
        found |= await find(connection, overtaken)
    return found, [created(found[key], *senders[key], now) for key in made]


async def find(connection: Any, keys: Sequence[Key]) -> dict[Key, Person]:
    rows = await connection.fetch(FIND, *(list(column) for column in zip(*keys, strict=True)))
    return {
        (row["shop_id"], row["channel_type"], row["account"], row["peer"]): Person(
            row["shop_id"], row["id"], row["contact_id"], row["name"]
        )
        for row in rows
    }


async def make(
    connection: Any, keys: Sequence[Key], senders: Mapping[Key, tuple[Address, Sender]]
) -> dict[Key, Person]:
    drafts = {key: Person(key[0], new_uuid(), new_uuid(), senders[key][1].name) for key in keys}
    rows = await connection.fetch(
        MAKE_IDENTITIES,
        [key[0] for key in drafts],
        [person.identity_id for person in drafts.values()],
        [person.contact_id for person in drafts.values()],
        *([key[column] for key in drafts] for column in (1, 2, 3)),
        [senders[key][1].name for key in drafts],
        [senders[key][1].username for key in drafts],
    )
    ours = {row["id"] for row in rows}
    made = {key: person for key, person in drafts.items() if person.identity_id in ours}
    if made:
        await connection.execute(
            MAKE_CONTACTS,
            [person.shop_id for person in made.values()],
            [person.contact_id for person in made.values()],
            [person.name for person in made.values()],
            [senders[key][1].locale for key in made],
        )
    return made


def created(person: Person, address: Address, sender: Sender, now: Any) -> NewEvent:
    identity = IdentityView(
        id=show_id(IDENTITY, person.identity_id),
        channel_type=address.channel,
        account=address.account,
        peer=address.peer,
        name=sender.name,
        username=sender.username,
        proof="provider",
        blocked_at=None,
    )
    view = ContactView(
        id=show_id(CONTACT, person.contact_id),
        name=person.name,
        email=None,
        phone=None,
        locale=sender.locale,
        attributes={},
        identities=(identity,),
        created_at=now,
        updated_at=now,
    )
    return NewEvent(person.shop_id, "contact.created", view.model_dump_json(), contact_id=person.contact_id)
