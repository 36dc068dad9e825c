"""What a message can say, in one union for all channels."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from shared.model import Model, Str

MediaKind = Literal["image", "audio", "voice", "video", "sticker", "file"]


class Text(Model):
    """`text` is what the person wrote now; `full_text` keeps quoted history and signature of a mail.

    `html` is the same text with formatting, in the tags of `shared.markup`: safe to show as it is. `full_html` is the
    whole of a mail as it looked, made safe: nothing in it runs or loads by itself. An image at `data-src` waits for a
    click, and one with `data-attachment` is that number (from 0) of the `attachments`, which came along with the text.
    """

    kind: Literal["text"] = "text"
    text: Str
    html: Str | None = None
    full_text: Str | None = None
    full_html: Str | None = None
    attachments: tuple["Media", ...] = ()


class Media(Model):
    """A file. `attachment` is our id once we hold it, `source` the provider's handle until then; `size` in bytes.

    `url` is where the file can be had: for what we show, a signed address that expires; for what we send, a public
    address that the channel fetches itself. Media with the same `album` belong together.
    """

    kind: Literal["media"] = "media"
    media: MediaKind
    attachment: str | None = None
    source: Str | None = None
    mime: Str | None = None
    size: int | None = Field(default=None, ge=0)
    name: Str | None = None
    caption: Str | None = None
    caption_html: Str | None = None
    url: Str | None = None
    album: Str | None = None
    failure: Str | None = None
    """Why we do not hold it and never will, in a sentence."""


class Album(Model):
    """Pictures, videos or files that are shown as one. The caption of the first is that of the whole."""

    kind: Literal["album"] = "album"
    items: tuple[Media, ...] = Field(min_length=2, max_length=10)


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
    """`description` is a second, smaller line, where the channel has one."""

    id: Str
    label: Str
    description: Str | None = None


class Buttons(Model):
    """`menu` is what a list is opened with, where so many options are shown as a list."""

    kind: Literal["buttons"] = "buttons"
    text: Str
    options: tuple[Option, ...] = Field(min_length=1)
    menu: Str | None = None


class TemplateButton(Model):
    """What fills the button at `index` (from 0) of a template: its payload, the rest of its address, or its code."""

    index: int = Field(ge=0, le=9)
    action: Literal["quick_reply", "url", "copy_code"]
    value: Str


class Template(Model):
    """A text that the provider approved beforehand; `values` fill its places in order, `named` those with a name."""

    kind: Literal["template"] = "template"
    name: Str
    language: Str
    values: tuple[Str, ...] = ()
    named: dict[Str, Str] = Field(default_factory=dict)
    header_values: tuple[Str, ...] = ()
    header_media: Media | None = None
    buttons: tuple[TemplateButton, ...] = ()


class OrderItem(Model):
    """`price` is a decimal number in `currency` (ISO 4217), for one piece. `quantity` is None if it cannot be read."""

    product: Str
    quantity: int | None = Field(default=None, ge=1)
    price: Str | None = None
    currency: Str | None = None


class Order(Model):
    """What was put into the basket; `text` is what the customer wrote with it."""

    kind: Literal["order"] = "order"
    items: tuple[OrderItem, ...]
    catalog: Str | None = None
    text: Str | None = None


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
    Text | Media | Album | Location | ContactCard | Choice | Buttons | Template | Order | Reaction | Opaque,
    Field(discriminator="kind"),
]


def files_of(content: Content) -> tuple[Media, ...]:
    """The files that a content is made of or carries along."""
    match content:
        case Media():
            return (content,)
        case Album():
            return content.items
        case Text():
            return content.attachments
        case _:
            return ()


def with_files(content: Content, files: Sequence[Media]) -> Content:
    """The content with others in the place of its files, in their order."""
    match content:
        case Media():
            return files[0]
        case Album():
            return content.model_copy(update={"items": tuple(files)})
        case Text(attachments=(_, *_)):
            return content.model_copy(update={"attachments": tuple(files)})
        case _:
            return content
