"""What a message of Telegram's says, in our words. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiogram.types import Contact, Message, PhotoSize, Sticker, Venue
from aiogram.types import Location as Place
from pydantic import ValidationError

from connectors.telegram.formatting import show
from connectors.telegram.rich import rich_text
from shared.content import ContactCard, Content, Location, Media, MediaKind, Opaque, Text

# By what a file is known, the first first: an animation comes with a document, for older programs.
FILES: Final[Mapping[str, tuple[MediaKind, str | None]]] = {
    "animation": ("video", "video/mp4"),
    "video": ("video", "video/mp4"),
    "video_note": ("video", "video/mp4"),
    "voice": ("voice", "audio/ogg"),
    "audio": ("audio", "audio/mpeg"),
    "document": ("file", None),
    "live_photo": ("video", "video/mp4"),
}
# What Telegram says about a chat, and nobody in it.
SERVICE: Final = frozenset(
    {
        "boost_added",
        "channel_chat_created",
        "chat_background_set",
        "chat_owner_changed",
        "chat_owner_left",
        "checklist_tasks_added",
        "checklist_tasks_done",
        "community_chat_added",
        "community_chat_joined",
        "community_chat_removed",
        "connected_website",
        "delete_chat_photo",
        "direct_message_price_changed",
        "forum_topic_closed",
        "forum_topic_created",
        "forum_topic_edited",
        "forum_topic_reopened",
        "general_forum_topic_hidden",
        "general_forum_topic_unhidden",
        "giveaway_created",
        "group_chat_created",
        "left_chat_member",
        "managed_bot_created",
        "message_auto_delete_timer_changed",
        "migrate_from_chat_id",
        "migrate_to_chat_id",
        "new_chat_member",
        "new_chat_members",
        "new_chat_participant",
        "new_chat_photo",
        "new_chat_title",
        "paid_message_price_changed",
        "pinned_message",
        "poll_option_added",
        "poll_option_deleted",
        "proximity_alert_triggered",
        "suggested_post_approval_failed",
        "suggested_post_approved",
        "suggested_post_declined",
        "suggested_post_paid",
        "suggested_post_refunded",
        "supergroup_chat_created",
        "video_chat_ended",
        "video_chat_participants_invited",
        "video_chat_scheduled",
        "video_chat_started",
        "write_access_allowed",
    }
)
# What is around a message and not in it; any other member names what it is.
ENVELOPE: Final = frozenset(
    {
        "author_signature",
        "business_connection_id",
        "caption",
        "caption_entities",
        "chat",
        "date",
        "direct_messages_topic",
        "edit_date",
        "effect_id",
        "entities",
        "ephemeral_message_id",
        "external_reply",
        "forward_date",
        "forward_from",
        "forward_from_chat",
        "forward_from_message_id",
        "forward_origin",
        "forward_sender_name",
        "forward_signature",
        "from",
        "guest_bot_caller_chat",
        "guest_bot_caller_user",
        "guest_query_id",
        "has_media_spoiler",
        "has_protected_content",
        "is_automatic_forward",
        "is_from_offline",
        "is_paid_post",
        "is_topic_message",
        "link_preview_options",
        "media_group_id",
        "message_id",
        "message_thread_id",
        "paid_star_count",
        "quote",
        "receiver_user",
        "reply_markup",
        "reply_to_checklist_task_id",
        "reply_to_message",
        "reply_to_poll_option_id",
        "reply_to_story",
        "sender_boost_count",
        "sender_business_bot",
        "sender_chat",
        "sender_tag",
        "show_caption_above_media",
        "suggested_post_info",
        "text",
        "via_bot",
    }
)
EMAIL: Final = re.compile(r"^(?:\w+\.)?EMAIL[^:\r\n]*:([^\r\n]+)", re.IGNORECASE | re.MULTILINE)
NAME_MAX: Final = 100


def content_of(message: Message, said: Mapping[str, Any]) -> Content | None:
    """What was said, `said` being the same message as JSON; None for a service message, which nobody said."""
    try:
        return file_in(message) or fact_in(message) or text_in(message, said) or what_else(said)
    except ValidationError:  # a place outside the globe, a size below zero
        return Opaque(what=name_of(said))


def what_else(said: Mapping[str, Any]) -> Opaque | None:
    if SERVICE & said.keys():
        return None
    caption = said.get("caption")
    return Opaque(what=f"{name_of(said)}: {caption}" if isinstance(caption, str) and caption else name_of(said))


def name_of(said: Mapping[str, Any]) -> str:
    """Telegram's word for what it is: `poll`, `dice`, `story`, or one that is newer than this list."""
    return next((name for name in said if name not in ENVELOPE), "message")[:NAME_MAX]


def text_in(message: Message, said: Mapping[str, Any]) -> Text | None:
    if isinstance(said.get("rich_message"), dict):
        text, html = rich_text(said["rich_message"])
        return Text(text=text, html=html) if text else None
    if message.text:
        text, html = show(message.text, message.entities)
    elif message.caption and name_of(said) == "message":
        text, html = show(message.caption, message.caption_entities)
    else:
        return None
    return Text(text=text, html=html)


def fact_in(message: Message) -> Content | None:
    if message.contact is not None:
        return card(message.contact)
    if message.venue is not None:
        return venue(message.venue)
    return place(message.location, None) if message.location is not None else None


def card(contact: Contact) -> ContactCard:
    name = " ".join(filter(None, (contact.first_name, contact.last_name)))
    emails = EMAIL.findall(contact.vcard or "")
    return ContactCard(
        name=name or contact.phone_number,
        phones=(contact.phone_number,) if contact.phone_number else (),
        emails=tuple(email.strip() for email in emails),
    )


def venue(found: Venue) -> Location:
    return place(found.location, ", ".join(filter(None, (found.title, found.address))) or None)


def place(found: Place, label: str | None) -> Location:
    return Location(latitude=found.latitude, longitude=found.longitude, label=label)


# Files


def file_in(message: Message) -> Media | None:
    """The file with its caption; `source` is Telegram's handle of it."""
    media = photo_in(message) or sticker_in(message.sticker) or other_file_in(message)
    if media is None:
        return None
    more: dict[str, str | None] = {"album": message.media_group_id}
    if message.caption:
        more["caption"], more["caption_html"] = show(message.caption, message.caption_entities)
    return Media.model_validate(media.model_dump() | more)


def photo_in(message: Message) -> Media | None:
    if message.animation is not None:
        return None
    largest = largest_of((message.live_photo.photo if message.live_photo else None) or message.photo or ())
    if largest is None:
        return None
    return Media(media="image", source=largest.file_id, mime="image/jpeg", size=largest.file_size)


def largest_of(sizes: Sequence[PhotoSize]) -> PhotoSize | None:
    return max(sizes, key=lambda size: (size.width * size.height, size.file_size or 0), default=None)


def sticker_in(sticker: Sticker | None) -> Media | None:
    """The emoji it stands for is all that can be read of it, and so its caption."""
    if sticker is None:
        return None
    mime = "image/webp"
    if sticker.is_animated:
        mime = "application/x-tgsticker"
    elif sticker.is_video:
        mime = "video/webm"
    return Media(media="sticker", source=sticker.file_id, mime=mime, size=sticker.file_size, caption=sticker.emoji)


def other_file_in(message: Message) -> Media | None:
    for name, (kind, usual_mime) in FILES.items():
        found: Any = getattr(message, name)
        if found is not None:
            return Media(
                media=kind,
                source=found.file_id,
                mime=getattr(found, "mime_type", None) or usual_mime,
                size=found.file_size,
                name=getattr(found, "file_name", None),
            )
    return None
