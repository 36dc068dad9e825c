"""Who wrote, and whom a message of ours went to. Pure.

A person is known by the id that they have within the shop's portfolio (BSUID), by that of linked portfolios, and by the
phone number, which may be withheld: left out, empty, or with the BSUID in its place. The first that is there is the
peer, the others are aliases; a phone is an attribute that may change.
"""

import re
from dataclasses import dataclass
from typing import Final

from connectors.whatsapp.reading import Json, part, parts, words
from shared.events import Sender

PHONE: Final = re.compile(r"[0-9]{1,20}")
BSUID: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,140}")
E164: Final = re.compile(r"[0-9]{7,15}")
NOBODY: Final = "nobody:"
SAME_ENDING: Final = 8  # digits in which the spellings of a number in Argentina, Mexico and Brazil agree


@dataclass(frozen=True)
class Ids:
    """The ids of one person, as far as they were told."""

    user: str | None = None
    parent: str | None = None
    phone: str | None = None

    @property
    def peer(self) -> str | None:
        return self.user or self.phone or self.parent

    def besides(self, peer: str) -> tuple[str, ...]:
        """The ids other than this one."""
        return tuple(dict.fromkeys(id for id in (self.user, self.parent, self.phone) if id and id != peer))

    @property
    def lent(self) -> tuple[str, ...]:
        """Those that pass on to somebody else one day: carriers give numbers out again."""
        return (self.phone,) if self.phone else ()


def ids_of(user: str | None, parent: str | None, number: str | None) -> Ids:
    """`number` is where Meta puts a phone number, and sometimes a user id instead."""
    phone = phone_in(number)
    return Ids(user or (None if phone else number), parent, phone)


def phone_in(text: str | None) -> str | None:
    """The digits of a phone number; None for what is none."""
    digits = re.sub(r"[\s+()-]", "", text or "")
    return digits if PHONE.fullmatch(digits) else None


def e164(phone: str | None) -> str | None:
    return f"+{phone}" if phone and E164.fullmatch(phone) else None


def contact_ids(contact: Json) -> Ids:
    return ids_of(words(contact, "user_id"), words(contact, "parent_user_id"), words(contact, "wa_id"))


def contact_for(value: Json, ids: Ids, *, alone: bool) -> Json:
    """What a change says of this person beside the message; empty if there is nothing.

    `alone`: the change has one message, so that the only contact in it can be nobody else.
    """
    contacts = parts(value, "contacts")
    for contact in contacts:
        if is_same(contact_ids(contact), ids):
            return contact
    if ids.peer is None and len(contacts) == 1:  # whoever is not named here is named there
        return contacts[0]
    if alone and len(contacts) == 1 and not contradict(contact_ids(contacts[0]), ids):
        return contacts[0]
    return {}


def is_same(one: Ids, other: Ids) -> bool:
    if one.user and other.user:
        return one.user == other.user
    return any(a is not None and a == b for a, b in ((one.phone, other.phone), (one.parent, other.parent)))


def contradict(one: Ids, other: Ids) -> bool:
    """Whether two sets of ids are certainly not of one person: a phone number alone may be spelled in two ways."""
    if one.user and other.user and BSUID.fullmatch(one.user) and BSUID.fullmatch(other.user):
        return one.user != other.user
    if one.phone and other.phone:
        return one.phone[-SAME_ENDING:] != other.phone[-SAME_ENDING:]
    return False


def who(value: Json, ids: Ids, *, alone: bool = True) -> tuple[str, Sender] | None:
    """The peer, and what is known of them; None if nothing names them."""
    contact = contact_for(value, ids, alone=alone)
    beside, profile = contact_ids(contact), part(contact, "profile")
    known = Ids(ids.user or beside.user, ids.parent or beside.parent, ids.phone or beside.phone)
    peer = ids.peer or known.peer  # what the message itself says is surest
    if peer is None:
        return None
    username = words(profile, "username")
    return peer, Sender(
        name=words(profile, "name"),
        username=username.lstrip("@") if username else None,
        phone=e164(known.phone),
        aliases=known.besides(peer),
        lent=known.lent,
    )


def nobody(value: Json, id: str) -> tuple[str, Sender]:
    """For a message that names nobody: a partner of its own, who can be read and not be answered."""
    contacts = parts(value, "contacts")
    name = words(part(contacts[0], "profile"), "name") if len(contacts) == 1 else None
    return f"{NOBODY}{id}", Sender(name=name)
