"""What customers wrote and did, and what was said on our side from elsewhere. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import JsonValue

from connectors.whatsapp.contents import WHAT_MAX, content_of, kind_of
from connectors.whatsapp.people import Ids, contact_for, e164, ids_of, nobody, phone_in, who
from connectors.whatsapp.reading import Json, moment, number, part, parts, words
from connectors.whatsapp.telling import Change, id_of
from shared.content import Content, Opaque
from shared.events import (
    Echo,
    InboundEvent,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    PeerConnected,
    PeerMoved,
    Sender,
)

LAST: Final = "last"  # the note that names the newest message, by which we can show that we type
GROUP: Final = "group"  # the note that the partner is a group
REFERRAL: Final = "referral"  # the note of the ad that led here
PRODUCT: Final = "product"  # the note of the product that the customer asks about
ABOUT_AD: Final[tuple[str, ...]] = ("source_type", "source_id", "source_url", "headline", "body", "ctwa_clid")
ABOUT_PRODUCT: Final = ("catalog_id", "product_retailer_id")
NOTE_MAX: Final = 1000
LEAVING: Final = frozenset({"user_changed_number", "customer_changed_number"})
MOVES: Final = LEAVING | {"user_changed_user_id"}
NO_NEWS: Final = frozenset({"customer_identity_changed", "viewed_once"})
SENDER_OF: Final = ("from_user_id", "from_parent_user_id", "from")
RECIPIENT_OF: Final = ("to_user_id", "to_parent_user_id", "to")
STANDBY: Final = "standby"


def parse_message(change: Change, said: Json) -> Iterator[InboundEvent]:
    kind = kind_of(said)
    if kind == "system":
        yield from parse_system(change, said)
        return
    found, raw = partner_in(change, "messages", said, SENDER_OF)
    group = words(said, "group_id")
    peer, sender = found or nobody(change.value, id_of(said))
    if group is not None:  # a group is one partner; who of it wrote is the message's sender
        peer, sender = group, Sender(name=sender.name, username=sender.username, phone=sender.phone, group="")
    common = change.common(peer, moment(said), raw)
    if kind == "request_welcome":
        yield PeerConnected(**common, external_id=id_of(said), sender=sender)
    elif kind in CHANGES and original_of(said):
        yield changed(said, common)
    else:
        yield MessageReceived(
            **common,
            context=notes_of(said, group),
            external_id=id_of(said),
            sender=with_shared_phone(sender, said),
            content=content_of(said),
            reply_to=words(part(said, "context"), "id"),
        )


def partner_in(
    change: Change, kind: str, said: Json, names: tuple[str, str, str]
) -> tuple[tuple[str, Sender] | None, bytes]:
    """Whom an item names under these names, and the raw words of it with what stands beside it of them."""
    ids = ids_of(*(words(said, name) for name in names))
    alone = len(parts(change.value, kind)) == 1
    raw = change.around(kind, said, contact_for(change.value, ids, alone=alone))
    return who(change.value, ids, alone=alone), raw


def notes_of(said: Json, group: str | None) -> dict[str, JsonValue]:
    """What an answer may need: the message to be marked as read, and what led the customer here."""
    notes: dict[str, JsonValue] = {LAST: id_of(said)}
    if group is not None:
        notes[GROUP] = True
    for note, told, names in (
        (REFERRAL, part(said, "referral"), ABOUT_AD),
        (PRODUCT, part(said, "context", "referred_product"), ABOUT_PRODUCT),
    ):
        if told:
            notes[note] = {name: text[:NOTE_MAX] for name in names if (text := words(told, name))}
    return notes


def with_shared_phone(sender: Sender, said: Json) -> Sender:
    """Whoever was asked for their number and gave it: WhatsApp answers with a card of the customer's own."""
    cards = parts(said, "contacts")
    asked = any(words(one, "origin") == "contact_request" for one in (said, *cards))
    if sender.phone is not None or not asked or len(cards) != 1:
        return sender
    phones = [phone_in(words(phone, "wa_id")) for phone in parts(cards[0], "phones")]
    own = next((phone for phone in phones if phone), None)
    return sender.model_copy(update={"phone": e164(own)}) if own else sender


# Changed and deleted

CHANGES: Final = ("edit", "revoke")


def original_of(said: Json) -> str | None:
    return words(part(said, kind_of(said)), "original_message_id")


def changed(said: Json, common: dict[str, Any]) -> InboundEvent:
    """The message that is meant, as it is now or gone."""
    original = original_of(said)
    assert original is not None
    if kind_of(said) == "revoke":
        return MessageDeleted(**common, external_id=original)
    content = content_of(part(said, "edit", "message"))
    return MessageEdited(**common, external_id=original, content=content, version=id_of(said))


# People who change


def parse_system(change: Change, said: Json) -> Iterator[InboundEvent]:
    """A customer has another number or another id from now on, and stays the same person."""
    told = part(said, "system")
    kind = words(told, "type") or ""
    raw = change.around("messages", said)
    old = ids_of(
        words(told, "previous_user_id"),
        words(told, "previous_parent_user_id"),
        words(told, "customer") or words(said, "from"),
    )
    new = ids_of(words(told, "user_id"), words(told, "parent_user_id"), words(told, "wa_id", "new_wa_id"))
    if old.user is None and words(said, "from_user_id") != new.user:
        old = Ids(words(said, "from_user_id"), old.parent, old.phone)
    if kind in NO_NEWS:
        return
    moves = [(before, after) for before, after in pairs(old, new, kind) if before != after]
    if kind not in MOVES or not moves:
        yield change.undigested("unknown_system_message", f"System news that is not known here: {kind[:60]!r}.", raw)
        return
    for before, after in moves:
        yield PeerMoved(
            **change.common(before, moment(said), raw),
            external_id=id_of(said),
            to=after,
            sender=Sender(phone=e164(new.phone), aliases=new.besides(after), lent=(*old.lent, *new.lent)),
        )


def pairs(old: Ids, new: Ids, kind: str) -> Iterator[tuple[str, str]]:
    """Each old id with its like; a number that was left also with whatever the person is known by now."""
    for before, after in ((old.user, new.user), (old.parent, new.parent), (old.phone, new.phone)):
        instead = new.peer if before == old.phone and kind in LEAVING else None
        if before and (after or instead):
            yield before, after or instead or before


# Our side, from elsewhere


def parse_echo(change: Change, said: Json) -> Iterator[InboundEvent]:
    """Written in the phone app, or by Meta's assistant while it holds the conversation."""
    found, raw = partner_in(change, "message_echoes", said, RECIPIENT_OF)
    group = words(said, "group_id")
    peer = group or (found[0] if found else None)
    if peer is None:
        yield change.undigested("nobody", "A message of ours that names nobody to whom it went.", raw)
        return
    common = change.common(peer, moment(said), raw)
    if kind_of(said) in CHANGES and original_of(said):
        yield changed(said, common)
        return
    yield Echo(
        **common,
        external_id=id_of(said),
        recipient=found[1] if found and not group else Sender(group=""),
        content=content_of(said),
        origin="provider_ai" if change.field == STANDBY else "provider_app",
        reply_to=words(part(said, "context"), "id"),
    )


def parse_call(change: Change, said: Json) -> Iterator[InboundEvent]:
    """A line for a call that is over; that one begins is no news by itself."""
    if words(said, "event") != "terminate":
        return
    ours = words(said, "direction") == "BUSINESS_INITIATED"
    found, raw = partner_in(change, "calls", said, RECIPIENT_OF if ours else SENDER_OF)
    if found is None:
        yield change.undigested("nobody", "A call that names nobody.", raw)
        return
    common = change.common(found[0], moment(said), raw)
    seconds = number(said, "duration")
    what: Content = Opaque(what=f"call: {int(seconds)} s" if seconds else "call: not answered")
    if ours:
        yield Echo(**common, external_id=id_of(said), recipient=found[1], content=what, origin="provider_app")
    else:
        yield MessageReceived(**common, context=None, external_id=id_of(said), sender=found[1], content=what)


def parse_handover(change: Change) -> Iterator[InboundEvent]:
    """Meta's assistant has taken the conversation over, or given it back: shown as a line of our side's."""
    value = change.value
    for said in parts(value, "messaging_handovers") or [value]:
        person = part(said, "sender") or part(said, "recipient") or said
        ids = ids_of(
            words(person, "user_id", *SENDER_OF[:1], "recipient_user_id"),
            words(person, "parent_user_id"),
            words(person, "wa_id", "id", "phone_number", "recipient_id", "from", "to"),
        )
        found = who(value, ids)
        raw = change.itself()
        if found is None:
            yield change.undigested("handover", "Meta's assistant took a conversation over or gave it back.", raw)
            continue
        what = next((name for name in said if name.endswith(("_control", "_passed", "_taken"))), None)
        what = what or words(said, "action", "type", "event") or "control changed"
        yield Echo(
            **change.common(found[0], moment(said), raw),
            external_id=id_of(said),
            recipient=found[1],
            content=Opaque(what=f"handover: {what}"[:WHAT_MAX]),
            origin="provider_ai",
        )
