"""Parrot's requests, put together: ours to theirs, pure."""

from pydantic import JsonValue

from shared.commands import EditMessage, SendMessage
from shared.content import Buttons, Content, Location, Media, Text
from shared.errors import Unsupported

Body = dict[str, JsonValue]


def render_message(command: SendMessage) -> tuple[Body, tuple[str, ...]]:
    """The body, and what was lost on the way."""
    body, degraded = render_content(command.content)
    if command.reply_to is not None:
        body["quotes"] = command.reply_to
    return {"to": command.address.peer, **body}, degraded


def render_edit(command: EditMessage) -> Body:
    body, _ = render_content(command.content)
    return body


def render_content(content: Content) -> tuple[Body, tuple[str, ...]]:
    match content:
        case Text():
            return {"type": "text", "text": content.text}, ()
        case Location():
            return {"type": "place", "place": {"latitude": content.latitude, "longitude": content.longitude}}, ()
        case Media(media="image"):
            return {"type": "picture", "picture": {"file": content.attachment}, "text": content.caption}, ()
        case Buttons():
            rows = [f"{number}. {option.label}" for number, option in enumerate(content.options, 1)]
            return {"type": "text", "text": "\n".join([content.text, *rows])}, ("buttons became a numbered list",)
        case _:
            raise Unsupported(f"Parrot cannot carry content of kind {content.kind}.")
