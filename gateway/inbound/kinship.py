"""Ends that turn out to be the same person's: further ids of someone we know, ids that change, codes that are brought.

Nobody is merged by a guess: where two contacts each have one of the ids, both stay and a person decides. A number that
was somebody else's has passed on; that an id has changed is the provider's word, and holds against what was known.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.contacts.codes import redeem
from gateway.contacts.store import contacts_by_id
from gateway.database import driver
from gateway.events.feed import NewEvent
from gateway.inbound.arrivals import Arrival
from gateway.inbound.people import (
    LEAVE,
    MAKE_IDENTITIES,
    NAME_OF,
    End,
    Key,
    Overtaken,
    Person,
    aliases_of,
    key_of,
    known_ends,
    passes_on,
    take_away,
    two_contacts,
)
from gateway.inbound.stage import Staged
from shared.events import Echo, MessageReceived, PeerConnected, PeerMoved, Sender, told_of
from shared.ids import CONTACT, new_uuid, show_id

LEARN: Final = """
    UPDATE contacts SET name = coalesce(name, $3), phone = coalesce(phone, $4), updated_at = now(),
                        version = version + 1
    WHERE shop_id = $1 AND id = $2
"""
NEW_PHONE: Final = """
    UPDATE contacts SET phone = $3, updated_at = now(), version = version + 1
    WHERE shop_id = $1 AND id = $2 AND (phone IS NULL OR phone = '+' || $4)
"""
GIVE_TO: Final = "UPDATE identities SET contact_id = $3, proof = 'code' WHERE shop_id = $1 AND id = $2"
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
    UPDATE conversations SET identity_id = $4, updated_at = now(), version = version + 1
    WHERE shop_id = $1 AND contact_id = $2 AND identity_id = $3
"""
GIVE: Final = "UPDATE identities SET contact_id = $3 WHERE shop_id = $1 AND id = $2"


async def recognise(connection: AsyncConnection, staged: Staged, known: Iterable[Key]) -> list[NewEvent]:
    """Further ids, names and codes of those who were `known` before this batch. Raises `Overtaken`."""
    before = set(known)
    met = [
        arrival
        for arrival in staged.fresh
        if isinstance(arrival.event, MessageReceived | PeerConnected | Echo) and key_of(arrival) in before
    ]
    raw = await driver(connection)
    gained = [*await bring_codes(raw, staged, met), *await learn_aliases(raw, staged, met)]
    learned = await learn_facts(raw, staged, met)
    return [
        *await views_of(connection, "contact.linked", gained),
        *await views_of(connection, "contact.updated", learned),
    ]


async def bring_codes(raw: Any, staged: Staged, met: Sequence[Arrival]) -> list[Person]:
    """Whoever brings a code joins the contact it was made for, from this message on."""
    joined = []
    for arrival in met:
        payload = arrival.event.payload if isinstance(arrival.event, MessageReceived | PeerConnected) else None
        person = staged.people[key_of(arrival)]
        contact = await redeem(raw, person.shop_id, payload) if payload else None
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
        for peer in aliases_of(arrival):
            wanted[(*key_of(arrival)[:3], peer)] = arrival  # the last word counts
    ends = await known_ends(raw, list(wanted))
    gained: dict[uuid.UUID, Person] = {}
    for alias in sorted(wanted):
        arrival, end = wanted[alias], ends.get(alias)
        person, sender = staged.people[key_of(arrival)], told_of(arrival.event)
        if end is not None and end.contact_id == person.contact_id:
            continue
        if end is not None and not passes_on(alias[3] in sender.lent, key_of(arrival)[3] not in sender.lent, end):
            two_contacts(person.contact_id, end.contact_id)
            continue
        if end is not None:
            await take_away(raw, alias, end)
            gained[end.contact_id] = replace(person, contact_id=end.contact_id)  # whoever has lost it
        identity = await add_end(raw, alias, person, sender)
        gained[person.contact_id] = person
        if alias in staged.people:
            staged.people[alias] = replace(person, identity_id=identity)
    return list(gained.values())


async def learn_facts(raw: Any, staged: Staged, met: Sequence[Arrival]) -> list[Person]:
    """A name or a phone number of somebody who had none."""
    learned: dict[uuid.UUID, Person] = {}
    for arrival in met:
        person, sender = staged.people[key_of(arrival)], told_of(arrival.event)
        name, phone = person.name or sender.name, person.phone or sender.phone
        if person.contact_id in learned or (name, phone) == (person.name, person.phone):
            continue
        await raw.execute(LEARN, person.shop_id, person.contact_id, name, phone)
        learned[person.contact_id] = staged.people[key_of(arrival)] = replace(person, name=name, phone=phone)
    return list(learned.values())


async def add_end(raw: Any, key: Key, person: Person, sender: Sender) -> uuid.UUID:
    identity = new_uuid()
    rows = await raw.fetch(
        MAKE_IDENTITIES,
        [person.shop_id],
        [identity],
        [person.contact_id],
        *([key[column]] for column in (1, 2, 3)),
        [sender.name or person.name],
        [sender.username],
        ["provider"],
        [key[3] in sender.lent],
    )
    if not rows:
        raise Overtaken
    return identity


# Ids that change


async def move(
    connection: AsyncConnection, staged: Staged, arrivals: Sequence[Arrival]
) -> tuple[list[NewEvent], list[Arrival]]:
    """Someone has another id from now on: the new one joins their contact, and answers go there.

    Returns what changed, and the moves of those who are not known (yet). Raises `Overtaken`.
    """
    raw = await driver(connection)
    moved: list[Person] = []
    unknown = []
    for arrival in arrivals:
        if not isinstance(arrival.event, PeerMoved) or arrival.event.to == arrival.event.address.peer:
            continue
        old = (await known_ends(raw, [key_of(arrival)])).get(key_of(arrival))
        if old is None:
            unknown.append(arrival)
        else:
            moved += await move_one(raw, staged, arrival, old)
    return await views_of(connection, "contact.linked", moved), unknown


async def move_one(raw: Any, staged: Staged, arrival: Arrival, old: End) -> list[Person]:
    """The contact gets every new id, whoever had it; the surest of them is the one to answer to."""
    event, old_key = arrival.event, key_of(arrival)
    assert isinstance(event, PeerMoved)
    shop_id, lent = arrival.channel.shop_id, event.sender.lent
    peers = sorted(dict.fromkeys((event.to, *event.sender.aliases)), key=lambda peer: peer in lent)
    keys: list[Key] = [(*old_key[:3], peer) for peer in peers]
    ends = await known_ends(raw, keys)
    owner = owner_of(keys, ends, lent) if old_key[3] in lent and old.lasting else None
    left = owner is None or owner.contact_id == old.contact_id
    who = old if left or owner is None else owner  # else the number has passed on already: the news are late
    public_id = show_id(CONTACT, who.contact_id)
    person = Person(shop_id, who.identity_id, who.contact_id, who.name, public_id, who.phone)
    people = [person]
    for key in reversed(keys):  # the surest last
        end = ends.get(key)
        if end is not None and end.contact_id != person.contact_id:
            people.append(replace(person, contact_id=end.contact_id))
        identity = await give(raw, key, end, person, told_of(event))
        staged.people[key] = person = replace(person, identity_id=identity)
    if left:
        staged.people[old_key] = person
        await raw.execute(ANSWER_THERE, shop_id, person.contact_id, old.identity_id, person.identity_id)
        if old_key[3] in lent:
            await raw.execute(LEAVE, shop_id, old.identity_id)
    if event.sender.phone:
        await raw.execute(NEW_PHONE, shop_id, person.contact_id, event.sender.phone, old_key[3])
    return people


def owner_of(keys: Iterable[Key], ends: Mapping[Key, End], lent: Collection[str]) -> End | None:
    """Who has one of the lasting ids."""
    return next((ends[key] for key in keys if key[3] not in lent and key in ends), None)


async def give(raw: Any, key: Key, end: End | None, person: Person, sender: Sender) -> uuid.UUID:
    """Make an id this person's; its identity."""
    if end is not None and end.contact_id == person.contact_id:
        return end.identity_id
    if end is not None and key[3] not in sender.lent:  # the same person was met under it before
        await raw.execute(GIVE, person.shop_id, end.identity_id, person.contact_id)
        return end.identity_id
    if end is not None:
        await take_away(raw, key, end)
    return await add_end(raw, key, person, sender)


async def find_conversations(raw: Any, staged: Staged) -> None:
    """The conversations of those whom the first statement did not know: their contacts may have one open."""
    matters = {}
    for arrival in staged.fresh:
        person = staged.people.get(key_of(arrival))
        thread = arrival.event.address.thread or ""
        if person is not None and (person.contact_id, thread) not in staged.conversations:
            matters[person.contact_id, thread] = person.shop_id
    staged.conversations |= await find_matters(raw, matters)


async def find_matters(
    raw: Any, matters: Mapping[tuple[uuid.UUID, str], uuid.UUID]
) -> dict[tuple[uuid.UUID, str], Any]:
    """The latest conversation of each matter (contact, thread), with its shop; the rows are locked."""
    if not matters:
        return {}
    contacts, threads = [contact for contact, _ in matters], [thread for _, thread in matters]
    found = await raw.fetch(CONVERSATIONS, list(matters.values()), contacts, threads)
    locked = await raw.fetch(
        LOCK, [matters[row["contact_id"], row["thread"]] for row in found], [row["id"] for row in found]
    )
    rows = {row["id"]: row for row in locked}
    return {(row["contact_id"], row["thread"]): rows[row["id"]] for row in found if row["id"] in rows}


async def views_of(connection: AsyncConnection, kind: str, people: Sequence[Person]) -> list[NewEvent]:
    """An event of this kind for each contact."""
    news = []
    for shop_id in {person.shop_id for person in people}:
        contacts = list({person.contact_id for person in people if person.shop_id == shop_id})
        for contact, view in (await contacts_by_id(connection, shop_id, contacts)).items():
            news.append(NewEvent(shop_id, kind, view.model_dump_json(), contact_id=contact))
    return news
