"""A customer of the simulated Telegram: does what people do, and sees what they would see."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import JsonValue

if TYPE_CHECKING:
    from connectors.telegram.simulator import ChatRoom, TelegramSimulator

Json = Mapping[str, Any]


@dataclass
class Seen:
    """One message on the customer's screen. `history` are its earlier texts, `reaction` is the bot's."""

    number: int
    by: Literal["customer", "bot", "owner"]
    kind: str
    text: str = ""
    entities: tuple[dict[str, Any], ...] = ()
    buttons: list[tuple[str, str]] = field(default_factory=list)
    file: bytes = b""
    name: str = ""
    album: str | None = None
    reply_to: int | None = None
    reaction: str = ""
    history: list[str] = field(default_factory=list)
    deleted: bool = False
    read: bool = False


@dataclass(frozen=True)
class Customer:
    """What a method tells as an update is its result, except for the number of what was written."""

    server: "TelegramSimulator"
    user: Json
    chat: Json
    connection: str | None = None

    @property
    def room(self) -> "ChatRoom":
        return self.server.room(self.connection, self.id, self.chat)

    @property
    def id(self) -> int:
        id = self.user["id"]
        assert isinstance(id, int)
        return id

    @property
    def sees(self) -> list[Seen]:
        """All that the bot has sent and not deleted, in order."""
        return [seen for seen in self.room.seen.values() if seen.by == "bot" and not seen.deleted]

    # Writing

    def writes(self, text: str, *, entities: Sequence[Json] = (), reply_to: int | None = None, **more: Any) -> int:
        marked = {"entities": [dict(entity) for entity in entities]} if entities else {}
        return self.sends("message", {"text": text, **marked, **more}, text=text, reply_to=reply_to)

    def starts(self, payload: str | None = None) -> int:
        """Opens the chat, by a link that carries the payload."""
        return self.writes(f"/start {payload}" if payload else "/start")

    def sends(
        self,
        kind: str,
        content: Json,
        *,
        text: str = "",
        reply_to: int | None = None,
        by: Literal["customer", "owner"] = "customer",
    ) -> int:
        """Any message; `content` are its members beside those that all have."""
        number = self.server.next_number(self.connection)
        message = self.around(number, content, by=by)
        if reply_to is not None:
            message["reply_to_message"] = self.around(reply_to, {}, by=by)
        self.room.seen[number] = Seen(number, by, kind, text, reply_to=reply_to)
        self.server.happen("business_message" if self.connection else "message", message)
        return number

    def around(
        self, number: int, content: Json, *, by: Literal["customer", "owner"] = "customer"
    ) -> dict[str, JsonValue]:
        sender = dict(self.user) if by == "customer" else {"id": 1, "is_bot": False, "first_name": "Olga"}
        connected: dict[str, JsonValue] = {"business_connection_id": self.connection} if self.connection else {}
        known: dict[str, JsonValue] = {"message_id": number, "date": int(time.time()), "chat": dict(self.chat)}
        return {**known, "from": sender, **connected, **content}

    def sends_file(
        self,
        kind: str,
        data: bytes,
        *,
        caption: str | None = None,
        album: str | None = None,
        **more: JsonValue,
    ) -> int:
        """`kind` as Telegram calls it: photo, voice, video_note, ..."""
        file = {"file_id": self.server.keep(data), "file_unique_id": "u", "file_size": len(data), **more}
        size = {"width": 640, "height": 480, "duration": 3, "length": 240}
        sticker = {"type": "regular", "is_animated": False, "is_video": False, "emoji": "🙂"}
        described = {**size, **(sticker if kind == "sticker" else {}), **file}
        content: dict[str, Any] = {kind: [described] if kind == "photo" else described}
        if caption is not None:
            content["caption"] = caption
        if album is not None:
            content["media_group_id"] = album
        return self.sends(kind, content, text=caption or "")

    def sends_album(self, *files: bytes, caption: str | None = None) -> list[int]:
        """Photos that Telegram tells one by one, the caption with the first."""
        album = f"g{self.server.next_number(self.connection)}"
        captions = [caption, *[None] * (len(files) - 1)]
        return [
            self.sends_file("photo", data, album=album, caption=words)
            for data, words in zip(files, captions, strict=True)
        ]

    def shares_contact(self, phone: str, *, own: bool = True) -> int:
        owner = {"user_id": self.id} if own else {}
        return self.sends("contact", {"contact": {"phone_number": phone, "first_name": "Ann", **owner}})

    def sends_location(self, latitude: float, longitude: float) -> int:
        return self.sends("location", {"location": {"latitude": latitude, "longitude": longitude}})

    def owner_writes(self, text: str) -> int:
        """The owner of the business account answers from a phone."""
        return self.sends("message", {"text": text}, text=text, by="owner")

    # Changing

    def edits(self, number: int, text: str) -> None:
        seen = self.room.seen[number]
        seen.history.append(seen.text)
        seen.text = text
        message = self.around(number, {"text": text, "edit_date": int(time.time())})
        self.server.happen("edited_business_message" if self.connection else "edited_message", message)

    def deletes(self, *numbers: int) -> None:
        """Seen by the bot in business chats only."""
        for number in numbers:
            self.room.seen[number].deleted = True
        if self.connection:
            told = {"business_connection_id": self.connection, "chat": self.chat, "message_ids": list(numbers)}
            self.server.happen("deleted_business_messages", told)

    def presses(self, label: str) -> str:
        """The newest button with this label; the press's number."""
        for seen in reversed(self.sees):
            for shown, data in seen.buttons:
                if shown == label:
                    return self._press(seen, data)
        raise AssertionError(f"the customer sees no button {label}")

    def _press(self, seen: Seen, data: str) -> str:
        rows: list[JsonValue] = [[{"text": shown, "callback_data": value}] for shown, value in seen.buttons]
        message = self.around(seen.number, {"text": seen.text, "reply_markup": {"inline_keyboard": rows}})
        query = f"{self.id}{self.server.next_number('presses')}"
        told = {"id": query, "from": self.user, "chat_instance": "1", "message": message, "data": data}
        self.server.happen("callback_query", told)
        return query

    def reacts(self, number: int, emoji: str) -> None:
        """An empty emoji takes the reaction back."""
        told = {
            "chat": self.chat,
            "message_id": number,
            "user": self.user,
            "date": int(time.time()),
            "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": emoji}] if emoji else [],
        }
        self.server.happen("message_reaction", told)

    # Blocking

    def blocks(self) -> None:
        self.room.blocked = True
        self._tell_membership("member", "kicked")

    def unblocks(self) -> None:
        self.room.blocked = False
        self._tell_membership("kicked", "member")

    def _tell_membership(self, before: str, after: str) -> None:
        def member(status: str) -> dict[str, JsonValue]:
            until: dict[str, JsonValue] = {"until_date": 0} if status == "kicked" else {}
            return {"user": dict(self.server.bot), "status": status, **until}

        told = {
            "chat": self.chat,
            "from": self.user,
            "date": int(time.time()),
            "old_chat_member": member(before),
            "new_chat_member": member(after),
        }
        self.server.happen("my_chat_member", told)
