"""From our commands to messages of the Graph API. Pure: nothing is read and nothing is sent here.

What is one message to us may be several at WhatsApp: an album, a caption that has no place. The same command always
gives the same messages in the same order, so that a broken-off one can go on where it stopped.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors.whatsapp.capabilities import ABOVE_BUTTONS_MAX, TEXT_MAX
from connectors.whatsapp.files import Upload, name_for, reference, upload_of, way_for
from connectors.whatsapp.formatting import mark_up
from connectors.whatsapp.messages import GROUP, LAST
from connectors.whatsapp.people import NOBODY, phone_in
from connectors.whatsapp.telling import is_call
from shared.commands import Command, MarkRead, SendMessage, SetTyping
from shared.content import (
    Album,
    Buttons,
    ContactCard,
    Location,
    Media,
    Option,
    Reaction,
    Template,
    TemplateButton,
    Text,
)
from shared.errors import Rejected, Unreachable, Unsupported

Body = dict[str, Any]

PRODUCT: Final = {"messaging_product": "whatsapp"}
CAPTION_MAX: Final = 1024
BUTTONS_MAX: Final = 3  # more are a list
BUTTON_LABEL_MAX: Final = 20
MENU_MAX: Final = 20
DESCRIPTION_MAX: Final = 72
MENU: Final = "Menu"
LINK: Final = re.compile(r"https?://\S")
NO_FORMATTING: Final = "The formatting was left out: with it the text is longer than WhatsApp takes."
APART: Final = "The album goes as single messages: WhatsApp has no albums."
BARE: Final = "The caption follows as a message of its own: WhatsApp has none there."
NO_QUOTE: Final = "The quote was left out: a call is no message at WhatsApp."
LONG: Final = f"The caption follows as a message of its own: WhatsApp's hold {CAPTION_MAX} characters."
CUT: Final = f"A description was cut: WhatsApp's hold {DESCRIPTION_MAX} characters."


@dataclass(frozen=True)
class Step:
    """One message: made once Meta has the file, if there is one to give."""

    make: Callable[[str | None], Body]
    upload: Upload | None = None
    loss: str | None = None


@dataclass(frozen=True)
class Plan:
    """The messages that make up one of ours. `envelope` is what all of them have around."""

    envelope: Body
    steps: tuple[Step, ...]
    message_id: str
    quote: str | None = None

    @property
    def degraded(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(step.loss for step in self.steps if step.loss))

    def body(self, number: int, handle: str | None) -> Body:
        """What is posted. Our id travels along and comes back with every status, with the number of the part."""
        one = len(self.steps) == 1
        body = {**self.envelope, **self.steps[number].make(handle)}
        if self.quote is not None and number == 0:
            body["context"] = {"message_id": self.quote}
        return {**body, "biz_opaque_callback_data": self.message_id if one else f"{self.message_id}:{number}"}


def render_message(command: SendMessage) -> Plan:
    """Raises `Unsupported`, `Unreachable`, and `Rejected` for a message without anything in it."""
    envelope = {**PRODUCT, **destination(command)}
    steps = tuple(render_content(command))
    if not steps:
        raise Rejected("The message is empty; write something.")
    if isinstance(command.content, Reaction):
        return Plan(envelope, steps, command.message_id)
    if is_call(command.reply_to):
        first = replace(steps[0], loss=" ".join(filter(None, (steps[0].loss, NO_QUOTE))))
        return Plan(envelope, (first, *steps[1:]), command.message_id)
    return Plan(envelope, steps, command.message_id, command.reply_to)


def destination(command: Command) -> Body:
    """Phones go under `to`, user ids under `recipient`: under `to` they are taken and never arrive."""
    peer = command.address.peer
    if peer.startswith(NOBODY):
        raise Unreachable("WhatsApp did not say who wrote this, so it cannot be answered.")
    if command.context.get(GROUP):
        return {"recipient_type": "group", "to": peer}
    return {"recipient_type": "individual", ("to" if phone_in(peer) else "recipient"): peer}


def render_content(command: SendMessage) -> Iterator[Step]:
    match command.content:
        case Text() as text:
            yield render_text(text.text, text.html)
        case Buttons() as buttons:
            yield render_buttons(buttons)
        case Media() as media:
            yield from render_file(media)
        case Album() as album:
            for number, item in enumerate(album.items):
                for step in render_file(item):
                    yield step if number else Step(step.make, step.upload, step.loss or APART)
        case Location() as location:
            yield fixed("location", render_location(location))
        case ContactCard() as card:
            yield fixed("contacts", [render_card(card)])
        case Reaction() as reaction:
            if is_call(reaction.target):
                raise Unsupported("A call is no message at WhatsApp, so nothing can be done to it.")
            yield fixed("reaction", {"message_id": reaction.target, "emoji": reaction.emoji})
        case Template() as template:
            yield render_template(template)
        case _:
            raise Unsupported(f"WhatsApp cannot carry content of kind {command.content.kind}; send text instead.")


def fixed(kind: str, value: Any, loss: str | None = None) -> Step:
    return Step(lambda _: {"type": kind, kind: value}, loss=loss)


def fitting(text: str, html: str | None, most: int) -> tuple[str, str | None]:
    """With our formatting if there is room for it, and what is lost without."""
    marked = mark_up(text, html)
    return (marked, None) if len(marked) <= most else (text, NO_FORMATTING if marked != text else None)


def render_text(text: str, html: str | None) -> Step:
    body, loss = fitting(text, html, TEXT_MAX)
    if not body.strip():
        raise Rejected("The message is empty; write something.")
    return fixed("text", {"body": body, "preview_url": bool(LINK.search(body))}, loss)


def render_location(location: Location) -> Body:
    place: Body = {"latitude": location.latitude, "longitude": location.longitude}
    if location.label:
        name, _, address = location.label.partition(", ")
        place |= {"name": name, "address": address} if address else {"name": name}
    return place


def render_card(card: ContactCard) -> Body:
    """`formatted_name` alone is refused: one more part of the name has to be there."""
    contact: Body = {"name": {"formatted_name": card.name, "first_name": card.name}}
    if card.phones:
        contact["phones"] = [{"phone": phone, "type": "CELL"} for phone in card.phones]
    if card.emails:
        contact["emails"] = [{"email": email, "type": "WORK"} for email in card.emails]
    return contact


# Files


def render_file(media: Media) -> Iterator[Step]:
    """The file, and behind it the caption where it has no place with the file."""
    way, loss = way_for(media)
    caption, unmarked = fitting((media.caption or "").strip(), media.caption_html, CAPTION_MAX)
    apart = bool(caption) and (not way.captioned or len(caption) > CAPTION_MAX)
    upload = upload_of(media)

    def make(handle: str | None) -> Body:
        file = reference(media, handle) | dict(way.more or {})
        if way.type == "document":
            file["filename"] = name_for(media)
        if caption and not apart:
            file["caption"] = caption
        return {"type": way.type, way.type: file}

    losses = (loss, (LONG if way.captioned else BARE) if apart else unmarked)
    yield Step(make, upload, " ".join(filter(None, losses)) or None)
    if apart:
        yield render_text(media.caption or "", media.caption_html)


# Buttons and lists


def render_buttons(buttons: Buttons) -> Step:
    """Up to three with short labels are buttons, anything else is a list that opens."""
    if len(buttons.text) > ABOVE_BUTTONS_MAX:
        raise Unsupported(f"The text above buttons has at most {ABOVE_BUTTONS_MAX} characters; shorten it.")
    as_list = len(buttons.options) > BUTTONS_MAX or any(
        option.description or len(option.label) > BUTTON_LABEL_MAX for option in buttons.options
    )
    cut = any(len(option.description or "") > DESCRIPTION_MAX for option in buttons.options)
    action: Body = (
        {"button": (buttons.menu or MENU)[:MENU_MAX], "sections": [{"rows": [row(one) for one in buttons.options]}]}
        if as_list
        else {"buttons": [{"type": "reply", "reply": {"id": o.id, "title": o.label}} for o in buttons.options]}
    )
    interactive = {"type": "list" if as_list else "button", "body": {"text": buttons.text}, "action": action}
    return fixed("interactive", interactive, CUT if cut else None)


def row(option: Option) -> Body:
    description = option.description or ""
    if len(description) > DESCRIPTION_MAX:
        description = description[: DESCRIPTION_MAX - 1] + "…"
    return {"id": option.id, "title": option.label, **({"description": description} if description else {})}


# Templates


def render_template(template: Template) -> Step:
    header = template.header_media

    def make(handle: str | None) -> Body:
        components = list(components_of(template, handle))
        body: Body = {"name": template.name, "language": {"policy": "deterministic", "code": template.language}}
        return {"type": "template", "template": body | ({"components": components} if components else {})}

    return Step(make, upload_of(header) if header else None)


def components_of(template: Template, handle: str | None) -> Iterator[Body]:
    if template.header_media is not None:
        way, _ = way_for(template.header_media)
        file = reference(template.header_media, handle)
        if way.type == "document":
            file["filename"] = name_for(template.header_media)
        yield {"type": "header", "parameters": [{"type": way.type, way.type: file}]}
    elif template.header_values:
        yield {"type": "header", "parameters": [worded(value) for value in template.header_values]}
    values = [*map(worded, template.values), *(worded(value, name) for name, value in template.named.items())]
    if values:
        yield {"type": "body", "parameters": values}
    yield from map(render_template_button, template.buttons)


def worded(value: str, name: str | None = None) -> Mapping[str, str]:
    return {"type": "text", "text": value, **({"parameter_name": name} if name else {})}


FILLS: Final = {"quick_reply": ("payload", "payload"), "url": ("text", "text"), "copy_code": ("coupon_code",) * 2}


def render_template_button(button: TemplateButton) -> Body:
    kind, member = FILLS[button.action]
    filled = {"type": kind, member: button.value}
    return {"type": "button", "sub_type": button.action, "index": str(button.index), "parameters": [filled]}


# Signals


def render_read(command: MarkRead) -> Body:
    """Marks all earlier messages as well. A call is no message: then what was written last before it."""
    not_in_a_group(command)
    read = command.context.get(LAST) if is_call(command.external_id) else command.external_id
    if not isinstance(read, str):
        raise Unsupported("WhatsApp cannot show that a call was noticed.")
    return {**PRODUCT, "status": "read", "message_id": read}


def render_typing(command: SetTyping) -> Body:
    """WhatsApp shows it for 25 seconds or until our message, and marks their newest message as read with it."""
    not_in_a_group(command)
    last = command.context.get(LAST)
    if not isinstance(last, str):
        raise Unsupported("WhatsApp shows that we type under a customer's message, and there is none yet.")
    return {**PRODUCT, "status": "read", "message_id": last, "typing_indicator": {"type": "text"}}


def not_in_a_group(command: Command) -> None:
    if command.context.get(GROUP):
        raise Unsupported("In groups WhatsApp shows neither that we read nor that we type.")
