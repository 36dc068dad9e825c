"""What we ask of a channel."""

from typing import Annotated, Final, Literal

from pydantic import Field

from shared.content import Content, Media
from shared.events import Address
from shared.model import Model, Notes, Str, Time

LEFT_OUT: Final = ""  # stands for the id of a part that was not sent, since it had gone out already


class Command(Model):
    """The part that all commands share. `context` is the connector's own note from the partner's last event."""

    address: Address
    context: Notes = Field(default_factory=dict)


class SendMessage(Command):
    """`from_part` > 0 resumes a message of which the earlier parts have gone out already; `skip` names later ones.

    `subject` is that of the conversation. `automatic`: no person wrote it, and where that can be said it must be.
    """

    kind: Literal["send_message"] = "send_message"
    message_id: str
    content: Content
    reply_to: Str | None = None
    author_name: Str | None = None
    subject: Str | None = None
    automatic: bool = False
    from_part: int = Field(default=0, ge=0)
    skip: tuple[int, ...] = ()

    def leaves_out(self, part: int) -> bool:
        return part < self.from_part or part in self.skip


class EditMessage(Command):
    kind: Literal["edit_message"] = "edit_message"
    message_id: str
    external_ids: tuple[Str, ...]
    content: Content


class DeleteMessage(Command):
    kind: Literal["delete_message"] = "delete_message"
    message_id: str
    external_ids: tuple[Str, ...]


class MarkRead(Command):
    """Tell the partner that all up to and with this message of theirs was read by a person."""

    kind: Literal["mark_read"] = "mark_read"
    external_id: Str
    read_at: Time


class SetTyping(Command):
    kind: Literal["set_typing"] = "set_typing"
    on: bool
    author_name: Str | None = None


class FetchMedia(Command):
    """Get the file of a message of theirs and keep it as this attachment."""

    kind: Literal["fetch_media"] = "fetch_media"
    message_id: str
    attachment: str
    media: Media


AnyCommand = Annotated[
    SendMessage | EditMessage | DeleteMessage | MarkRead | SetTyping | FetchMedia, Field(discriminator="kind")
]


class Sent(Model):
    """The provider took it. One message may have become several; what was lost on the way is said."""

    external_ids: tuple[Str, ...]
    """Of the parts from `from_part` on, each in its place: `LEFT_OUT` for one that was."""
    degraded: tuple[Str, ...] = ()
    confirmed: bool = True
    """False where the provider only promises to try (ACCEPTED rather than SENT)."""
