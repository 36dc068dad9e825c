"""What a message can say, in one union for all channels."""

from typing import Annotated, Literal

from pydantic import Field

from shared.model import Model, Str

MediaKind = Literal["image", "audio", "voice", "video", "sticker", "file"]


class Text(Model):
    """`text` is what the person wrote now; `full_text` keeps quoted history and signature of a mail."""

    kind: Literal["text"] = "text"
    text: Str
    html: Str | None = None
    full_text: Str | None = None


class Media(Model):
    """A file. `attachment` is our id once we hold it, `source` the provider's handle until then; `size` in bytes."""

    kind: Literal["media"] = "media"
    media: MediaKind
    attachment: str | None = None
    source: Str | None = None
    mime: Str | None = None
    size: int | None = Field(default=None, ge=0)
    name: Str | None = None
    caption: Str | None = None


class Location(Model):
    kind: Literal["location"] = "location"
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    label: Str | None = None


class ContactCard(Model):
    kind: Literal["contact_card"] = "contact_card"
    name: Str
    phones: tuple[Str, ...] = ()
    emails: tuple[Str, ...] = ()


class Choice(Model):
    """A pressed button or a chosen row: `id` is what we gave it when we offered it."""

    kind: Literal["choice"] = "choice"
    id: Str
    label: Str


class Option(Model):
    id: Str
    label: Str


class Buttons(Model):
    kind: Literal["buttons"] = "buttons"
    text: Str
    options: tuple[Option, ...] = Field(min_length=1)


class Template(Model):
    """A text that the provider approved beforehand; `values` fill its places in order."""

    kind: Literal["template"] = "template"
    name: Str
    language: Str
    values: tuple[Str, ...] = ()


class OrderItem(Model):
    """`price` is a decimal number in `currency` (ISO 4217), for one piece."""

    product: Str
    quantity: int = Field(ge=1)
    price: Str | None = None
    currency: Str | None = None


class Order(Model):
    kind: Literal["order"] = "order"
    items: tuple[OrderItem, ...]
    catalog: Str | None = None
    note: Str | None = None


class Reaction(Model):
    """An empty `emoji` takes the reaction back. `target` is the message reacted to."""

    kind: Literal["reaction"] = "reaction"
    emoji: Str
    target: Str


class Opaque(Model):
    """Something real that we cannot represent: kept with its raw words, shown by name, never dropped."""

    kind: Literal["opaque"] = "opaque"
    what: Str


Content = Annotated[
    Text | Media | Location | ContactCard | Choice | Buttons | Template | Order | Reaction | Opaque,
    Field(discriminator="kind"),
]
