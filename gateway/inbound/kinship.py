"""Ends that turn out to be the same person's: further ids of someone we know, ids that change, codes that are brought.

Nobody is merged by a guess: where two contacts each have one of the ids, both stay and a person decides.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contacts.codes import redeem
from gateway.contacts.store import contacts_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.inbound.people import MAKE_IDENTITIES, NAME_OF, Key, Overtaken, Person, key_of, known_ends
from gateway.inbound.stage import Staged
from shared.events import MessageReceived, PeerConnected, PeerMoved
from shared.ids import CONTACT, new_uuid, show_id

log = structlog.get_logger(__name__)

LEARN_PHONE: Final = """
    UPDATE contacts SET phone = coalesce(phone, $3), updated_at = now(), version = version + 1
    WHERE shop_id = $1 AND id = $2
"""
GIVE_TO: Final = "UPDATE identities SET contact_id = $3, proof = 'code' WHERE shop_id = $1 AND id = $2"
BEHIND: Final = """
    SELECT i.id, i.contact_id, i.name, i.username FROM identities i
    WHERE (i.shop_id, i.channel_type, i.account, i.peer) = ($1, $2, $3, $4)
"""
CONVERSATIONS: Final = """
    SELECT DISTINCT ON (c.contact_id, c.thread)
           c.contact_id, c.thread, c.id, c.status, c.closed_at, c.last_seq, c.unread, c.waiting_since
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (shop_id, contact_id, thread)
    JOIN conversations c USING (shop_id, contact_id, thread)
    ORDER BY c.contact_id, c.thread, c.status = 'closed', c.id DESC
"""
LOCK: Final = """
    SELECT id, status, closed_at, last_seq, unread, waiting_since FROM conversations
    WHERE (shop_id, id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[])) ORDER BY id FOR UPDATE
"""
ANSWER_THERE: Final = """
    UPDATE conversations SET identity_id = $3, updated_at = now(), version = version + 1
    WHERE shop_id = $1 AND identity_id = $2 AND status <> 'closed'
"""


async def recognise(connection: AsyncConnection, staged: Staged, known: Iterable[Key]) -> list[NewEvent]:
    """Further ids and codes of those who were `known` before this batch. Raises `Overtaken`."""
    before = set(known)
    met = [
        arrival
        for arrival in staged.fresh
        if isinstance(arrival.event, MessageReceived | PeerConnected) and key_of(arrival) in before
    ]
    raw = await driver(connection)
    changed = [*await bring_codes(raw, staged, met), *await learn_aliases(raw, staged, met)]
    return await linked(connection, changed)


async def bring_codes(raw: Any, staged: Staged, met: Sequence[Arrival]) -> list[Person]:
    """Whoever brings a code joins the contact it was made for, from this message on."""
    joined = []
    for arrival in met:
        assert isinstance(arrival.event, MessageReceived | PeerConnected)
        person = staged.people[key_of(arrival)]
        contact = await redeem(raw, person.shop_id, arrival.event.payload) if arrival.event.payload else None
        if contact is None or contact == person.contact_id:
            continue
        await raw.execute(GIVE_TO, person.shop_id, person.identity_id, contact)
        name = await raw.fetchval(NAME_OF, person.shop_id, contact)
        person = Person(person.shop_id, person.identity_id, contact, name, show_id(CONTACT, contact))
        staged.people[key_of(arrival)] = person
        joined.append(person)
    return joined


async def learn_aliases(raw: Any, staged: Staged, met: Sequence[Arrival]) -> list[Person]:
    """Note the ids by which a person may come next time."""
    wanted: dict[Key, Arrival] = {}
    for arrival in met:
        assert isinstance(arrival.event, MessageReceived | PeerConnected)
        key = key_of(arrival)
        for peer in arrival.event.sender.aliases:
            if peer != key[3]:
                wanted.setdefault((*key[:3], peer), arrival)
    if not wanted:
        return []
    ends = await known_ends(raw, list(wanted))
    gained: dict[uuid.UUID, Person] = {}
    for alias in sorted(wanted):
        arrival = wanted[alias]
        person = staged.people[key_of(arrival)]
        if alias not in ends:
            await add_end(raw, alias, person, arrival)
            gained[person.contact_id] = person
        elif ends[alias][0] != person.contact_id:
            log.warning("people.two_contacts", one=person.public_id, other=show_id(CONTACT, ends[alias][0]))
    return list(gained.values())


async def add_end(raw: Any, key: Key, person: Person, arrival: Arrival) -> uuid.UUID:
    assert isinstance(arrival.event, MessageReceived | PeerConnected | PeerMoved)
    sender, identity = arrival.event.sender, new_uuid()
    rows = await raw.fetch(
        MAKE_IDENTITIES,
        [person.shop_id],
        [identity],
        [person.contact_id],
        *([key[column]] for column in (1, 2, 3)),
        [sender.name or person.name],
        [sender.username],
        ["provider"],
    )
    if not rows:
        raise Overtaken
    if sender.phone:
        await raw.execute(LEARN_PHONE, person.shop_id, person.contact_id, sender.phone)
    return identity


async def move(connection: AsyncConnection, arrivals: Sequence[Arrival]) -> list[NewEvent]:
    """Someone has another id from now on: the new one joins their contact, and answers go there. Raises `Overtaken`."""
    raw = await driver(connection)
    moved = []
    for arrival in (a for a in arrivals if isinstance(a.event, PeerMoved)):
        assert isinstance(arrival.event, PeerMoved)
        shop_id, old_key = arrival.channel.shop_id, key_of(arrival)
        old = await raw.fetchrow(BEHIND, *old_key)
        if old is None or arrival.event.to == old_key[3]:
            continue
        contact = old["contact_id"]
        person = Person(shop_id, old["id"], contact, old["name"], show_id(CONTACT, contact))
        new_key: Key = (*old_key[:3], arrival.event.to)
        new = await raw.fetchrow(BEHIND, *new_key)
        if new is None:
            identity = await add_end(raw, new_key, person, arrival)
        elif new["contact_id"] == contact:
            identity = new["id"]
        else:
            log.warning("people.two_contacts", one=person.public_id, other=show_id(CONTACT, new["contact_id"]))
            continue
        await raw.execute(ANSWER_THERE, shop_id, old["id"], identity)
        moved.append(person)
    return await linked(connection, moved)


async def find_conversations(raw: Any, staged: Staged) -> None:
    """The conversations of those whom the first statement did not know: their contacts may have one open."""
    matters = {}
    for arrival in staged.fresh:
        person = staged.people.get(key_of(arrival))
        thread = arrival.event.address.thread or ""
        if person is not None and (person.contact_id, thread) not in staged.conversations:
            matters[person.contact_id, thread] = person.shop_id
    if not matters:
        return
    contacts, threads = [contact for contact, _ in matters], [thread for _, thread in matters]
    found = await raw.fetch(CONVERSATIONS, list(matters.values()), contacts, threads)
    locked = await raw.fetch(
        LOCK, [matters[row["contact_id"], row["thread"]] for row in found], [row["id"] for row in found]
    )
    rows = {row["id"]: row for row in locked}
    staged.conversations |= {(row["contact_id"], row["thread"]): rows[row["id"]] for row in found if row["id"] in rows}


async def linked(connection: AsyncConnection, people: Sequence[Person]) -> list[NewEvent]:
    """`contact.linked` of each contact that gained an end."""
    news = []
    for shop_id in {person.shop_id for person in people}:
        contacts = list({person.contact_id for person in people if person.shop_id == shop_id})
        for contact, view in (await contacts_by_id(connection, shop_id, contacts)).items():
            news.append(NewEvent(shop_id, "contact.linked", view.model_dump_json(), contact_id=contact))
    return news
