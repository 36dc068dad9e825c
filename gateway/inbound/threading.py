"""To which conversation a mail belongs, and why: pure rules, and the look for what a mail refers to.

Headers prove nothing: whoever knows a Message-ID can name it. So a mail joins a conversation only if its sender belongs
to it or was written to in it, and never if our server doubts the sender. FreeScout, Zammad and Chatwoot each learned
one half of this the hard way.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from gateway.inbound.arrivals import Arrival
from gateway.inbound.kinship import find_matters
from gateway.inbound.people import Person
from gateway.inbound.stage import Staged
from shared.events import Authenticity, Echo, Mail, MessageReceived
from shared.ids import MESSAGE, MalformedId, read_id, show_id

Code = Literal[
    "first",
    "unknown_reference",
    "suspicious",
    "stranger",
    "subject_changed",
    "signed",
    "reference",
    "same_subject",
    "closed_long_ago",
]
DETAIL: Final[Mapping[Code, str]] = {
    "first": "A new conversation: the mail refers to no other.",
    "unknown_reference": "A new conversation: what the mail refers to is not here.",
    "suspicious": "A new conversation: our mail server doubts the sender, so what the mail refers to does not count.",
    "stranger": "A new conversation: the mail refers to one to which its sender does not belong.",
    "subject_changed": "A new conversation: the mail refers to an older one, but has a subject of its own.",
    "closed_long_ago": "A new conversation: the one to which the mail belongs was closed long ago.",
    "signed": "The mail answers one of ours: the id that it names bears our signature.",
    "reference": "The mail names an earlier mail of this conversation.",
    "same_subject": "The mail answers without saying what; the last mail of the same person with this subject is here.",
}
RECENT: Final = "30 days"
# For each thing that a mail names, nearest first: the conversation in which it is.
FIND: Final = """
    SELECT t.n, t.reference, m.id, c.contact_id, c.thread, c.topic, t.ours IS NOT NULL AS signed,
           EXISTS (SELECT 1 FROM conversation_guests g
                   WHERE (g.shop_id, g.conversation_id, g.peer) = (c.shop_id, c.id, t.peer)) AS invited
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::int[]) WITH ORDINALITY
         AS t (shop_id, channel_id, reference, ours, peer, n, rank)
    CROSS JOIN LATERAL (
        SELECT m.id, m.conversation_id FROM messages m
        WHERE (m.shop_id, m.id, m.channel_id) = (t.shop_id, t.ours, t.channel_id)
        UNION ALL
        SELECT m.id, m.conversation_id FROM messages m
        WHERE (m.shop_id, m.channel_id, m.external_id) = (t.shop_id, t.channel_id, t.reference) AND m.mail IS NOT NULL
        UNION ALL
        SELECT p.message_id, o.conversation_id FROM message_parts p
        JOIN messages o ON (o.shop_id, o.id) = (p.shop_id, p.message_id)
        WHERE (p.shop_id, p.channel_id, p.external_id) = (t.shop_id, t.channel_id, t.reference)
    ) m
    JOIN conversations c ON (c.shop_id, c.id) = (t.shop_id, m.conversation_id)
    ORDER BY t.rank, m.id DESC
"""
SAME_SUBJECT: Final = f"""
    SELECT t.n, c.contact_id, c.thread, c.topic FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[])
         AS t (shop_id, channel_id, contact_id, topic, n)
    CROSS JOIN LATERAL (
        SELECT c.contact_id, c.thread, c.topic FROM conversations c
        WHERE (c.shop_id, c.contact_id, c.channel_id, c.topic) = (t.shop_id, t.contact_id, t.channel_id, t.topic)
          AND c.updated_at > now() - interval '{RECENT}'
        ORDER BY c.id DESC LIMIT 1
    ) c
"""  # noqa: S608 - made of a constant
INVITE: Final = """
    INSERT INTO conversation_guests (shop_id, conversation_id, peer)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation that a mail may belong to: whose it is, under which name, and how it was found."""

    contact_id: uuid.UUID
    thread: str
    topic: str
    message_id: uuid.UUID | None = None
    signed: bool = False
    invited: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a mail goes and why; `found` None: to a conversation of its own. `named` is the message that led there."""

    code: Code
    found: Found | None = None
    named: uuid.UUID | None = None

    def show(self) -> dict[str, str | None]:
        return {
            "code": self.code,
            "detail": DETAIL[self.code],
            "message": show_id(MESSAGE, self.named) if self.named else None,
        }


def decide(mail: Mail, sender: uuid.UUID, named: Sequence[Found], same_subject: Found | None) -> Placement:
    """The rule. `sender` is the contact who wrote, `named` what the mail refers to, the surest first."""
    if mail.authenticity is Authenticity.SUSPICIOUS and (named or mail.references):
        return Placement("suspicious", named=named[0].message_id if named else None)
    mine = next((found for found in named if found.contact_id == sender or found.invited), None)
    if mine is not None:
        if has_own_subject(mail, mine):
            return Placement("subject_changed", named=mine.message_id)
        return Placement("signed" if mine.signed else "reference", mine, mine.message_id)
    if named:
        return Placement("stranger", named=named[0].message_id)
    if same_subject is not None and mail.answers and mail.authenticity is Authenticity.VERIFIED:
        return Placement("same_subject", same_subject)
    return Placement("unknown_reference" if mail.references else "first")


def has_own_subject(mail: Mail, found: Found) -> bool:
    """Machines write subjects of their own, and a mail without one has nothing to say against it."""
    return bool(mail.topic and found.topic and mail.topic != found.topic and not mail.automatic)


Message = tuple[Arrival, Person]


async def thread_mails(raw: Any, messages: Sequence[Message], staged: Staged) -> dict[uuid.UUID, Placement]:
    """Decide for each mail of the batch; the rows of the conversations that are joined are in `staged` afterwards."""
    mails = [(arrival, person, mail) for arrival, person in messages if (mail := mail_of(arrival)) is not None]
    if not mails:
        return {}
    named = await find_named(raw, mails)
    subjects = await find_subjects(raw, mails, named)
    placements: dict[uuid.UUID, Placement] = {}
    here: dict[tuple[uuid.UUID, str], list[Found]] = {}  # what this very batch brings
    guests: set[tuple[uuid.UUID, str, str]] = set()  # and whom: contact, thread, address
    for number, (arrival, person, mail) in enumerate(mails):
        channel_id, peer = arrival.channel.id, arrival.event.address.peer
        candidates = named.get((number, None), [])
        for one in mail.references:
            candidates = [*candidates, *here.get((channel_id, one), ()), *named.get((number, one), ())]
        candidates = [replace(c, invited=c.invited or (c.contact_id, c.thread, peer) in guests) for c in candidates]
        placement = decide(mail, person.contact_id, candidates, subjects.get(number))
        placements[arrival.number] = placement
        there = placement.found or Found(person.contact_id, own_thread(arrival), mail.topic)
        known = Found(there.contact_id, there.thread, there.topic)
        here.setdefault((channel_id, external_id_of(arrival)), []).insert(0, known)
        welcome = invited_by(mail, peer, guest=there.contact_id != person.contact_id)
        guests |= {(there.contact_id, there.thread, one) for one in welcome}
    joined = {
        (placement.found.contact_id, placement.found.thread): arrival.channel.shop_id
        for arrival, _, _ in mails
        if (placement := placements[arrival.number]).found is not None
    }
    missing = {matter: shop_id for matter, shop_id in joined.items() if matter not in staged.conversations}
    staged.conversations |= await find_matters(raw, missing)
    return placements


def mail_of(arrival: Arrival) -> Mail | None:
    return arrival.event.mail if isinstance(arrival.event, MessageReceived | Echo) else None


def invited_by(mail: Mail, peer: str, *, guest: bool) -> Sequence[str]:
    """Who beside the customer belongs to the conversation of a mail from then on: guests stay, and invite nobody."""
    if guest:
        return (peer,)
    return () if mail.automatic else mail.audience


def own_thread(arrival: Arrival) -> str:
    """The name of a matter that nothing else has: its mail goes to one mailbox of many, and others may bear its id."""
    address, mail = arrival.event.address, mail_of(arrival)
    told_apart = () if mail is None else (mail.fingerprint, address.account)
    return " ".join(filter(None, (address.thread, *told_apart)))


def external_id_of(arrival: Arrival) -> str:
    assert isinstance(arrival.event, MessageReceived | Echo)
    return arrival.event.external_id


Named = dict[tuple[int, str | None], list[Found]]  # by the mail's place in the list and what it names; None: ours


async def find_named(raw: Any, mails: Sequence[tuple[Arrival, Person, Mail]]) -> Named:
    """What is known of each thing that the mails refer to; the newest first where many have one id."""
    asked: list[tuple[Any, ...]] = []
    for number, (arrival, _, mail) in enumerate(mails):
        channel, peer = arrival.channel, arrival.event.address.peer
        asked += [(channel.shop_id, channel.id, None, ours_of(one), peer, number) for one in mail.ours]
        asked += [(channel.shop_id, channel.id, one, None, peer, number) for one in mail.references]
    if not asked:
        return {}
    found: Named = {}
    for row in await raw.fetch(FIND, *(list(column) for column in zip(*asked, strict=True))):
        one = Found(row["contact_id"], row["thread"], row["topic"], row["id"], row["signed"], row["invited"])
        found.setdefault((row["n"], row["reference"]), []).append(one)
    return found


def ours_of(message_id: str) -> uuid.UUID | None:
    try:
        return read_id(MESSAGE, message_id)
    except MalformedId:
        return None


async def find_subjects(raw: Any, mails: Sequence[tuple[Arrival, Person, Mail]], named: Named) -> dict[int, Found]:
    """For answers that do not say to what: the latest conversation of the same person with the same subject."""
    referring = {number for number, _ in named}
    asked = [
        (arrival.channel.shop_id, arrival.channel.id, person.contact_id, mail.topic, number)
        for number, (arrival, person, mail) in enumerate(mails)
        if mail.answers and mail.topic and number not in referring and mail.authenticity is Authenticity.VERIFIED
    ]
    if not asked:
        return {}
    rows = await raw.fetch(SAME_SUBJECT, *(list(column) for column in zip(*asked, strict=True)))
    return {row["n"]: Found(row["contact_id"], row["thread"], row["topic"]) for row in rows}


async def invite(raw: Any, guests: Sequence[tuple[uuid.UUID, uuid.UUID, str]]) -> None:
    """Whom a customer wrote to as well may write in the conversation too: (shop, conversation, address)."""
    if guests:
        await raw.execute(INVITE, *(list(column) for column in zip(*guests, strict=True)))
