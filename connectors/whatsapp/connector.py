"""WhatsApp's I/O: being called, sending, files, templates, and what is wrong in words."""

import re
import secrets
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final
from urllib.parse import urlsplit

import structlog

from connectors.whatsapp.capabilities import CHANNEL, CHANNEL_TYPE
from connectors.whatsapp.config import GRAPH_URL, WhatsAppConfig
from connectors.whatsapp.graph import GONE, Graph
from connectors.whatsapp.inbound import parse_payload
from connectors.whatsapp.outbound import Plan, render_message, render_read, render_typing
from connectors.whatsapp.people import e164, phone_in
from connectors.whatsapp.reading import Json, number, part, parts, words
from connectors.whatsapp.refusals import RIGHTS, UNCLEAR, UNKNOWN_NUMBER
from shared.commands import LEFT_OUT, MarkRead, SendMessage, Sent, SetTyping
from shared.connector import ChannelType, Connector, Fetched, Health, Hook, HookReply, Port, Sink
from shared.content import Media
from shared.errors import AuthExpired, BadSignature, Malformed, Rejected, SendError, Unavailable, Uncertain
from shared.events import Address, InboundEvent, PeerConnected, Sender
from shared.signing import verify_hmac_sha256
from shared.subjects import KnownTemplate

log = structlog.get_logger(__name__)

SIGNATURE: Final = "x-hub-signature-256"
SIGNED: Final = re.compile(r"sha256=([0-9a-f]{64})")
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}")
HANDLE: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
PLACE: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")
NUMBER_FIELDS: Final = "id,display_phone_number,verified_name,status,platform_type,quality_rating,name_status"
TEMPLATE_FIELDS: Final = "name,language,status,category,components"
PAGES_MAX: Final = 60  # of a hundred: an account has at most 6,000 templates
WORKING: Final = frozenset({"CONNECTED", "FLAGGED", "RATE_LIMITED"})
NO_ADDRESS: Final = "WhatsApp calls us: set SHOPBELL_PUBLIC_URL to an https address, and enter the webhook at Meta."


class WhatsApp(Connector):
    """One number. Keeps nothing but what is on its way."""

    channel_type: ClassVar[ChannelType] = CHANNEL_TYPE

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        assert isinstance(port.config, WhatsAppConfig)
        self.config = port.config
        self._graph = Graph(port.http, self.config)

    # Theirs to ours

    def handshake(self, hook: Hook) -> HookReply:
        """Meta asks with our own password whether the address is ours; the answer repeats its question."""
        ours = self.config.verify_token.get_secret_value().encode()
        theirs = hook.query.get("hub.verify_token", "").encode(errors="surrogatepass")
        if hook.query.get("hub.mode") != "subscribe" or not secrets.compare_digest(ours, theirs):
            raise BadSignature("The verify token is not the one in this channel's settings.")
        challenge = hook.query.get("hub.challenge", "")
        if not CHALLENGE.fullmatch(challenge):
            raise Malformed("There is no challenge that could be repeated.")
        return HookReply(body=challenge.encode(), headers={"content-type": "text/plain"})

    def verify(self, hook: Hook) -> None:
        signed = SIGNED.fullmatch(hook.headers.get(SIGNATURE, ""))
        secret = self.config.app_secret.get_secret_value().encode()
        if signed is None or not verify_hmac_sha256(secret, hook.body, bytes.fromhex(signed[1])):
            raise BadSignature("The signature is not Meta's for this app; compare app_secret with App settings.")

    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        return parse_payload(hook.body, account=self.config.phone_number_id, business=self.config.waba_id)

    async def listen(self) -> None:
        """Let the app hear of this account: without it all else may be right, and nothing ever comes."""
        try:
            await self._graph.post_harmless(f"{self.config.waba_id}/subscribed_apps", {})
        except AuthExpired as error:
            if error.detail != RIGHTS:
                raise
            log.warning("whatsapp.not_subscribed", channel=self.port.channel_id)  # writing may work all the same
        else:
            log.info("whatsapp.subscribed", channel=self.port.channel_id)

    # Ours to theirs

    async def send(self, command: SendMessage) -> Sent:
        plan = render_message(command)
        sent: list[str] = []
        answer: Json = {}
        for place in range(command.from_part, len(plan.steps)):
            if command.leaves_out(place):
                sent.append(LEFT_OUT)
                continue
            try:
                answer = await self._send_step(plan, place)
                sent.append(id_in(answer))
            except SendError as error:
                error.after(sent)
                raise
        await self._learn(command.address, answer)
        # Meta has it; that WhatsApp has sent it is told by a webhook.
        return Sent(external_ids=tuple(sent), degraded=plan.degraded, confirmed=False)

    async def _send_step(self, plan: Plan, place: int) -> Json:
        upload, handle = plan.steps[place].upload, None
        if upload is not None:
            data = await self._read(upload.attachment)
            handle = await self._graph.upload(self.config.phone_number_id, upload, data)
        return await self._graph.post(self._messages, plan.body(place, handle))

    async def _read(self, attachment: str) -> bytes:
        try:
            return await self.port.files.read(attachment)
        except SendError:
            raise
        except Exception as error:  # nothing has left us
            raise Unavailable(f"The file cannot be read here ({type(error).__name__}).") from None

    @property
    def _messages(self) -> str:
        return f"{self.config.phone_number_id}/messages"

    async def _learn(self, address: Address, answer: Json) -> None:
        """Whoever was written to by phone answers under a user id; Meta tells it now, and perhaps never again."""
        user_id = next(filter(None, (words(contact, "user_id") for contact in parts(answer, "contacts"))), None)
        phone = phone_in(address.peer)
        if user_id is None or phone is None:
            return
        here = Address(channel=CHANNEL, account=self.config.phone_number_id, peer=address.peer)
        sender = Sender(phone=e164(phone), aliases=(user_id,), lent=(address.peer,))
        known = PeerConnected(
            address=here, occurred_at=self.port.clock(), external_id=f"answer:{user_id}", sender=sender
        )
        try:
            await self.port.publish([known])
        except Exception as error:  # the message is sent whatever happens here; their own will say it
            log.info("whatsapp.user_id_lost", channel=self.port.channel_id, error=type(error).__name__)

    async def mark_read(self, command: MarkRead) -> None:
        await self._graph.post_harmless(self._messages, render_read(command))

    async def set_typing(self, command: SetTyping) -> None:
        if command.on:  # it ends by itself after 25 seconds, or with our message
            await self._graph.post_harmless(self._messages, render_typing(command))

    # Files and templates

    async def fetch_media(self, media: Media, into: Sink) -> Fetched:
        if not HANDLE.fullmatch(media.source or ""):
            raise Rejected("WhatsApp gave no handle for this file.")
        try:
            found = await self._graph.get(media.source or "", phone_number_id=self.config.phone_number_id)
        except AuthExpired as error:
            if error.detail == UNKNOWN_NUMBER:  # the same answer as for a number: nothing there that we may see
                raise Rejected(GONE) from None
            raise
        url = words(found, "url")
        if url is None:
            raise Unavailable("WhatsApp did not say where the file is.")
        await self._graph.download(url, into, sha256=words(found, "sha256"), size=number(found, "file_size"))
        return Fetched(media.mime or words(found, "mime_type"), media.name)

    async def templates(self) -> Sequence[KnownTemplate]:
        found: list[KnownTemplate] = []
        query = {"fields": TEMPLATE_FIELDS, "limit": "100"}
        for _ in range(PAGES_MAX):
            page = await self._graph.get(f"{self.config.waba_id}/message_templates", **query)
            found += filter(None, map(template_in, parts(page, "data")))
            after = words(part(page, "paging", "cursors"), "after")
            if after is None or "next" not in part(page, "paging"):
                break
            query["after"] = after
        return found

    # Health

    async def check(self) -> Health:
        try:
            known = await self._graph.get(self.config.phone_number_id, fields=NUMBER_FIELDS)
            numbers = await self._graph.get(f"{self.config.waba_id}/phone_numbers", fields="id", limit="1000")
            apps = await self._graph.get(f"{self.config.waba_id}/subscribed_apps")
        except SendError as error:
            return Health((error.detail, *self._address_problems()))
        problems = (*number_problems(known), *self._account_problems(numbers, apps), *self._address_problems())
        return Health(problems)

    def _account_problems(self, numbers: Json, apps: Json) -> Iterator[str]:
        if self.config.phone_number_id not in [words(one, "id") for one in parts(numbers, "data")]:
            yield "The number is not one of the account waba_id; compare both with WhatsApp > API Setup."
        subscribed = parts(apps, "data")
        if not subscribed:
            yield "The webhook is not subscribed to this account, so nothing arrives; pause and activate the channel."
        elsewhere = [words(app, "override_callback_uri") for app in subscribed]
        if self.port.hook_url and elsewhere and all(url not in (None, self.port.hook_url) for url in elsewhere):
            yield f"WhatsApp calls another address, at {urlsplit(elsewhere[0] or '').hostname}."

    def _address_problems(self) -> Iterator[str]:
        url = self.port.hook_url
        if url is None or (self.config.graph_url == GRAPH_URL and not url.startswith("https://")):
            yield NO_ADDRESS


def id_in(answer: Json) -> str:
    """Meta's id of what was sent. Raises `Uncertain` for a yes without one."""
    id = next(filter(None, (words(message, "id") for message in parts(answer, "messages"))), None)
    if id is None:
        raise Uncertain(UNCLEAR)
    return id


def number_problems(known: Json) -> Iterator[str]:
    status, platform = words(known, "status") or "CONNECTED", words(known, "platform_type") or "CLOUD_API"
    if platform != "CLOUD_API" or status in ("PENDING", "UNVERIFIED", "DISCONNECTED", "OFFLINE", "MIGRATED"):
        yield f"The number is not registered with the Cloud API ({status.lower()}); register it in WhatsApp Manager."
    elif status not in WORKING:
        yield f"WhatsApp has stopped the number ({status.lower()}); see Account quality in WhatsApp Manager."
    if status == "FLAGGED" or words(known, "quality_rating") == "RED":
        yield "Customers report or block this number often; WhatsApp may limit it. See Account quality."
    if words(known, "name_status") in ("DECLINED", "EXPIRED"):
        yield "WhatsApp has not approved the display name; change it in WhatsApp Manager."


def template_in(said: Json) -> KnownTemplate | None:
    name, language = words(said, "name"), words(said, "language")
    if name is None or language is None:
        return None
    bodies = (words(one, "text") for one in parts(said, "components") if (words(one, "type") or "").upper() == "BODY")
    body = next(filter(None, bodies), "")
    status = words(said, "status") or "UNKNOWN"
    return KnownTemplate(
        name=name,
        language=language,
        status=status,
        category=words(said, "category"),
        body=body,
        places=tuple(dict.fromkeys(PLACE.findall(body))),
        usable=status.upper() == "APPROVED",
    )
