"""The contacts behind the addresses of a batch that nobody has written from before: each made exactly once."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.views import ContactView, IdentityView
from shared.events import Address, Sender
from shared.ids import CONTACT, IDENTITY, new_uuid, show_id

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


class Overtaken(Exception):
    """Another transaction has just made what this one was about to make: the same work again finds it."""


@dataclass(frozen=True, slots=True)
class Person:
    """An identity and the contact behind it."""

    shop_id: uuid.UUID
    identity_id: uuid.UUID
    contact_id: uuid.UUID
    name: str | None
    public_id: str


def key_of(arrival: Arrival) -> Key:
    address = arrival.event.address
    return arrival.channel.shop_id, address.channel, address.account, address.peer


async def make_people(
    connection: Any, senders: Mapping[Key, tuple[Address, Sender]], now: Any
) -> tuple[dict[Key, Person], list[NewEvent]]:
    """A contact with one identity for each address, and their events. Raises `Overtaken`."""
    people = {key: new_person(key, senders[key][1]) for key in sorted(senders)}
    rows = await connection.fetch(
        MAKE_IDENTITIES,
        [person.shop_id for person in people.values()],
        [person.identity_id for person in people.values()],
        [person.contact_id for person in people.values()],
        *([key[column] for key in people] for column in (1, 2, 3)),
        [senders[key][1].name for key in people],
        [senders[key][1].username for key in people],
    )
    if len(rows) < len(people):
        raise Overtaken
    await connection.execute(
        MAKE_CONTACTS,
        [person.shop_id for person in people.values()],
        [person.contact_id for person in people.values()],
        [person.name for person in people.values()],
        [senders[key][1].locale for key in people],
    )
    return people, [created(person, *senders[key], now) for key, person in people.items()]


def new_person(key: Key, sender: Sender) -> Person:
    contact_id = new_uuid()
    return Person(key[0], new_uuid(), contact_id, sender.name, show_id(CONTACT, contact_id))


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
        id=person.public_id,
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


def senders_of(arrivals: Sequence[tuple[Arrival, Sender]]) -> dict[Key, tuple[Address, Sender]]:
    """Each address once, with what its first event says of the sender."""
    senders: dict[Key, tuple[Address, Sender]] = {}
    for arrival, sender in arrivals:
        senders.setdefault(key_of(arrival), (arrival.event.address, sender))
    return senders
