"""A customer of the simulated WhatsApp: does what people do with their phone, and sees what they would see."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import JsonValue

if TYPE_CHECKING:
    from connectors.whatsapp.simulator import WhatsAppSimulator

Json = Mapping[str, Any]
Shows = Literal["both", "phone", "left out", "empty", "in its place"]
"""How the phone number is told: with the user id, alone, or withheld in one of the three ways that Meta has."""

DAY_S: Final = 24 * 3600


@dataclass
class Seen:
    """One message on the customer's screen. `history` are its earlier texts, `reaction` is the shop's."""

    id: str
    by: Literal["customer", "shop", "app", "assistant"]
    kind: str
    text: str = ""
    buttons: list[tuple[str, str]] = field(default_factory=list)
    file: bytes = b""
    name: str = ""
    reply_to: str | None = None
    reaction: str = ""
    history: list[str] = field(default_factory=list)
    deleted: bool = False
    read: bool = False
    note: str | None = None
    """What the shop sent along for itself, and gets back."""


@dataclass
class Phone:
    """`online`: what is sent is delivered at once. `open`: the chat is on the screen, and is read at once."""

    server: "WhatsAppSimulator"
    number: str
    user_id: str
    name: str
    shows: Shows = "both"
    online: bool = True
    open: bool = False
    blocking: bool = False
    hides_reads: bool = False
    has_whatsapp: bool = True
    wrote_at: float | None = None
    seen: dict[str, Seen] = field(default_factory=dict)
    signals: list[str] = field(default_factory=list)
    """What the shop showed: `read` and `typing`."""

    @property
    def sees(self) -> list[Seen]:
        """All that the shop has sent by the API, in order."""
        return [seen for seen in self.seen.values() if seen.by == "shop"]

    @property
    def in_window(self) -> bool:
        return self.wrote_at is not None and self.server.now() - self.wrote_at < DAY_S

    # How Meta names this person

    def named_as(self, phone: str, user: str) -> dict[str, JsonValue]:
        """The members by which an item names them, under the names for the phone number and for the user id."""
        match self.shows:
            case "both":
                return {phone: self.number, user: self.user_id}
            case "phone":
                return {phone: self.number}
            case "left out":
                return {user: self.user_id}
            case "empty":
                return {phone: "", user: self.user_id}
            case "in its place":
                return {phone: self.user_id}

    @property
    def contact(self) -> dict[str, JsonValue]:
        profile: dict[str, JsonValue] = {"name": self.name, "username": f"@{self.name.lower()}"}
        return {"profile": profile, **self.named_as("wa_id", "user_id")}

    @property
    def peer(self) -> str:
        """The id under which an answer has to come."""
        return self.number if self.shows == "phone" else self.user_id

    # Writing

    def writes(self, text: str, *, reply_to: str | None = None, **more: JsonValue) -> str:
        """The message's id."""
        return self.sends("text", {"text": {"body": text}, **more}, text=text, reply_to=reply_to)

    def sends(self, kind: str, content: Json, *, text: str = "", reply_to: str | None = None) -> str:
        """Any message; `content` are its members beside those that all have."""
        id = self.server.next_id()
        self.seen[id] = Seen(id, "customer", kind, text, reply_to=reply_to)
        if not self.blocking:
            self.wrote_at = self.server.now()
            self.server.happen("messages", self.around(id, kind, content, reply_to), contact=self.contact)
        return id

    def around(self, id: str, kind: str, content: Json, reply_to: str | None = None) -> dict[str, JsonValue]:
        quote: dict[str, JsonValue] = {"context": {"from": self.server.number, "id": reply_to}} if reply_to else {}
        stamp = str(int(self.server.now()))
        return {**self.named_as("from", "from_user_id"), "id": id, "timestamp": stamp, "type": kind, **quote, **content}

    def sends_file(
        self, kind: str, data: bytes, *, mime: str = "image/jpeg", caption: str | None = None, **more: JsonValue
    ) -> str:
        """`kind` as WhatsApp calls it: image, audio (`voice=True` for a voice message), video, document, sticker."""
        file: dict[str, JsonValue] = {**self.server.keep(data, mime), **more}
        if caption is not None:
            file["caption"] = caption
        return self.sends(kind, {kind: file}, text=caption or "")

    def sends_location(self, latitude: float, longitude: float, **more: JsonValue) -> str:
        return self.sends("location", {"location": {"latitude": latitude, "longitude": longitude, **more}})

    def shares_contact(self, name: str, phone: str) -> str:
        card: dict[str, JsonValue] = {
            "name": {"formatted_name": name, "first_name": name},
            "phones": [{"phone": phone, "type": "CELL"}],
        }
        return self.sends("contacts", {"contacts": [card]})

    def orders(self, *items: tuple[str, int, float], text: str = "") -> str:
        products: list[JsonValue] = [
            {"product_retailer_id": product, "quantity": quantity, "item_price": price, "currency": "EUR"}
            for product, quantity, price in items
        ]
        return self.sends("order", {"order": {"catalog_id": "c1", "text": text, "product_items": products}})

    def fills_form(self, **answers: str) -> str:
        told = {"name": "flow", "body": "Sent", "response_json": json.dumps({"flow_token": "t", **answers})}
        return self.sends("interactive", {"interactive": {"type": "nfm_reply", "nfm_reply": told}})

    def presses(self, label: str) -> str:
        """The newest button or row of a list with this label."""
        for seen in reversed(self.sees):
            for shown, id in seen.buttons:
                if shown == label:
                    return self._press(seen, shown, id)
        raise AssertionError(f"the customer sees no button {label}")

    def _press(self, seen: Seen, label: str, id: str) -> str:
        if seen.kind == "template":
            return self.sends("button", {"button": {"payload": id, "text": label}}, reply_to=seen.id)
        answer = "list_reply" if seen.kind == "list" else "button_reply"
        told = {"type": answer, answer: {"id": id, "title": label}}
        return self.sends("interactive", {"interactive": told}, reply_to=seen.id)

    def reacts(self, id: str, emoji: str) -> str:
        """An empty emoji takes the reaction back: Meta then leaves it out."""
        chosen = {"emoji": emoji} if emoji else {}
        return self.sends("reaction", {"reaction": {"message_id": id, **chosen}})

    def calls(self, seconds: int = 0) -> str:
        """A call that was answered for so long, or not at all."""
        id = f"wacid.{self.server.next_id().removeprefix('wamid.')}"
        stamp = str(int(self.server.now()))
        common: dict[str, JsonValue] = {
            "id": id,
            "timestamp": stamp,
            "direction": "USER_INITIATED",
            **self.named_as("from", "from_user_id"),
        }
        self.server.happen("calls", {**common, "event": "connect"}, contact=self.contact, field="calls")
        over: dict[str, JsonValue] = {"status": "COMPLETED", "duration": seconds} if seconds else {"status": "FAILED"}
        self.server.happen("calls", {**common, "event": "terminate", **over}, contact=self.contact, field="calls")
        return id

    def opens_chat(self) -> None:
        welcome = self.around(self.server.next_id(), "request_welcome", {})
        self.server.happen("messages", welcome, contact=self.contact)

    # Changing

    def edits(self, id: str, text: str) -> None:
        seen = self.seen[id]
        seen.history.append(seen.text)
        seen.text = text
        told = {"original_message_id": id, "message": {"context": {"id": "M0"}, "type": "text", "text": {"body": text}}}
        item = self.around(self.server.next_id(), "edit", {"edit": told})
        self.server.happen("messages", item, contact=self.contact)

    def revokes(self, id: str) -> None:
        """Deletes for everyone."""
        self.seen[id].deleted = True
        item = self.around(self.server.next_id(), "revoke", {"revoke": {"original_message_id": id}})
        self.server.happen("messages", item, contact=self.contact)

    def changes_number(self, number: str, user_id: str) -> None:
        """A new number, and with it a new user id."""
        told: dict[str, JsonValue] = {
            "type": "user_changed_number",
            "body": f"{self.name} changed from {self.number} to {number}",
            "wa_id": number,
            "user_id": user_id,
            "previous_user_id": self.user_id,
        }
        item: dict[str, JsonValue] = {
            "from": self.number,
            "id": self.server.next_id(),
            "timestamp": str(int(self.server.now())),
            "type": "system",
            "system": told,
        }
        self.server.forget(self)
        self.number, self.user_id = number, user_id
        self.server.know(self)
        self.server.happen("messages", item)

    # What becomes of the shop's messages

    def gets(self, seen: Seen) -> None:
        """Something of the shop's arrives, or does not."""
        self.seen[seen.id] = seen
        self.server.report(self, seen, "sent")
        if not self.online or self.blocking:
            return
        if self.open and not self.hides_reads:  # then `delivered` is left out
            self.looks()
            return
        self.server.report(self, seen, "delivered")

    def looks(self) -> None:
        """Opens the chat: everything in it is read."""
        for seen in self.sees:
            if not seen.read and not self.blocking:
                seen.read = True
                if not self.hides_reads:
                    self.server.report(self, seen, "read")

    def plays(self, id: str) -> None:
        self.server.report(self, self.seen[id], "played")

    def goes_away_for(self, hours: float) -> None:
        """So much time passes since they last wrote."""
        self.wrote_at = time.time() - hours * 3600


def texts(seen: Sequence[Seen]) -> list[str]:
    return [one.text for one in seen]
