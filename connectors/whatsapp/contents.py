"""What a message of WhatsApp's says, in our words. Pure."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from connectors.whatsapp.reading import Json, number, part, parts, words
from shared.content import (
    Choice,
    ContactCard,
    Content,
    Location,
    Media,
    MediaKind,
    Opaque,
    Order,
    OrderItem,
    Reaction,
    Text,
)

FILES: Final[Mapping[str, MediaKind]] = {
    "image": "image",
    "video": "video",
    "document": "file",
    "audio": "audio",
    "voice": "voice",
    "sticker": "sticker",
}
ANSWERS: Final = ("button_reply", "list_reply", "nfm_reply")
WHAT_MAX: Final = 200
FLOW_TOKEN: Final = "flow_token"  # noqa: S105 - the name of a member that is ours and not an answer


def kind_of(said: Json) -> str:
    """Meta's word for what it is; without one, the first member that is known to be one."""
    return words(said, "type") or next((name for name in READERS if said.get(name)), "message")


def content_of(said: Json) -> Content:
    """What was said. Whatever is new or broken becomes `Opaque`."""
    kind = kind_of(said)
    read = READERS.get(kind)
    try:
        return (read(said) if read else None) or Opaque(what=kind[:WHAT_MAX])
    except ValidationError:  # a place outside the globe, a quantity below one
        return Opaque(what=kind[:WHAT_MAX])


def read_text(said: Json) -> Content | None:
    body = words(part(said, "text"), "body")
    return Text(text=body) if body is not None else None


def read_file(said: Json) -> Content | None:
    """`source` is Meta's id of the file, under which it can be had for seven days."""
    kind = kind_of(said)
    file = part(said, kind)
    if not file:
        return None
    voice = kind == "audio" and file.get("voice") is True
    return Media(
        media="voice" if voice else FILES[kind],
        source=words(file, "id"),
        mime=words(file, "mime_type"),
        name=words(file, "filename"),
        caption=words(file, "caption"),
    )


def read_location(said: Json) -> Content | None:
    place = part(said, "location")
    latitude, longitude = number(place, "latitude"), number(place, "longitude")
    if latitude is None or longitude is None:
        return None
    label = ", ".join(filter(None, (words(place, "name"), words(place, "address"))))
    return Location(latitude=latitude, longitude=longitude, label=label or None)


def read_contacts(said: Json) -> Content | None:
    """A card. Of several in one message the name says which number is whose."""
    cards = [card(contact) for contact in parts(said, "contacts")]
    if len(cards) < 2:
        return cards[0] if cards else None
    return ContactCard(
        name="; ".join(f"{one.name}: {', '.join((*one.phones, *one.emails))}".rstrip(": ") for one in cards),
        phones=tuple(phone for one in cards for phone in one.phones),
        emails=tuple(email for one in cards for email in one.emails),
    )


def card(contact: Json) -> ContactCard:
    name = part(contact, "name")
    full = " ".join(filter(None, (words(name, "first_name"), words(name, "last_name"))))
    phones = tuple(filter(None, (words(phone, "phone", "wa_id") for phone in parts(contact, "phones"))))
    emails = tuple(filter(None, (words(email, "email") for email in parts(contact, "emails"))))
    organisation = words(part(contact, "org"), "company")
    known = words(name, "formatted_name") or full or organisation or next(iter(phones), "contact")
    return ContactCard(name=known, phones=phones, emails=emails)


def read_reaction(said: Json) -> Content | None:
    """Without an emoji, or with an empty one, it is taken back."""
    reaction = part(said, "reaction")
    target = words(reaction, "message_id")
    return Reaction(emoji=words(reaction, "emoji") or "", target=target) if target else None


def read_button(said: Json) -> Content | None:
    """The answer to a button of a template."""
    button = part(said, "button")
    label = words(button, "text", "payload")
    return Choice(id=words(button, "payload") or label, label=label) if label else None


def read_interactive(said: Json) -> Content | None:
    answer = part(said, "interactive")
    kind = words(answer, "type") or next((name for name in ANSWERS if name in answer), "")
    given = part(answer, kind)
    if kind in ("button_reply", "list_reply"):
        label = words(given, "title", "id")
        return Choice(id=words(given, "id") or label, label=label) if label else None
    if kind == "nfm_reply":
        return read_form(given)
    if kind == "call_permission_reply":
        return Opaque(what=f"call_permission_reply: {words(given, 'response') or 'unknown'}"[:WHAT_MAX])
    return Opaque(what=kind[:WHAT_MAX]) if kind else None


def read_form(given: Json) -> Content:
    """What was filled into a form (a flow), a line for each answer."""
    title = words(given, "body", "name") or "form"
    try:
        answers = json.loads(words(given, "response_json") or "")
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, dict):
        return Opaque(what=f"form: {title}"[:WHAT_MAX])
    lines = [f"{name}: {shown(answer)}" for name, answer in answers.items() if name != FLOW_TOKEN]
    return Text(text="\n".join([title, *lines]))


def shown(answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    try:
        return json.dumps(answer, ensure_ascii=False)
    except RecursionError:
        return "..."


def read_order(said: Json) -> Content | None:
    order = part(said, "order")
    items = tuple(filter(None, (item(one) for one in parts(order, "product_items"))))
    return Order(items=items, catalog=words(order, "catalog_id"), text=words(order, "text"))


def item(one: Json) -> OrderItem | None:
    product, quantity = words(one, "product_retailer_id"), number(one, "quantity")
    if product is None:
        return None
    whole = quantity is not None and quantity >= 1 and quantity == int(quantity)
    return OrderItem(
        product=product,
        quantity=int(quantity) if whole and quantity is not None else None,
        price=str(one["item_price"]).strip() if number(one, "item_price") is not None else None,
        currency=words(one, "currency"),
    )


def read_unsupported(said: Json) -> Content:
    """What WhatsApp itself does not hand on: a poll, a pinned message, something for one view only."""
    errors = parts(said, "errors")
    what = words(part(said, "unsupported"), "type") or next(
        filter(None, (words(error, "title", "message") for error in errors)), None
    )
    return Opaque(what=f"unsupported: {what}"[:WHAT_MAX] if what else "unsupported")


READERS: Final[Mapping[str, Callable[[Json], Content | None]]] = {
    "text": read_text,
    **dict.fromkeys(FILES, read_file),
    "location": read_location,
    "contacts": read_contacts,
    "reaction": read_reaction,
    "button": read_button,
    "interactive": read_interactive,
    "order": read_order,
    "unsupported": read_unsupported,
}
