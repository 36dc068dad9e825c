"""The contacts behind the addresses of a batch that nobody has written from before: each made exactly once.

Whoever is known by another id of theirs, or brings a one-time code, is no stranger: the new end joins the contact. An
id that may pass on, as a phone number does, leads to nobody who is known by a lasting id of their own: then it has
passed on, and belongs to the stranger.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contacts.codes import redeem
from gateway.contacts.store import contacts_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from shared.events import Authenticity, Echo, InboundEvent, MessageReceived, PeerConnected, PeerMoved, Sender, told_of
from shared.ids import CONTACT, new_uuid, show_id

log = structlog.get_logger(__name__)

MAKE_IDENTITIES: Final = """
    INSERT INTO identities (shop_id, id, contact_id, channel_type, account, peer, name, username, proof, lent)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::text[], $10::boolean[])
    ON CONFLICT (shop_id, channel_type, account, peer) DO NOTHING
    RETURNING id
"""
MAKE_CONTACTS: Final = """
    INSERT INTO contacts (shop_id, id, name, locale, phone)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
"""
KNOWN: Final = """
    SELECT i.shop_id, i.channel_type, i.account, i.peer, i.id, i.contact_id, p.name, p.phone,
           EXISTS (SELECT 1 FROM identities o
                   WHERE (o.shop_id, o.contact_id, o.channel_type, o.account)
                         = (i.shop_id, i.contact_id, i.channel_type, i.account) AND NOT o.lent) AS lasting
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS t (shop_id, channel_type, account, peer)
    JOIN identities i USING (shop_id, channel_type, account, peer)
    JOIN contacts p ON (p.shop_id, p.id) = (i.shop_id, i.contact_id)
"""
NAME_OF: Final = "SELECT name FROM contacts WHERE shop_id = $1 AND id = $2"
# Two who claim one number at the same moment: the later one sees what the earlier one made of it.
WAIT_FOR: Final = """
    SELECT 1 FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS t (shop_id, channel_type, account, peer)
    JOIN identities i USING (shop_id, channel_type, account, peer) ORDER BY i.id FOR UPDATE OF i
"""
# Messages and receipts of the time before still name it; the id itself is free for whoever gets it next.
LEAVE: Final = """
    UPDATE identities SET peer = peer || ' until ' || now() || ' ' || id, left_at = now()
    WHERE shop_id = $1 AND id = $2 AND left_at IS NULL
"""
# Whoever had the number keeps what was said; it is answered under a lasting id from now on.
ANSWER_ELSEWHERE: Final = """
    WITH other AS (
        SELECT o.id FROM identities o JOIN identities i USING (shop_id, contact_id, channel_type, account)
        WHERE i.shop_id = $1 AND i.id = $2 AND o.id <> i.id AND NOT o.lent AND o.left_at IS NULL
        ORDER BY o.id DESC LIMIT 1
    ), answered AS (
        UPDATE conversations c SET identity_id = other.id, updated_at = now(), version = c.version + 1
        FROM other WHERE c.shop_id = $1 AND c.contact_id = $3 AND c.identity_id = $2
    )
    UPDATE contacts SET phone = NULL, updated_at = now(), version = version + 1
    WHERE shop_id = $1 AND id = $3 AND phone = '+' || $4::text
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
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """A known id, and whose it is. `lasting`: that contact has an id of this account that never passes on."""

    identity_id: uuid.UUID
    contact_id: uuid.UUID
    name: str | None
    phone: str | None
    lasting: bool


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody at an address that is new, as their first event tells them.

    `payload` is what a deep link carried, `moved_from` the ids that they had before, as the same batch tells.
    `proof` is "provider" where the channel vouches for who they are, else "guess".
    """

    key: Key
    sender: Sender
    payload: str | None = None
    moved_from: tuple[Key, ...] = ()
    proof: str = "provider"

    @property
    def ends(self) -> list[Key]:
        """All their ids, lasting ones first."""
        peers = dict.fromkeys((self.key[3], *self.sender.aliases))
        return [(*self.key[:3], peer) for peer in sorted(peers, key=lambda peer: peer in self.sender.lent)]

    @property
    def lasting(self) -> bool:
        return any(not self.is_lent(end) for end in self.ends)

    def is_lent(self, end: Key) -> bool:
        return end[3] in self.sender.lent


@dataclass(slots=True)
class Register:
    """Who is who, while newcomers are taken in one after another."""

    ends: dict[Key, End]
    """Every id that is known by now."""
    people: dict[Key, Person] = field(default_factory=dict)
    """Every end to be made, in the order of arrival."""
    lent: set[Key] = field(default_factory=set)
    proofs: dict[Key, str] = field(default_factory=dict)
    made: dict[uuid.UUID, Newcomer] = field(default_factory=dict)
    joined: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    """Contacts that gained an end, with their shops."""
    passed: dict[Key, End] = field(default_factory=dict)
    """Ids that have passed on to somebody in `people`, each with whose it was."""


def surest(event: InboundEvent) -> str:
    """The id by which the partner is looked up: a lasting one, if the event tells any."""
    peer, sender = event.address.peer, told_of(event)
    if isinstance(event, PeerMoved) or peer not in sender.lent:
        return peer
    return next((alias for alias in sender.aliases if alias not in sender.lent), peer)


def key_of(arrival: Arrival) -> Key:
    address = arrival.event.address
    return arrival.channel.shop_id, address.channel, address.account, surest(arrival.event)


def aliases_of(arrival: Arrival) -> list[str]:
    """The further ids, beside the one by which the partner is looked up."""
    peers = (arrival.event.address.peer, *told_of(arrival.event).aliases)
    return [peer for peer in dict.fromkeys(peers) if peer != surest(arrival.event)]


def newcomers(arrivals: Sequence[Arrival], known: Mapping[Key, Person]) -> dict[Key, Newcomer]:
    """Each new address once, with what its first event says of the partner; those who have moved come last."""
    found: dict[Key, Newcomer] = {}
    moves = moves_in(arrivals)
    for arrival in arrivals:
        key, event = key_of(arrival), arrival.event
        if key in known or key in found or not isinstance(event, MessageReceived | PeerConnected | Echo):
            continue
        sender = told_of(event).model_copy(update={"aliases": tuple(aliases_of(arrival))})
        payload = None if isinstance(event, Echo) else event.payload
        new = Newcomer(key, sender, payload, proof=proof_of(event))
        found[key] = replace(new, moved_from=tuple(old for end in new.ends for old in moves.get(end, ())))
    return dict(sorted(found.items(), key=lambda item: bool(item[1].moved_from)))


def proof_of(event: MessageReceived | PeerConnected | Echo) -> str:
    """Anybody can write any address into a mail or a form: it is a guess until a server has checked it."""
    mail = None if isinstance(event, PeerConnected) else event.mail
    return "provider" if mail is None or mail.authenticity is Authenticity.VERIFIED else "guess"


def moves_in(arrivals: Iterable[Arrival]) -> dict[Key, list[Key]]:
    """By each id that somebody has from now on, the ids that they had."""
    moves: dict[Key, list[Key]] = {}
    for arrival in arrivals:
        if isinstance(arrival.event, PeerMoved):
            old = key_of(arrival)
            for new in (arrival.event.to, *arrival.event.sender.aliases):
                moves.setdefault((*old[:3], new), []).append(old)
    return moves


async def make_people(
    connection: AsyncConnection, strangers: Mapping[Key, Newcomer]
) -> tuple[dict[Key, Person], list[NewEvent]]:
    """An end for each address and each further id of the same person, their contacts, and the events of it all.

    Raises `Overtaken`.
    """
    raw = await driver(connection)
    keys = [key for new in strangers.values() for key in (*new.ends, *new.moved_from)]
    lent = {key for new in strangers.values() if new.lasting for key in new.ends if new.is_lent(key)}
    if lent:
        await raw.fetch(WAIT_FOR, *([key[column] for key in lent] for column in range(4)))
    register = Register(await known_ends(raw, [key for key in dict.fromkeys(keys) if key not in strangers]))
    for stranger in strangers.values():
        await take_in(raw, register, stranger)
    await write(raw, register)
    return register.people, await told(connection, register)


async def known_ends(raw: Any, keys: Sequence[Key]) -> dict[Key, End]:
    if not keys:
        return {}
    rows = await raw.fetch(KNOWN, *([key[column] for key in keys] for column in range(4)))
    return {
        (row["shop_id"], row["channel_type"], row["account"], row["peer"]): End(
            row["id"], row["contact_id"], row["name"], row["phone"], row["lasting"]
        )
        for row in rows
    }


async def take_in(raw: Any, register: Register, stranger: Newcomer) -> None:
    """Find the stranger's contact, or make one, and note the ends that are missing."""
    shop_id = stranger.key[0]
    found, proof = whose(register, stranger), stranger.proof
    if found is None and stranger.payload:
        contact_id = await redeem(raw, shop_id, stranger.payload)
        if contact_id is not None:
            found, proof = (contact_id, await raw.fetchval(NAME_OF, shop_id, contact_id)), "code"
    if found is None:
        found = new_uuid(), stranger.sender.name
        register.made[found[0]] = stranger
    elif found[0] not in register.made:
        register.joined[found[0]] = shop_id
    contact_id, name = found
    for key in stranger.ends:
        known = register.ends.get(key)
        if known is not None and known.contact_id == contact_id:
            continue
        if known is not None and not passes_on(stranger.is_lent(key), stranger.lasting, known):
            two_contacts(contact_id, known.contact_id)
            continue
        if known is not None:
            register.passed.setdefault(key, known)
        person = Person(shop_id, new_uuid(), contact_id, name, show_id(CONTACT, contact_id), stranger.sender.phone)
        register.people[key], register.proofs[key] = person, proof
        if stranger.is_lent(key):
            register.lent.add(key)
        register.ends[key] = End(person.identity_id, contact_id, name, person.phone, stranger.lasting)


def whose(register: Register, stranger: Newcomer) -> tuple[uuid.UUID, str | None] | None:
    """The contact and name of whom this is, by a lasting id first."""
    by_ids = (
        known
        for key in stranger.ends
        if (known := register.ends.get(key)) and not passes_on(stranger.is_lent(key), stranger.lasting, known)
    )
    by_moves = (known for key in stranger.moved_from if (known := register.ends.get(key)))
    found = next(by_ids, None) or next(by_moves, None)
    return (found.contact_id, found.name) if found is not None else None


def passes_on(lent: bool, lasting: bool, known: End) -> bool:
    """Whether an id has a new owner: both the old and the new one have a lasting id, and not the same."""
    return lent and lasting and known.lasting


def two_contacts(one: uuid.UUID, other: uuid.UUID) -> None:
    """Ids of one person are with two contacts: both stay, and a person decides."""
    log.warning("people.two_contacts", one=show_id(CONTACT, one), other=show_id(CONTACT, other))


async def take_away(raw: Any, key: Key, end: End) -> None:
    """Free an id for its next owner. What was said under it stays with whoever had it."""
    await raw.execute(ANSWER_ELSEWHERE, key[0], end.identity_id, end.contact_id, key[3])
    await raw.execute(LEAVE, key[0], end.identity_id)


async def write(raw: Any, register: Register) -> None:
    """Ends in one order, so that two transactions cannot wait for each other."""
    for key, end in sorted(register.passed.items()):
        if end.contact_id not in register.made:
            await take_away(raw, key, end)
    if register.people:
        await write_ends(raw, register)
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


async def write_ends(raw: Any, register: Register) -> None:
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
        [key in register.lent for key in keys],
    )
    if len(rows) < len(people):
        raise Overtaken


async def told(connection: AsyncConnection, register: Register) -> list[NewEvent]:
    """`contact.created`, and `contact.linked` where a contact that was known gained an end."""
    changed = {contact: ("contact.created", new.key[0]) for contact, new in register.made.items()}
    changed |= {contact: ("contact.linked", shop_id) for contact, shop_id in register.joined.items()}
    losers = {end.contact_id: ("contact.updated", key[0]) for key, end in register.passed.items()}
    changed = losers | changed
    news = []
    for shop_id in {shop for _, shop in changed.values()}:
        mine = [contact for contact, (_, shop) in changed.items() if shop == shop_id]
        for contact, view in (await contacts_by_id(connection, shop_id, mine)).items():
            news.append(NewEvent(shop_id, changed[contact][0], view.model_dump_json(), contact_id=contact))
    return news
