"""A stand-in for the Bot API server: refuses what the real one refuses, and keeps what each customer sees.

For tests and for the demo. It reads forms as aiogram sends them. `customer()` gives a person who can write, press and
block; what they do becomes updates, which the bot fetches or is told through its webhook.
"""

import asyncio
import hashlib
import itertools
import json
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from pydantic import JsonValue
from starlette.datastructures import UploadFile

from connectors.telegram.config import PROOF_HEADER
from connectors.telegram.message_ids import external_id
from connectors.telegram.simulated_customer import Customer, Json, Seen
from shared.connector import Hook
from shared.simulator import Answer, Fact, Fault, FaultPlan, Request, Simulator, Taken, post_hook

PATH: Final = re.compile(r"/bot(?P<token>[^/]+)/(?P<method>\w+)")
FILE_PATH: Final = re.compile(r"/file/bot(?P<token>[^/]+)/(?P<path>.+)")
FETCH_MAX_BYTES: Final = 20_000_000
TEXT_UNITS, CAPTION_UNITS, DATA_BYTES = 4096, 1024, 64
FILES: Final = ("photo", "video", "animation", "audio", "voice", "sticker", "document", "video_note")
PLAIN: Final = {
    "sendlocation": ("location", ("latitude", "longitude")),
    "sendvenue": ("venue", ("latitude", "longitude", "title", "address")),
    "sendcontact": ("contact", ("phone_number", "first_name")),
}
TOGETHER: Final = ({"photo", "video", "live_photo"}, {"audio"}, {"document"})
REFUSALS: Final[Mapping[Fault, tuple[int, str]]] = {
    Fault.BAD_REQUEST: (400, "Bad Request: chat not found"),
    Fault.UNAUTHORIZED: (401, "Unauthorized"),
    Fault.FORBIDDEN: (403, "Forbidden: bot was blocked by the user"),
    Fault.NOT_FOUND: (404, "Not Found"),
    Fault.SERVER_ERROR: (500, "Internal Server Error"),
    Fault.TAKEN_THEN_ERROR: (500, "Internal Server Error"),
}
# The server's queues: what is of one queue is told in order, whatever happens to the others.
QUEUES: Final[Mapping[str, Callable[[Any], object]]] = {
    "callback_query": lambda said: ("press", said["from"]["id"]),
    "message_reaction": lambda said: ("reaction", said["chat"]["id"]),
    "my_chat_member": lambda said: ("member", said["chat"]["id"]),
}
BACKOFF_S: Final = (1, 2, 4, 8, 16, 32, 60)

Form = Mapping[str, str | UploadFile]


class Refused(Exception):
    """What the server says no with."""

    def __init__(self, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.answer = refused(status, description)


@dataclass
class ChatRoom:
    """One chat of the bot's, or of a business account that the bot answers for."""

    info: Json
    connection: str | None = None
    blocked: bool = False
    seen: dict[int, Seen] = field(default_factory=dict)
    actions: list[str] = field(default_factory=list)


class TelegramSimulator(Simulator):
    """`second_s`: how long a second of Telegram's takes here. `spare_polling`: getUpdates meets no faults.

    `webhook_secret` is what it proves itself with before it was told one by setWebhook.
    """

    def __init__(
        self,
        *,
        token: str,
        webhook_secret: str = "",
        plan: FaultPlan | None = None,
        retry_after_s: int = 2,
        second_s: float = 0.01,
        spare_polling: bool = True,
    ) -> None:
        super().__init__(plan=plan, retry_after_s=retry_after_s)
        self._token = token
        self._webhook_secret = webhook_secret
        self._second_s = second_s
        self._spare_polling = spare_polling
        self.bot: Fact = {
            "id": int(token.partition(":")[0]),
            "is_bot": True,
            "first_name": "Shop",
            "username": "shop_bot",
        }
        self.rooms: dict[tuple[str | None, int], ChatRoom] = {}
        self.files: dict[str, bytes] = {}
        self.waiting: list[Fact] = []  # updates that nobody has confirmed
        self.lost: list[Fact] = []  # updates that were given up
        self.answered: list[str] = []  # presses of which the wheel has stopped
        self.webhook: dict[str, str] | None = None
        self.allowed: frozenset[str] | None = None
        self._numbers: dict[str | None, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self._update_numbers = itertools.count(1)
        self._file_numbers = itertools.count(1)
        self._question = 0
        self._news = asyncio.Event()

    def customer(
        self, id: int, *, name: str = "Ann", locale: str = "en", connection: str | None = None, started: bool = True
    ) -> Customer:
        """A person; `connection`: they write to a business account and not to the bot. `started`: they know the bot."""
        user = {"id": id, "is_bot": False, "first_name": name, "username": f"user{id}", "language_code": locale}
        chat = {"id": id, "type": "private", "first_name": name, "username": f"user{id}"}
        if started:
            self.room(connection, id, chat)
        return Customer(self, user, chat, connection)

    def room(self, connection: str | None, id: int, info: Json) -> ChatRoom:
        return self.rooms.setdefault((connection, id), ChatRoom(info, connection))

    def keep(self, data: bytes) -> str:
        """A handle for a file."""
        handle = f"file-{next(self._file_numbers)}"
        self.files[handle] = data
        return handle

    def next_number(self, connection: str | None) -> int:
        """Of a message: bots and business accounts count each for themselves."""
        return next(self._numbers[connection])

    def happen(self, kind: str, said: Json) -> Fact:
        """An update, for whoever asks or is called."""
        update: Fact = {"update_id": next(self._update_numbers), kind: dict(said)}
        if self.allowed is None or kind in self.allowed:
            self.waiting.append(update)
            self._news.set()
        return update

    # What the server answers

    def spares(self, request: Request) -> bool:
        return self._spare_polling and request.url.path.lower().endswith("/getupdates")

    def refuse(self, fault: Fault, request: Request) -> Answer:
        if fault is Fault.THROTTLED:
            parameters: Fact = {"retry_after": self.retry_after_s}
            return refused(429, f"Too Many Requests: retry after {self.retry_after_s}", parameters)
        if fault not in REFUSALS:
            return super().refuse(fault, request)
        return refused(*REFUSALS[fault])

    async def answer(self, request: Request) -> Answer:
        if file := FILE_PATH.fullmatch(request.url.path):
            data = self.files.get(file["path"].removesuffix(".bin"))
            known = file["token"] == self._token and data is not None
            return Answer(200, data or b"", {"content-type": "application/octet-stream"}) if known else refused(404, "")
        asked = PATH.fullmatch(request.url.path)
        if asked is None or asked["token"] != self._token:
            return refused(401, "Unauthorized")
        async with request.form() as form:
            try:
                return await self.carry_out(asked["method"].lower(), dict(form), request)
            except Refused as refusal:
                return refusal.answer

    async def carry_out(self, method: str, form: Form, request: Request) -> Answer:
        if method == "getupdates":
            return await self.get_updates(form, request)
        if method == "sendmediagroup":
            return await self.send_group(form)
        if method in PLAIN or method.removeprefix("send") in (*FILES, "message"):
            return await self.send_one(method, form)
        action = self.actions().get(method)
        if action is None:
            raise Refused("Not Found: method not found", 404)
        return said_yes(await action(form))

    def actions(self) -> Mapping[str, Callable[[Form], Awaitable[JsonValue]]]:
        return {
            "getme": self.get_me,
            "setwebhook": self.set_webhook,
            "deletewebhook": self.delete_webhook,
            "getwebhookinfo": self.get_webhook_info,
            "getfile": self.get_file,
            "editmessagetext": self.edit,
            "editmessagecaption": self.edit,
            "editmessagemedia": self.edit,
            "deletemessage": self.delete,
            "deletebusinessmessages": self.delete_business,
            "readbusinessmessage": self.read_business,
            "sendchataction": self.show_action,
            "setmessagereaction": self.react,
            "answercallbackquery": self.answer_press,
        }

    # Updates

    async def get_updates(self, form: Form, request: Request) -> Answer:
        """Waits like the server: until there is something, or the time is over, or another question takes its place."""
        if self.webhook is not None:
            words = (
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete it first"
            )
            raise Refused(words, 409)
        self._question += 1
        mine, offset = self._question, number(form, "offset", 0)
        self._news.set()  # for the question that waits now
        self.allow(form)
        self.waiting = [update for update in self.waiting if update["update_id"] >= offset]  # type: ignore[operator]
        until = time.monotonic() + number(form, "timeout", 0)
        while not self.waiting and mine == self._question and time.monotonic() < until:
            self._news.clear()
            try:
                async with asyncio.timeout(0.2):
                    await self._news.wait()
            except TimeoutError:
                if await request.is_disconnected():
                    break
        if mine != self._question:
            raise Refused("Conflict: terminated by other getUpdates request", 409)
        batch: list[JsonValue] = [dict(update) for update in self.waiting[: number(form, "limit", 100)]]
        return said_yes(batch)

    def allow(self, form: Form) -> None:
        if "allowed_updates" in form:
            self.allowed = frozenset(json.loads(text(form, "allowed_updates"))) or None

    async def tell(self, http: httpx.AsyncClient, *, tries: int = 5) -> None:
        """Call the webhook with all that waits, as the server does: each queue in order, again until it is taken."""
        assert self.webhook is not None, "no webhook is set"
        queues: dict[object, list[Fact]] = defaultdict(list)
        for update in self.waiting:
            kind = next(name for name in update if name != "update_id")
            said: Any = update[kind]
            queue = QUEUES.get(kind, lambda said: ("chat", said.get("chat", {}).get("id")))
            queues[queue(said)].append(update)
        self.waiting = []
        await asyncio.gather(*(self.tell_queue(http, queue, tries) for queue in queues.values()))

    async def tell_queue(self, http: httpx.AsyncClient, queue: Sequence[Fact], tries: int) -> None:
        assert self.webhook is not None
        for update in queue:
            for attempt in range(tries):
                status = await post_hook(http, self.webhook["url"], self.hook([update]))
                if status is not None and status < 300:
                    break
                await asyncio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)] * self._second_s)
            else:
                self.lost.append(update)

    def hook(self, facts: Sequence[Fact]) -> Hook:
        """One update: the server never tells two in one request."""
        (update,) = facts
        return self.sign(json.dumps(dict(update)).encode())

    def sign(self, body: bytes) -> Hook:
        proof = self.webhook["secret_token"] if self.webhook else self._webhook_secret
        return Hook("POST", {"content-type": "application/json", PROOF_HEADER: proof}, {}, body)

    async def set_webhook(self, form: Form) -> JsonValue:
        url = text(form, "url")
        if not url.startswith("https://"):
            raise Refused("Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        self.allow(form)
        self.webhook = {"url": url, "secret_token": text(form, "secret_token", "")}
        return True

    async def delete_webhook(self, form: Form) -> JsonValue:
        self.webhook = None
        return True

    async def get_webhook_info(self, form: Form) -> JsonValue:
        url = self.webhook["url"] if self.webhook else ""
        return {"url": url, "has_custom_certificate": False, "pending_update_count": len(self.waiting)}

    async def get_me(self, form: Form) -> JsonValue:
        return dict(self.bot)

    # Messages

    async def send_one(self, method: str, form: Form) -> Answer:
        room = self.room_of(form)
        if method in PLAIN:
            kind, members = PLAIN[method]
            seen = Seen(0, "bot", kind, text="|".join(text(form, name) for name in members))
        else:
            kind = method.removeprefix("send")
            seen = await self.see_file(kind, form) if kind in FILES else see_text(form)
        check_captions(seen)
        seen.buttons = buttons_of(form)
        seen.reply_to = quoted(form, room)
        number, taken = self.put(room, seen)
        return said_yes(self.shown(room, number), [taken])

    async def send_group(self, form: Form) -> Answer:
        room = self.room_of(form)
        items = json.loads(text(form, "media"))
        kinds = {item["type"] for item in items}
        if not 2 <= len(items) <= 10:
            raise Refused("Bad Request: too few or too many items in the album")
        if not any(kinds <= together for together in TOGETHER):
            raise Refused("Bad Request: these kinds can't be mixed with other media types")
        album = f"album-{next(self._file_numbers)}"
        taken: list[Taken] = []
        shown: list[JsonValue] = []
        for item in items:
            seen = await self.see_item(item, form)
            seen.album = album
            seen.reply_to = quoted(form, room)
            check_captions(seen)
            number, took = self.put(room, seen)
            taken.append(took)
            shown.append(self.shown(room, number))
        return said_yes(shown, taken)

    def put(self, room: ChatRoom, seen: Seen) -> tuple[int, Taken]:
        """On the customer's screen; its number, and what was taken."""
        seen.number = self.next_number(room.connection)
        room.seen[seen.number] = seen
        chat = room.info["id"]
        content = [seen.kind, seen.text, [list(pair) for pair in seen.buttons], hashlib.sha256(seen.file).hexdigest()]
        key = json.dumps([chat, room.connection, *content])
        return seen.number, Taken(key, external_id(seen.number, room.connection or ""))

    def shown(self, room: ChatRoom, number: int) -> dict[str, JsonValue]:
        """The message as the server describes it."""
        seen = room.seen[number]
        message: dict[str, JsonValue] = {
            "message_id": number,
            "date": int(time.time()),
            "chat": dict(room.info),
            "from": dict(self.bot),
        }
        if seen.kind == "message":
            message["text"] = seen.text
        return message

    def room_of(self, form: Form) -> ChatRoom:
        connection = text(form, "business_connection_id", "") or None
        room = self.rooms.get((connection, number(form, "chat_id", 0)))
        if room is None:
            raise Refused("Bad Request: chat not found")
        if room.blocked:
            raise Refused("Forbidden: bot was blocked by the user", 403)
        return room

    async def see_file(self, kind: str, form: Form) -> Seen:
        data, name = await self.uploaded(text(form, kind), form)
        return Seen(0, "bot", kind, text(form, "caption", ""), marks(form, "caption_entities"), file=data, name=name)

    async def see_item(self, item: Mapping[str, Any], form: Form) -> Seen:
        data, name = await self.uploaded(item["media"], form)
        entities = tuple(item.get("caption_entities") or ())
        return Seen(0, "bot", item["type"], item.get("caption") or "", entities, file=data, name=name)

    async def uploaded(self, reference: str, form: Form) -> tuple[bytes, str]:
        """The bytes and the name of what a member refers to."""
        if not reference.startswith("attach://"):
            return reference.encode(), reference
        upload = form.get(reference.removeprefix("attach://"))
        if not isinstance(upload, UploadFile):
            raise Refused("Bad Request: wrong file identifier/HTTP URL specified")
        data = await upload.read()
        if not data:
            raise Refused("Bad Request: file must be non-empty")
        return data, upload.filename or ""

    # Changes

    def seen_of(self, form: Form, missing: str) -> Seen:
        room = self.room_of(form)
        seen = room.seen.get(number(form, "message_id", 0))
        if seen is None or seen.deleted:
            raise Refused(missing)
        return seen

    async def edit(self, form: Form) -> JsonValue:
        seen = self.seen_of(form, "Bad Request: message to edit not found")
        if "media" in form:
            after = await self.see_item(json.loads(text(form, "media")), form)
        else:
            after = Seen(0, "bot", seen.kind, text(form, "text", "") or text(form, "caption", ""), file=seen.file)
        buttons = buttons_of(form)
        if (seen.text, seen.file, seen.buttons) == (after.text, after.file, buttons):
            raise Refused("Bad Request: message is not modified: specified new message content is exactly the same")
        seen.history.append(seen.text)
        seen.text, seen.file, seen.buttons = after.text, after.file, buttons
        return self.shown(self.room_of(form), seen.number)

    async def delete(self, form: Form) -> JsonValue:
        self.seen_of(form, "Bad Request: message to delete not found").deleted = True
        return True

    async def delete_business(self, form: Form) -> JsonValue:
        connection = text(form, "business_connection_id")
        for room in self.rooms.values():
            for gone in json.loads(text(form, "message_ids")) if room.connection == connection else ():
                if gone in room.seen:
                    room.seen[gone].deleted = True
        return True

    async def read_business(self, form: Form) -> JsonValue:
        room = self.room_of(form)
        for seen in room.seen.values():
            seen.read = seen.read or seen.number <= number(form, "message_id", 0)
        return True

    async def react(self, form: Form) -> JsonValue:
        seen = self.seen_of(form, "Bad Request: message to react not found")
        emojis = [one["emoji"] for one in json.loads(text(form, "reaction", "[]"))]
        seen.reaction = emojis[0] if emojis else ""
        return True

    async def show_action(self, form: Form) -> JsonValue:
        self.room_of(form).actions.append(text(form, "action"))
        return True

    async def answer_press(self, form: Form) -> JsonValue:
        self.answered.append(text(form, "callback_query_id"))
        return True

    async def get_file(self, form: Form) -> JsonValue:
        handle = text(form, "file_id")
        data = self.files.get(handle)
        if data is None:
            raise Refused("Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(data) > FETCH_MAX_BYTES:
            raise Refused("Bad Request: file is too big")
        return {
            "file_id": handle,
            "file_unique_id": handle,
            "file_size": len(data),
            "file_path": f"{handle}.bin",
        }


def refused(status: int, description: str, parameters: Fact | None = None) -> Answer:
    answer: dict[str, JsonValue] = {"ok": False, "error_code": status, "description": description}
    if parameters is not None:
        answer["parameters"] = dict(parameters)
    return Answer.json(answer, status=status)


def said_yes(result: JsonValue, taken: Sequence[Taken] = ()) -> Answer:
    return Answer.json({"ok": True, "result": result}, taken=taken)


def text(form: Form, name: str, default: str | None = None) -> str:
    value = form.get(name, default)
    if not isinstance(value, str):
        raise Refused(f"Bad Request: parameter {name} is required")
    return value


def number(form: Form, name: str, default: int) -> int:
    value = text(form, name, str(default))
    if not re.fullmatch(r"-?\d+", value):
        raise Refused(f"Bad Request: invalid {name}")
    return int(value)


def length(words: str) -> int:
    """In UTF-16 code units, as the server counts."""
    return len(words.encode("utf-16-le")) // 2


def see_text(form: Form) -> Seen:
    words = text(form, "text", "")
    if not words.strip():
        raise Refused("Bad Request: message text is empty")
    if length(words) > TEXT_UNITS:
        raise Refused("Bad Request: message is too long")
    return Seen(0, "bot", "message", words, marks(form, "entities"))


def check_captions(seen: Seen) -> None:
    if seen.kind in FILES and length(seen.text) > CAPTION_UNITS:
        raise Refused("Bad Request: message caption is too long")
    for entity in seen.entities:
        if entity["offset"] < 0 or entity["length"] <= 0 or entity["offset"] + entity["length"] > length(seen.text):
            raise Refused("Bad Request: can't parse entities: ENTITY_BOUNDS_INVALID")


def marks(form: Form, name: str) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(text(form, name, "[]")))


def buttons_of(form: Form) -> list[tuple[str, str]]:
    markup = json.loads(text(form, "reply_markup", "{}"))
    buttons = [(button["text"], button["callback_data"]) for row in markup.get("inline_keyboard", []) for button in row]
    if any(not 1 <= len(data.encode()) <= DATA_BYTES for _, data in buttons):
        raise Refused("Bad Request: BUTTON_DATA_INVALID")
    return buttons


def quoted(form: Form, room: ChatRoom) -> int | None:
    parameters = json.loads(text(form, "reply_parameters", "{}"))
    target = parameters.get("message_id")
    if target is None or target in room.seen:
        return target  # type: ignore[no-any-return]
    if parameters.get("allow_sending_without_reply"):
        return None
    raise Refused("Bad Request: message to be replied not found")
