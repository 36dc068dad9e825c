"""Telegram's I/O: asking or being called, sending, files, and what is wrong in words."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import structlog
from aiogram import Bot
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import AiogramError, TelegramMigrateToChat
from aiogram.methods import (
    AnswerCallbackQuery,
    GetFile,
    GetMe,
    GetWebhookInfo,
    SetWebhook,
    TelegramMethod,
)
from aiogram.types import File, Message, WebhookInfo

from connectors.telegram.capabilities import CHANNEL_TYPE
from connectors.telegram.changes import render_deletion, render_edit, render_read, render_typing
from connectors.telegram.config import PROOF_HEADER, TelegramConfig
from connectors.telegram.inbound import ALLOWED_UPDATES, parse_payload
from connectors.telegram.message_ids import external_id
from connectors.telegram.outbound import Step, render_message, scope_for
from connectors.telegram.polling import Poller
from connectors.telegram.refusals import GONE, NOT_MODIFIED, UNCLEAR, accepted, is_refusal, meaning_of
from connectors.telegram.session import HttpxSession
from connectors.telegram.telling import CALLBACK
from shared.commands import LEFT_OUT, DeleteMessage, EditMessage, MarkRead, SendMessage, Sent, SetTyping
from shared.connector import ChannelType, Connector, Fetched, Health, Hook, Port, Sink
from shared.content import Media
from shared.errors import BadSignature, Rejected, SendError, Unavailable, Uncertain
from shared.events import InboundEvent

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 25  # of silence; shorter than the 30 s after which the relay gives an attempt up
FILE_TIMEOUT_S: Final = 60
PIECE_BYTES: Final = 64 * 1024
FETCH_MAX_BYTES: Final = 20_000_000  # getFile gives files of up to 20 MB
WAITING_MAX: Final = 100  # updates that wait at Telegram before it is worth a word
RECENT: Final = timedelta(hours=1)
WEBHOOK_PORTS: Final = frozenset({None, 443, 80, 88, 8443})
LOST_AFTER: Final = "Telegram keeps messages for 24 hours"


class Telegram(Connector):
    """One bot. Keeps nothing but what is on its way."""

    channel_type: ClassVar[ChannelType] = CHANNEL_TYPE

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        assert isinstance(port.config, TelegramConfig)
        self.config = port.config
        api = TelegramAPIServer.from_base(self.config.api_url, is_local=self.config.local)
        session = HttpxSession(port.http, api, timeout_s=TIMEOUT_S)
        self._bot = Bot(self.config.token.get_secret_value(), session=session)
        self._poller = Poller(self._call, self._take, account=self.config.bot_id)
        self._beside: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in tuple(self._beside):
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)

    # Theirs to ours

    def verify(self, hook: Hook) -> None:
        """Telegram signs nothing; it repeats the secret that we gave it."""
        ours = self.config.webhook_secret.get_secret_value().encode()
        theirs = hook.headers.get(PROOF_HEADER, "").encode(errors="surrogatepass")
        if not ours or not secrets.compare_digest(ours, theirs):
            raise BadSignature("The secret is not the one that we gave Telegram; set the webhook again.")

    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        return parse_payload(hook.body, account=self.config.bot_id)

    async def listen(self) -> None:
        if self.config.mode == "webhook":
            await self._set_webhook()
        else:
            await self._poller.run()

    async def _set_webhook(self) -> None:
        if self.port.hook_url is None:
            raise Unavailable(NO_ADDRESS)
        secret = self.config.webhook_secret.get_secret_value()
        await self._call(SetWebhook(url=self.port.hook_url, secret_token=secret, allowed_updates=list(ALLOWED_UPDATES)))
        log.info("telegram.webhook_set", channel=self.port.channel_id)

    async def _take(self, events: Sequence[InboundEvent]) -> None:
        if not events:
            return
        await self.port.publish(events)
        task = asyncio.create_task(self.taken(events))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def taken(self, events: Sequence[InboundEvent]) -> None:
        """Stop the wheel that turns on a pressed button."""
        for event in events:
            query = (event.context or {}).get(CALLBACK)
            if isinstance(query, str):
                with contextlib.suppress(SendError):  # too old by now, and the wheel has stopped by itself
                    await self._call(AnswerCallbackQuery(callback_query_id=query))

    # Ours to theirs

    async def send(self, command: SendMessage) -> Sent:
        plan = render_message(command, self.port.files)
        sent: list[str] = []  # from the first part on
        degraded = list(plan.degraded)
        for step, parts in plan.numbered():
            if all(map(command.leaves_out, parts)):
                sent += [LEFT_OUT] * len(parts)
                continue
            try:
                numbers, loss = await self._take_step(step)
            except SendError as error:
                error.after(sent[command.from_part :])
                raise
            sent += (
                [step.known_as] if step.known_as else [external_id(number, scope_for(command)) for number in numbers]
            )
            degraded += [loss] if loss and loss not in degraded else []
        return Sent(external_ids=tuple(sent[command.from_part :]), degraded=tuple(degraded))

    async def _take_step(self, step: Step) -> tuple[list[int], str | None]:
        """The numbers of the messages that came of it, and what was lost by taking another way."""
        try:
            return await self._send(step.method), None
        except AiogramError as error:
            other = next((other for other in step.others if is_refusal(error, other.part)), None)
            if other is None:
                raise meaning_of(error) from None
        try:
            return await self._send(other.method), other.loss
        except AiogramError as error:
            raise meaning_of(error) from None

    async def _send(self, method: TelegramMethod[Any]) -> list[int]:
        """Raises aiogram's errors, and `Uncertain` for a yes from which no number can be read."""
        try:
            result = await self._bot(method)
        except TelegramMigrateToChat as error:  # nothing was sent: the group lives on under another number
            moved = method.model_copy(update={"chat_id": error.migrate_to_chat_id})
            result = await self._bot(moved)
        except AiogramError as error:
            result = accepted(error)
            if result is None:
                raise
        numbers = list(numbers_in(result))
        if not numbers and result is not True:
            raise Uncertain(UNCLEAR)
        return numbers

    async def edit(self, command: EditMessage) -> None:
        await self._change(render_edit(command, self.port.files), done_already=NOT_MODIFIED)

    async def delete(self, command: DeleteMessage) -> None:
        await self._change(render_deletion(command), done_already=GONE)

    async def _change(self, methods: Iterable[TelegramMethod[Any]], *, done_already: str) -> None:
        for method in methods:
            try:
                await self._bot(method)
            except AiogramError as error:
                if accepted(error) is None and not is_refusal(error, done_already):
                    raise meaning_of(error) from None

    async def mark_read(self, command: MarkRead) -> None:
        """Of a customer who writes to a business account; twice is as good as once, so a doubt is tried again."""
        try:
            await self._call(render_read(command))
        except Uncertain as error:
            raise Unavailable(error.detail) from None

    async def set_typing(self, command: SetTyping) -> None:
        if command.on:  # it ends by itself after 5 seconds, or with the message
            await self._call(render_typing(command))

    # Files

    async def fetch_media(self, media: Media, into: Sink) -> Fetched:
        if media.source is None:
            raise Rejected("Telegram gave no handle for this file.")
        if media.size is not None and media.size > FETCH_MAX_BYTES and not self.config.local:
            raise Rejected(
                f"The file has {media.size / 1e6:.0f} MB and Telegram hands bots no more than 20; ask for it another "
                "way, or use a Bot API server of your own."
            )
        found = await self._call(GetFile(file_id=media.source))
        if not isinstance(found, File) or not found.file_path:
            raise Unavailable("Telegram did not say where the file is.")
        size = 0
        try:
            async with contextlib.aclosing(self._pieces(found.file_path)) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    await into(piece)
        except AiogramError as error:
            raise meaning_of(error) from None
        except OSError as error:
            raise Unavailable(f"The Bot API server's file cannot be read ({type(error).__name__}).") from None
        if found.file_size is not None and found.file_size != size:
            raise Unavailable(f"Of the file's {found.file_size} bytes {size} came.")
        return Fetched(media.mime, media.name or Path(found.file_path).name)  # Telegram forgets both

    async def _pieces(self, path: str) -> AsyncGenerator[bytes, None]:
        """A local server gives a path of this machine, any other a part of an address."""
        if self.config.local:
            with await asyncio.to_thread(self._local_file(path).open, "rb") as file:
                while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                    yield piece
            return
        url = self._bot.session.api.file_url(self._bot.token, path)
        async with contextlib.aclosing(self._bot.session.stream_content(url, timeout=FILE_TIMEOUT_S)) as pieces:
            async for piece in pieces:
                yield piece

    def _local_file(self, path: str) -> Path:
        """The server keeps a bot's files in a folder that is called like its token; nothing else is ours to read."""
        found = Path(path).resolve()
        if self._bot.token not in found.parts[:-1]:
            raise Rejected("The Bot API server names a file outside this bot's folder.")
        return found

    # Health

    async def check(self) -> Health:
        try:
            await self._call(GetMe())
            info = await self._call(GetWebhookInfo())
        except SendError as error:
            return Health((error.detail,))
        return Health(tuple(self._problems(info)))

    def _problems(self, info: WebhookInfo) -> list[str]:
        problems = self._webhook_problems(info) if self.config.mode == "webhook" else self._polling_problems(info)
        if info.pending_update_count > WAITING_MAX:
            problems.append(f"{info.pending_update_count} updates wait at Telegram. {LOST_AFTER}.")
        return problems

    def _polling_problems(self, info: WebhookInfo) -> list[str]:
        problems = [self._poller.trouble] if self._poller.trouble else []
        if info.url:
            problems.append(
                f"A webhook is set, to {urlsplit(info.url).hostname}; polling takes it away when it starts."
            )
        return problems

    def _webhook_problems(self, info: WebhookInfo) -> list[str]:
        url = self.port.hook_url
        if url is None:
            return [NO_ADDRESS]
        problems = []
        if self.config.api_url.startswith("https://") and not can_be_called(url):
            problems.append(
                "Telegram calls HTTPS addresses on ports 443, 80, 88 and 8443 only; change the public address."
            )
        if info.url != url:
            elsewhere = f"set to {urlsplit(info.url).hostname}" if info.url else "not set"
            problems.append(f"The webhook is {elsewhere}; pause and activate the channel to set it.")
        if info.last_error_date and self.port.clock() - info.last_error_date < RECENT:
            said = info.last_error_message or "no reason given"
            problems.append(f"Telegram could not deliver to us lately: {said}. {LOST_AFTER}.")
        return problems

    async def _call(self, method: TelegramMethod[Any], *, timeout_s: int = TIMEOUT_S) -> Any:
        """The result. Raises a `SendError`."""
        try:
            return await self._bot(method, request_timeout=timeout_s)
        except AiogramError as error:
            raise meaning_of(error) from None


NO_ADDRESS: Final = "Webhook mode needs a public HTTPS address: set SHOPBELL_PUBLIC_URL, or use polling."


def can_be_called(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.port in WEBHOOK_PORTS


def numbers_in(result: Any) -> Iterable[int]:
    """The numbers of the messages that Telegram says it made, also of those that aiogram cannot read."""
    for message in result if isinstance(result, list) else [result]:
        number = message.get("message_id") if isinstance(message, dict) else getattr(message, "message_id", None)
        if isinstance(message, Message | dict) and isinstance(number, int):
            yield number
