"""What a message says: a tagged union by `kind`, with a place for kinds of a newer server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

__all__ = ["Album", "Buttons", "Choice", "ContactCard", "Content", "Location", "Media", "Opaque", "Option", "Order"]
__all__ += ["OrderItem", "Reaction", "Template", "TemplateButton", "Text", "UnknownContent"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class Text(_Part):
    """Words. For e-mail `text` is without quotes and signature; `full_text` holds the whole.

    `full_html` is the whole as it looked, safe to show; an image with `data-attachment` is that number (from 0) of the
    `attachments`, the files that came along.
    """

    kind: Literal["text"] = "text"
    text: str
    html: str | None = None
    full_text: str | None = None
    full_html: str | None = None
    attachments: tuple[Media, ...] = ()


class Media(_Part):
    """A file. `media` says how to show it; `attachment` is where it is kept."""

    kind: Literal["media"] = "media"
    media: Literal["image", "audio", "voice", "video", "sticker", "file"] | str
    attachment: JsonValue = None
    mime: str | None = None
    size: int | None = None
    name: str | None = None
    caption: str | None = None
    caption_html: str | None = None
    url: str | None = None
    album: str | None = None
    failure: str | None = None


class Album(_Part):
    """Pictures, videos or files that are shown as one."""

    kind: Literal["album"] = "album"
    items: tuple[Media, ...] = ()


class Location(_Part):
    """A place, in degrees."""

    kind: Literal["location"] = "location"
    latitude: float
    longitude: float
    label: str | None = None


class ContactCard(_Part):
    """Somebody's particulars."""

    kind: Literal["contact_card"] = "contact_card"
    name: str | None = None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


class Choice(_Part):
    """The option a customer picked."""

    kind: Literal["choice"] = "choice"
    id: str
    label: str | None = None


class Option(_Part):
    """One button; `id` comes back in a Choice."""

    id: str
    label: str
    description: str | None = None


class Buttons(_Part):
    """A text with options under it."""

    kind: Literal["buttons"] = "buttons"
    text: str
    options: tuple[Option, ...] = ()
    menu: str | None = None


class TemplateButton(_Part):
    """What fills a button of a template."""

    index: int
    action: str
    value: str


class Template(_Part):
    """A text approved by the provider beforehand, filled with values."""

    kind: Literal["template"] = "template"
    name: str
    language: str | None = None
    values: JsonValue = None
    named: dict[str, str] = Field(default_factory=dict)
    header_values: tuple[str, ...] = ()
    header_media: Media | None = None
    buttons: tuple[TemplateButton, ...] = ()


class OrderItem(_Part):
    """A product of the provider's catalogue; `price` of one piece, in `currency`. None: the provider did not say."""

    product: str
    quantity: int | None = None
    price: str | None = None
    currency: str | None = None


class Order(_Part):
    """A basket sent from a provider's catalogue, and what the customer wrote with it."""

    kind: Literal["order"] = "order"
    items: tuple[OrderItem, ...] = ()
    catalog: str | None = None
    text: str | None = None


class Reaction(_Part):
    """An emoji on another message; an empty one takes it back."""

    kind: Literal["reaction"] = "reaction"
    emoji: str
    target: str | None = None


class Opaque(_Part):
    """Something the channel carries and Shopbell does not understand; `what` names it."""

    kind: Literal["opaque"] = "opaque"
    what: str | None = None


class UnknownContent(BaseModel):
    """A kind this version of the client does not know; `kind` and all fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    kind: str = "unknown"


_Known = Text | Media | Album | Location | ContactCard | Choice | Buttons | Template | Order | Reaction | Opaque

# Left to right: what is not one of the known kinds, or not in the shape we know, is kept as it came.
Content = Annotated[Annotated[_Known, Field(discriminator="kind")] | UnknownContent, Field(union_mode="left_to_right")]
