"""The contacts behind the addresses of a batch that nobody has written from before: each made exactly once.

Whoever is known by another id of theirs, or brings a one-time code, is no stranger: the new end joins the contact.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contacts.codes import redeem
from gateway.contacts.store import contacts_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from shared.events import Echo, MessageReceived, PeerConnected, Sender
from shared.ids import CONTACT, new_uuid, show_id

MAKE_IDENTITIES: Final = """
    INSERT INTO identities (shop_id, id, contact_id, channel_type, account, peer, name, username, proof)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::text[])
    ON CONFLICT (shop_id, channel_type, account, peer) DO NOTHING
    RETURNING id
"""
MAKE_CONTACTS: Final = """
    INSERT INTO contacts (shop_id, id, name, locale, phone)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
"""
KNOWN: Final = """
    SELECT i.shop_id, i.channel_type, i.account, i.peer, i.contact_id, p.name
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS t (shop_id, channel_type, account, peer)
    JOIN identities i USING (shop_id, channel_type, account, peer)
    JOIN contacts p ON (p.shop_id, p.id) = (i.shop_id, i.contact_id)
"""
NAME_OF: Final = "SELECT name FROM contacts WHERE shop_id = $1 AND id = $2"

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


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody at an address that is new, as their first event tells them. `payload` is what a deep link carried."""

    key: Key
    sender: Sender
    payload: str | None = None

    @property
    def aliases(self) -> list[Key]:
        return [(*self.key[:3], peer) for peer in self.sender.aliases if peer != self.key[3]]


@dataclass(slots=True)
class Register:
    """Who is who, while newcomers are taken in one after another."""

    contacts: dict[Key, tuple[uuid.UUID, str | None]]
    """Contact and name behind every end that is known by now."""
    people: dict[Key, Person] = field(default_factory=dict)
    """Every end to be made, in the order of arrival."""
    proofs: dict[Key, str] = field(default_factory=dict)
    made: dict[uuid.UUID, Newcomer] = field(default_factory=dict)
    joined: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    """Contacts that gained an end, with their shops."""


def key_of(arrival: Arrival) -> Key:
    address = arrival.event.address
    return arrival.channel.shop_id, address.channel, address.account, address.peer


def newcomers(arrivals: Iterable[Arrival], known: Mapping[Key, Person]) -> dict[Key, Newcomer]:
    """Each new address once, with what its first event says of the sender."""
    found: dict[Key, Newcomer] = {}
    for arrival in arrivals:
        key = key_of(arrival)
        if key in known or key in found:
            continue
        match arrival.event:
            case MessageReceived() | PeerConnected() as event:
                found[key] = Newcomer(key, event.sender, event.payload)
            case Echo():
                found[key] = Newcomer(key, Sender())
    return found


async def make_people(
    connection: AsyncConnection, strangers: Mapping[Key, Newcomer]
) -> tuple[dict[Key, Person], list[NewEvent]]:
    """An end for each address and each further id of the same person, their contacts, and the events of it all.

    Raises `Overtaken`.
    """
    raw = await driver(connection)
    register = Register(await known_ends(raw, [key for new in strangers.values() for key in new.aliases]))
    for stranger in strangers.values():
        await take_in(raw, register, stranger)
    await write(raw, register)
    return register.people, await told(connection, register)


async def known_ends(raw: Any, keys: Sequence[Key]) -> dict[Key, tuple[uuid.UUID, str | None]]:
    if not keys:
        return {}
    rows = await raw.fetch(KNOWN, *([key[column] for key in keys] for column in range(4)))
    return {
        (row["shop_id"], row["channel_type"], row["account"], row["peer"]): (row["contact_id"], row["name"])
        for row in rows
    }


async def take_in(raw: Any, register: Register, stranger: Newcomer) -> None:
    """Find the stranger's contact, or make one, and note the ends that are missing."""
    shop_id = stranger.key[0]
    ends = [stranger.key, *stranger.aliases]
    found = next((register.contacts[end] for end in ends if end in register.contacts), None)
    proof = "provider"
    if found is None and stranger.payload:
        contact_id = await redeem(raw, shop_id, stranger.payload)
        if contact_id is not None:
            found, proof = (contact_id, await raw.fetchval(NAME_OF, shop_id, contact_id)), "code"
    if found is None:
        found = new_uuid(), stranger.sender.name
        register.made[found[0]] = stranger
    elif found[0] not in register.made:
        register.joined[found[0]] = shop_id
    for end in ends:
        if end not in register.contacts:
            register.contacts[end] = found
            register.people[end] = Person(shop_id, new_uuid(), found[0], found[1], show_id(CONTACT, found[0]))
            register.proofs[end] = proof


async def write(raw: Any, register: Register) -> None:
    """Ends in one order, so that two transactions cannot wait for each other."""
    if not register.people:
        return
    keys = sorted(register.people)
    people = [register.people[key] for key in keys]
    senders = {person.contact_id: Sender() for person in people}
    senders |= {contact: new.sender for contact, new in register.made.items()}
    rows = await raw.fetch(
        MAKE_IDENTITIES,
        [person.shop_id for person in people],
        [person.identity_id for person in people],
        [person.contact_id for person in people],
        *([key[column] for key in keys] for column in (1, 2, 3)),
        [senders[person.contact_id].name or person.name for person in people],
        [senders[person.contact_id].username for person in people],
        [register.proofs[key] for key in keys],
    )
    if len(rows) < len(people):
        raise Overtaken
    made = list(register.made.items())
    if made:
        await raw.execute(
            MAKE_CONTACTS,
            [new.key[0] for _, new in made],
            [contact for contact, _ in made],
            [new.sender.name for _, new in made],
            [new.sender.locale for _, new in made],
            [new.sender.phone for _, new in made],
        )


async def told(connection: AsyncConnection, register: Register) -> list[NewEvent]:
    """`contact.created`, and `contact.linked` where a contact that was known gained an end."""
    changed = {contact: ("contact.created", new.key[0]) for contact, new in register.made.items()}
    changed |= {contact: ("contact.linked", shop_id) for contact, shop_id in register.joined.items()}
    news = []
    for shop_id in {shop for _, shop in changed.values()}:
        mine = [contact for contact, (_, shop) in changed.items() if shop == shop_id]
        for contact, view in (await contacts_by_id(connection, shop_id, mine)).items():
            news.append(NewEvent(shop_id, changed[contact][0], view.model_dump_json(), contact_id=contact))
    return news
