"""A stand-in for the Graph API and for the phones behind it: refuses what the real one refuses, tells what became of
each message, and keeps what each customer sees.

For tests and for the demo. `customer()` gives a person who can write, press, read and block; what they do becomes
webhooks, which `tell` delivers doubled, out of order and cut into any batches.
"""

import base64
import hashlib
import itertools
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import httpx
from pydantic import JsonValue
from starlette.datastructures import UploadFile

from connectors.whatsapp.simulated_customer import Json, Phone, Seen, Shows
from shared.connector import Hook
from shared.signing import hmac_sha256
from shared.simulator import (
    AS_IT_HAPPENED,
    Answer,
    Fact,
    Fault,
    FaultPlan,
    HookDelivery,
    HookPlan,
    Request,
    Simulator,
    Taken,
)

PATH: Final = re.compile(r"/v[0-9.]+/(?P<node>[^/]+)(?:/(?P<edge>[a-z_]+))?")
FILE_PATH: Final = re.compile(r"/lookaside/(?P<handle>[^/]+)")
BODY_MAX, CAPTION_MAX, INTERACTIVE_MAX, TITLE_MAX, ROW_MAX = 4096, 1024, 1024, 20, 24
NOTE_MAX: Final = 512
OFFICE: Final = "application/vnd.openxmlformats-officedocument."
# What an upload may be, as the refusal of any other type lists it.
UPLOADS: Final = frozenset(
    {
        "audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg", "audio/opus", "application/pdf",
        "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "text/plain",
        f"{OFFICE}wordprocessingml.document", f"{OFFICE}spreadsheetml.sheet",
        f"{OFFICE}presentationml.presentation", "image/jpeg", "image/png", "image/webp", "video/mp4", "video/3gpp",
    }
)  # fmt: skip
FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "image": ("image/jpeg", "image/png"),
    "video": ("video/mp4", "video/3gpp"),
    "audio": ("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"),
    "sticker": ("image/webp",),
    "document": (),
}
REFUSALS: Final[Mapping[Fault, tuple[int, int, str]]] = {
    Fault.BAD_REQUEST: (400, 131009, "Parameter value is not valid"),
    Fault.UNAUTHORIZED: (401, 190, "Error validating access token: the session has expired"),
    Fault.FORBIDDEN: (403, 10, "Application does not have permission for this action"),
    Fault.NOT_FOUND: (404, 131030, "Recipient phone number not in allowed list"),
    Fault.SERVER_ERROR: (500, 131000, "Something went wrong"),
    Fault.TAKEN_THEN_ERROR: (500, 2, "Service temporarily unavailable"),
}
TOO_FAST: Final = ((429, 130429, "Rate limit hit"), (400, 131056, "Pair rate limit hit"))
PAGE: Final = 2  # templates on a page, so that there are several


class Refused(Exception):
    """What Graph says no with."""

    def __init__(self, code: int, details: str, status: int = 400, subcode: int | None = None) -> None:
        super().__init__(details)
        self.answer = refused(status, code, details, subcode)


class WhatsAppSimulator(Simulator):
    """One number of one account. `before_answer` hears of what became of a message before the sender is answered."""

    def __init__(
        self,
        *,
        phone_number_id: str,
        waba_id: str,
        access_token: str,
        app_secret: str,
        plan: FaultPlan | None = None,
        retry_after_s: int = 2,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(plan=plan, retry_after_s=retry_after_s)
        self.phone_number_id, self.waba_id = phone_number_id, waba_id
        self.number = "385990000000"
        self.now = now
        self._access_token, self._app_secret = access_token, app_secret
        self.phones: dict[str, Phone] = {}
        self.files: dict[str, tuple[bytes, str]] = {}
        self.waiting: list[Fact] = []  # what has not been told yet
        self.templates: list[Fact] = []
        self.number_facts: dict[str, JsonValue] = {"status": "CONNECTED", "platform_type": "CLOUD_API"}
        self.subscribed = False
        self.before_answer: Callable[[Sequence[Fact]], Awaitable[None]] | None = None
        self._ids = itertools.count(1)
        self._file_ids = itertools.count(1)

    def customer(
        self, number: str = "385911234567", *, user_id: str | None = None, name: str = "Ana", shows: Shows = "both"
    ) -> Phone:
        phone = Phone(self, number, user_id or f"HR.{int(number) * 7}", name, shows)
        self.know(phone)
        return phone

    def know(self, phone: Phone) -> None:
        self.phones[phone.number] = self.phones[phone.user_id] = phone

    def forget(self, phone: Phone) -> None:
        self.phones.pop(phone.number, None)
        self.phones.pop(phone.user_id, None)

    def next_id(self) -> str:
        number = next(self._ids)
        return f"wamid.{base64.b64encode(f'{self.phone_number_id}-{number}'.encode()).decode()}"

    def keep(self, data: bytes, mime: str) -> dict[str, JsonValue]:
        """A file, as a message tells of it."""
        handle = f"{next(self._file_ids)}{self.phone_number_id}"
        self.files[handle] = data, mime
        return {"id": handle, "mime_type": mime, "sha256": base64.b64encode(hashlib.sha256(data).digest()).decode()}

    # What happens, and how it is told

    def happen(self, kind: str, item: Json, *, contact: Json | None = None, field: str = "messages") -> Fact:
        """An item of a webhook; `kind` is the list that it stands in."""
        fact: Fact = {"field": field, "kind": kind, "item": dict(item), "contact": dict(contact) if contact else None}
        self.waiting.append(fact)
        return fact

    def happen_to_account(self, field: str, value: Json) -> Fact:
        fact: Fact = {"field": field, "value": dict(value)}
        self.waiting.append(fact)
        return fact

    def report(self, phone: Phone, seen: Seen, status: str, error: tuple[int, str] | None = None) -> Fact:
        item: dict[str, JsonValue] = {
            "id": seen.id,
            "status": status,
            "timestamp": str(int(self.now())),
            **phone.named_as("recipient_id", "recipient_user_id"),
        }
        if seen.note is not None:
            item["biz_opaque_callback_data"] = seen.note
        if error is not None:
            item["errors"] = [{"code": error[0], "title": error[1], "error_data": {"details": error[1]}}]
        return self.happen("statuses", item)

    def written_elsewhere(self, phone: Phone, text: str, *, by_assistant: bool = False) -> str:
        """Somebody answers in the phone app, or Meta's assistant does."""
        id = self.next_id()
        phone.seen[id] = Seen(id, "assistant" if by_assistant else "app", "text", text)
        item = {
            "from": self.number,
            **phone.named_as("to", "to_user_id"),
            "id": id,
            "timestamp": str(int(self.now())),
            "type": "text",
            "text": {"body": text},
        }
        field = "standby" if by_assistant else "smb_message_echoes"
        self.happen("message_echoes", item, contact=phone.contact, field=field)
        return id

    async def tell(
        self, http: httpx.AsyncClient, url: str, plan: HookPlan = AS_IT_HAPPENED, *, tries: int = 5
    ) -> list[HookDelivery]:
        """Call the webhook with all that waits; what is not taken is told again the next time."""
        facts, self.waiting = self.waiting, []
        deliveries = await self.deliver(http, url, facts, plan=plan, tries=tries)
        refused = [fact for one in deliveries if one.statuses[-1] != 200 for fact in one.facts]
        self.waiting = [*refused, *self.waiting]
        return deliveries

    def hook(self, facts: Sequence[Fact]) -> Hook:
        """One request: up to four entries, and in each a change for every field."""
        size = max(len(facts) // 3, 1)
        cuts = [facts[start : start + size] for start in range(0, len(facts), size)]
        entries: list[JsonValue] = [{"id": self.waba_id, "changes": self.changes(cut)} for cut in cuts]
        return self.sign(json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode())

    def changes(self, facts: Iterable[Fact]) -> list[JsonValue]:
        changes: list[JsonValue] = []
        values: dict[object, dict[str, Any]] = {}
        for fact in facts:
            field = fact["field"]
            if "value" in fact:
                changes.append({"field": field, "value": fact["value"]})
                continue
            if field not in values:
                values[field] = self.value()
                changes.append({"field": field, "value": values[field]})
            values[field].setdefault(str(fact["kind"]), []).append(fact["item"])
            contacts = values[field].setdefault("contacts", [])
            if fact["contact"] and fact["contact"] not in contacts:
                contacts.append(fact["contact"])
        return changes

    def value(self) -> dict[str, Any]:
        metadata = {"display_phone_number": self.number, "phone_number_id": self.phone_number_id}
        return {"messaging_product": "whatsapp", "metadata": metadata}

    def sign(self, body: bytes) -> Hook:
        signature = hmac_sha256(self._app_secret.encode(), body).hex()
        headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={signature}"}
        return Hook("POST", headers, {}, body)

    # What Graph answers

    def spares(self, request: Request) -> bool:
        return request.url.path.endswith("/subscribed_apps")

    def refuse(self, fault: Fault, request: Request) -> Answer:
        if fault is Fault.THROTTLED:
            answer = refused(*TOO_FAST[self._number % len(TOO_FAST)])
            return replace(answer, headers={**answer.headers, "retry-after": str(self.retry_after_s)})
        if fault not in REFUSALS:
            return super().refuse(fault, request)
        return refused(*REFUSALS[fault])

    async def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self._access_token}":
            return refused(401, 190, "Error validating access token")
        if file := FILE_PATH.fullmatch(request.url.path):
            data, mime = self.files.get(file["handle"], (None, ""))
            return Answer(200, data, {"content-type": mime}) if data is not None else Answer(404)
        asked = PATH.fullmatch(request.url.path)
        if asked is None:
            return refused(400, 2500, "Unknown path components")
        try:
            return await self.carry_out(request, asked["node"], asked["edge"])
        except Refused as refusal:
            return refusal.answer

    async def carry_out(self, request: Request, node: str, edge: str | None) -> Answer:
        match request.method, node, edge:
            case "POST", self.phone_number_id, "messages":
                return await self.take_message(json.loads(await request.body()))
            case "POST", self.phone_number_id, "media":
                return await self.take_file(request)
            case "GET", self.phone_number_id, None:
                return Answer.json({"id": node, "display_phone_number": self.number, **self.number_facts})
            case "GET", self.waba_id, "phone_numbers":
                return Answer.json({"data": [{"id": self.phone_number_id}]})
            case "GET", self.waba_id, "subscribed_apps":
                app: JsonValue = {"whatsapp_business_api_data": {"id": "1", "name": "Ours"}}
                return Answer.json({"data": [app] if self.subscribed else []})
            case "POST", self.waba_id, "subscribed_apps":
                self.subscribed = True
                return Answer.json({"success": True})
            case "GET", self.waba_id, "message_templates":
                return self.page_of_templates(int(request.query_params.get("after", "0")))
            case "GET", _, None if node in self.files:
                return self.show_file(request, node)
        raise Refused(100, f"Object with ID '{node}' does not exist", 400, subcode=33)

    def page_of_templates(self, start: int) -> Answer:
        page: list[JsonValue] = [dict(template) for template in self.templates[start : start + PAGE]]
        end = start + len(page)
        paging: dict[str, JsonValue] = {"cursors": {"before": str(start), "after": str(end)}}
        if end < len(self.templates):
            paging["next"] = "https://graph.example/next"
        return Answer.json({"data": page, "paging": paging})

    # Files

    async def take_file(self, request: Request) -> Answer:
        async with request.form() as form:
            upload = form.get("file")
            if form.get("messaging_product") != "whatsapp" or not isinstance(upload, UploadFile):
                raise Refused(100, "(#100) The parameter file is required.")
            data, mime = await upload.read(), str(form.get("type"))
        if not data:
            raise Refused(100, "(#100) The file is empty.")
        need(mime in UPLOADS, f"Param file must be a file with one of the following types: {', '.join(UPLOADS)}.")
        return Answer.json({"id": self.keep(data, mime)["id"]})

    def show_file(self, request: Request, handle: str) -> Answer:
        data, mime = self.files[handle]
        url = f"{request.url.scheme}://{request.url.netloc}/lookaside/{handle}"
        known: dict[str, JsonValue] = {"id": handle, "url": url, "mime_type": mime, "file_size": len(data)}
        return Answer.json({**known, "sha256": hashlib.sha256(data).hexdigest()})

    # Messages

    async def take_message(self, body: Json) -> Answer:
        need(body.get("messaging_product") == "whatsapp", "messaging_product is required")
        if body.get("status") == "read":
            return self.take_read(body)
        phone = self.recipient(body)
        seen = self.see(body)
        seen.note = body.get("biz_opaque_callback_data")
        need(len(seen.note or "") <= NOTE_MAX, "biz_opaque_callback_data is too long")
        before = len(self.waiting)
        taken = self.hand_over(phone, seen, body)
        if self.before_answer is not None:
            await self.before_answer(self.waiting[before:])
        contact: dict[str, JsonValue] = {"input": str(body.get("to") or body.get("recipient"))}
        if phone is not None:
            contact |= phone.named_as("wa_id", "user_id")
        answer: JsonValue = {
            "messaging_product": "whatsapp",
            "contacts": [contact],
            "messages": [{"id": seen.id}],
        }
        return Answer.json(answer, taken=[taken])

    def recipient(self, body: Json) -> Phone | None:
        """None for somebody who has no WhatsApp: that is found out later."""
        need("to" not in body or "recipient" not in body, "to and recipient exclude each other")
        to, user_id = body.get("to"), body.get("recipient")
        need(bool(to or user_id), "to is required")
        need(to is None or str(to).isdigit(), "to is not a phone number")
        return self.phones.get(str(to or user_id))

    def hand_over(self, phone: Phone | None, seen: Seen, body: Json) -> Taken:
        """To the customer's screen, or to where it ends; what was taken."""
        to = str(body.get("to") or body.get("recipient"))
        if seen.kind == "reaction" and phone is not None and seen.reply_to in phone.seen:
            phone.seen[seen.reply_to].reaction = seen.text
            self.report(phone, seen, "sent")
        elif phone is None or not phone.has_whatsapp:
            nobody = phone or Phone(self, to, to, "")
            self.report(nobody, seen, "failed", (131026, "Message undeliverable"))
        elif not phone.in_window and seen.kind != "template":
            self.report(phone, seen, "failed", (131047, "More than 24 hours have passed since the last reply"))
        else:
            phone.gets(seen)
        shown = [seen.kind, seen.text, [list(pair) for pair in seen.buttons], hashlib.sha256(seen.file).hexdigest()]
        return Taken(json.dumps([phone.number if phone else to, *shown]), seen.id)

    def take_read(self, body: Json) -> Answer:
        phone = next((phone for phone in self.phones.values() if body.get("message_id") in phone.seen), None)
        need(phone is not None, "message_id is not a message of theirs")
        assert phone is not None
        read = phone.seen[body["message_id"]]
        need(read.by == "customer", "message_id is not a message of theirs")
        for seen in phone.seen.values():
            seen.read = seen.read or seen.by == "customer"
            if seen is read:
                break
        phone.signals.append("typing" if body.get("typing_indicator") == {"type": "text"} else "read")
        return Answer.json({"success": True})

    def see(self, body: Json) -> Seen:
        """What is posted, as it would be shown. Raises `Refused` for what Graph does not take."""
        kind = body.get("type")
        content = body.get(str(kind))
        need(isinstance(content, dict | list), f"{kind} is required")
        seen = SEE[str(kind)](self, content) if kind in SEE else None
        if seen is None:
            raise Refused(131051, f"Unsupported type {kind}")
        seen.id = self.next_id()
        quoted = (body.get("context") or {}).get("message_id")
        seen.reply_to = seen.reply_to or quoted
        return seen

    def see_text(self, content: Json) -> Seen:
        need(bool(content["body"].strip()), "text['body'] must not be empty")
        need(len(content["body"]) <= BODY_MAX, f"text['body'] must be at most {BODY_MAX} characters")
        return Seen("", "shop", "text", content["body"])

    def see_reaction(self, content: Json) -> Seen:
        return Seen("", "shop", "reaction", content["emoji"], reply_to=content["message_id"])

    def see_location(self, content: Json) -> Seen:
        need({"latitude", "longitude"} <= content.keys(), "latitude and longitude are required")
        return Seen("", "shop", "location", f"{content['latitude']}|{content['longitude']}|{content.get('name', '')}")

    def see_contacts(self, content: Sequence[Json]) -> Seen:
        for contact in content:
            need(len(contact["name"]) > 1, "formatted_name needs one more part of the name")
        return Seen("", "shop", "contacts", "|".join(contact["name"]["formatted_name"] for contact in content))

    def see_interactive(self, content: Json) -> Seen:
        action, kind = content["action"], content["type"]
        need(len(content["body"]["text"]) <= INTERACTIVE_MAX, "body text is too long")
        if kind == "button":
            buttons = [(button["reply"]["title"], button["reply"]["id"]) for button in action["buttons"]]
            need(1 <= len(buttons) <= 3, "between 1 and 3 buttons")
            need(all(1 <= len(title) <= TITLE_MAX for title, _ in buttons), "Button title is too long")
        else:
            rows = [row for section in action["sections"] for row in section["rows"]]
            buttons = [(row["title"], row["id"]) for row in rows]
            need(1 <= len(buttons) <= 10, "at most 10 rows")
            need(1 <= len(action["button"]) <= TITLE_MAX, "the list's button is too long")
            need(all(1 <= len(title) <= ROW_MAX for title, _ in buttons), "Row title is too long")
            need(all(len(row.get("description", "")) <= 72 for row in rows), "Row description is too long")
        need(len({id for _, id in buttons}) == len(buttons), "ids must differ")
        return Seen("", "shop", kind, content["body"]["text"], buttons)

    def see_template(self, content: Json) -> Seen:
        known = [
            template
            for template in self.templates
            if (template["name"], template["language"]) == (content["name"], content["language"]["code"])
        ]
        if not known:
            raise Refused(132001, "Template name does not exist in the translation", 404)
        found: Any = known[0]
        (body,) = [part["text"] for part in found["components"] if part["type"] == "BODY"]
        components = content.get("components", [])
        values = [one for part in components if part["type"] == "body" for one in part["parameters"]]
        places = re.findall(r"\{\{(\w+)\}\}", str(body))
        if len(values) != len(places):
            raise Refused(132000, "Number of parameters does not match the expected number of params")
        text = str(body)
        for place, value in zip(places, values, strict=True):
            text = text.replace(f"{{{{{place}}}}}", value["text"])
        buttons = [
            (f"button {part['index']}", part["parameters"][0]["payload"])
            for part in components
            if part["type"] == "button" and part["sub_type"] == "quick_reply"
        ]
        return Seen("", "shop", "template", text, buttons)

    def see_file(self, kind: str, content: Json) -> Seen:
        caption = content.get("caption", "")
        need(len(caption) <= CAPTION_MAX, "caption is too long")
        need(kind not in ("audio", "sticker") or not caption, f"{kind} takes no caption")
        if "link" in content:
            return Seen("", "shop", kind, caption, name=content["link"])
        need(content.get("id") in self.files, "media id does not exist")
        data, mime = self.files[content["id"]]
        need(not FILES[kind] or mime in FILES[kind], f"Unsupported {kind} mime type {mime}")
        shown = "voice" if content.get("voice") else kind
        return Seen("", "shop", shown, caption, file=data, name=content.get("filename", ""))


def see_kind(kind: str) -> Callable[[WhatsAppSimulator, Any], Seen]:
    return lambda server, content: server.see_file(kind, content)


SEE: Final[Mapping[str, Callable[[WhatsAppSimulator, Any], Seen]]] = {
    "text": WhatsAppSimulator.see_text,
    "reaction": WhatsAppSimulator.see_reaction,
    "location": WhatsAppSimulator.see_location,
    "contacts": WhatsAppSimulator.see_contacts,
    "interactive": WhatsAppSimulator.see_interactive,
    "template": WhatsAppSimulator.see_template,
    **{kind: see_kind(kind) for kind in FILES},
}


def need(holds: bool, details: str) -> None:
    if not holds:
        raise Refused(100, f"(#100) {details}")


def refused(status: int, code: int, details: str, subcode: int | None = None) -> Answer:
    error: dict[str, JsonValue] = {
        "message": f"(#{code}) {details}",
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": details},
        "fbtrace_id": "A1b2C3",
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    return Answer.json({"error": error}, status=status)
