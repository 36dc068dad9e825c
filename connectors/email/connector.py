"""E-mail's I/O: reading a mailbox or being handed mails, sending, files, and what is wrong in words."""

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final

from connectors.email import hook as hooks
from connectors.email.bodies import find_file
from connectors.email.capabilities import CHANNEL_TYPE
from connectors.email.config import EmailConfig
from connectors.email.ids import Signer
from connectors.email.inbound import RAW, Desk, parse_mail, shortened
from connectors.email.mailbox import Mailbox
from connectors.email.mime import read_mail
from connectors.email.oauth import Tokens
from connectors.email.outbound import write
from connectors.email.post import Post
from connectors.email.reader import Fetched as Mailed
from connectors.email.reader import Reader
from connectors.email.sent import parse_sent
from shared.capabilities import Rate
from shared.commands import SendMessage, Sent
from shared.connector import ChannelType, Connector, Fetched, Health, Hook, Port, Sink
from shared.content import Media, files_of
from shared.errors import BusUnavailable, Ignored, Rejected, SendError
from shared.events import UNDATED, Echo, InboundEvent, MessageReceived
from shared.signing import BadToken, b64, seal, unb64, unseal

PIECE_BYTES: Final = 64 * 1024
JOURNAL_MAX_BYTES: Final = 256 * 1024  # of a raw mail in the journal; the whole of a larger one is kept as a file
EMPTY: Final = b"Subject: \r\n\r\n"  # a mail of which the server has nothing
CHECK_S: Final = 20.0
RENEWED: Final = "renewed"  # the refresh token that the provider handed out last, sealed
IN_CLEAR: Final = "The password travels in clear to {host}; set {setting} to tls or starttls."
NO_WAY_IN: Final = "No imap_host is set: mail comes only if a service posts it to the hook."
NO_WAY_OUT: Final = "No smtp_host is set: nothing can be answered."


class Email(Connector):
    """One mailbox."""

    channel_type: ClassVar[ChannelType] = CHANNEL_TYPE

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        assert isinstance(port.config, EmailConfig)
        self.config = config = port.config
        key = config.signing_key.get_secret_value().encode()
        self._signer = Signer(key)
        self._desk = Desk(config.address, config.authserv_id, self._signer)
        self._seal_key = hashlib.sha256(b"refresh token" + key).digest()
        self._tokens = Tokens(config, port.http) if config.uses_oauth else None
        self._post = Post(config, port.dial, log_in=self._log_in)
        self._mailbox = Mailbox(config, port.dial)
        self._reader = Reader(
            config, self._mailbox, port.place, port.clock, take=self._take, log_in=self._log_in_to_read
        )

    async def close(self) -> None:
        self._reader.close()
        await self._post.close()

    # Theirs to ours

    def verify(self, hook: Hook) -> None:
        hooks.verify(hook, self.config.hook_secret.get_secret_value())

    def parse(self, hook: Hook) -> Sequence[InboundEvent]:
        return parse_mail(hooks.mail_in(hook), self._desk)

    async def publish(self, events: Sequence[InboundEvent]) -> None:
        """With the raw mails kept before, from which files are taken later; the journal holds the smaller ones."""
        await super().publish([await self._kept(dated(event, self.port.clock())) for event in events])

    async def _kept(self, event: InboundEvent) -> InboundEvent:
        large = len(event.raw) > JOURNAL_MAX_BYTES
        if large or (isinstance(event, MessageReceived | Echo) and files_of(event.content)):
            try:
                await self.port.files.keep(kept_name(hashlib.sha256(event.raw).hexdigest()), event.raw)
            except Exception as error:  # whatever keeps files: without them the mail is not safe yet
                raise BusUnavailable(
                    f"The mail could not be kept ({type(error).__name__}); it is tried again."
                ) from error
        return event.model_copy(update={"raw": event.raw[:JOURNAL_MAX_BYTES]}) if large else event

    async def listen(self) -> None:
        if self.config.imap_host is not None:
            await self._reader.run()

    async def _take(self, mails: Sequence[Mailed]) -> None:
        events = await asyncio.to_thread(lambda: [event for mail in mails for event in self._understood(mail)])
        if events:
            await self.publish(events)

    def _understood(self, mail: Mailed) -> Sequence[InboundEvent]:
        raw = mail.raw if mail.raw.strip() else EMPTY
        try:
            if mail.folder == self.config.sent_folder:
                return parse_sent(raw, self._desk, mail.arrived_at)
            events: Sequence[InboundEvent] = parse_mail(raw, self._desk, mail.arrived_at)
        except Ignored:
            return []
        return events if mail.whole else [shortened(event) for event in events]

    # Ours to theirs

    @property
    def rate(self) -> Rate:
        """Half of what a minute allows may go at once, the other half evenly: never more than the whole in a minute."""
        half = self.config.rate_per_minute / 2
        return Rate(per_second=half / 60, burst=max(1, int(half)))

    async def send(self, command: SendMessage) -> Sent:
        letter = await write(command, self.config, self._signer, self.port.files, self.port.clock())
        await self._post.send(letter)
        return Sent(external_ids=(letter.message_id,), degraded=letter.degraded)

    async def _log_in(self) -> tuple[str | None, str | None]:
        """A password, or a token."""
        if self._tokens is not None:
            return None, await self._tokens.access_token()
        password = self.config.password
        return (password.get_secret_value() if password else None), None

    async def _log_in_to_read(self) -> tuple[str | None, str | None]:
        """The same, with the provider's newest refresh token: found where the last reader kept it, and kept anew."""
        if self._tokens is None:
            return await self._log_in()
        place = self.port.place.last()
        kept, bound_to = place.get(RENEWED), self.port.channel_id.encode()
        if isinstance(kept, str):
            with contextlib.suppress(BadToken, UnicodeDecodeError):  # sealed before the settings changed
                self._tokens.refresh_token = unseal(self._seal_key, unb64(kept), bound_to=bound_to).decode()
        before = self._tokens.refresh_token
        token = await self._tokens.access_token(renew=True)
        if self._tokens.refresh_token != before:
            sealed = b64(seal(self._seal_key, self._tokens.refresh_token.encode(), bound_to=bound_to))
            await self.port.place.keep(place | {RENEWED: sealed})
        return None, token

    # Files

    async def fetch_media(self, media: Media, into: Sink) -> Fetched:
        """From the raw mail that was kept."""
        key, _, place = (media.source or "").partition("/")
        raw = await self.port.files.read(kept_name(key))
        content = raw if place == RAW else await asyncio.to_thread(lambda: find_file(read_mail(raw).root, place))
        if content is None:
            raise Rejected("The file is not in the mail.")
        for start in range(0, max(len(content), 1), PIECE_BYTES):
            await into(content[start : start + PIECE_BYTES])
        return Fetched(media.mime, media.name)

    # What is wrong

    async def check(self) -> Health:
        problems: list[str] = []
        for setting, host, security, attempt in (
            ("imap_security", self.config.imap_host, self.config.imap_security, self._check_mailbox),
            ("smtp_security", self.config.smtp_host, self.config.smtp_security, self._post.check),
        ):
            if host is None:
                problems.append(NO_WAY_IN if setting.startswith("imap") else NO_WAY_OUT)
                continue
            if security == "none" and self.config.password:
                problems.append(IN_CLEAR.format(host=host, setting=setting))
            try:
                async with asyncio.timeout(CHECK_S):
                    await attempt()
            except SendError as error:
                problems.append(error.detail)
            except TimeoutError:
                problems.append(f"The mail server {host} did not answer within {CHECK_S:.0f} s.")
        if self._reader.trouble and self._reader.trouble not in problems:
            problems.append(f"Reading the mailbox failed last time: {self._reader.trouble}")
        return Health(tuple(problems))

    async def _check_mailbox(self) -> None:
        """On a connection of its own, beside the reader's."""
        mailbox = Mailbox(self.config, self.port.dial)
        password, token = await self._log_in()

        def attempt() -> None:
            try:
                mailbox.open(password, token)
                for folder in self._reader.folders:
                    mailbox.select(folder)
            finally:
                mailbox.close()

        await asyncio.to_thread(attempt)


def dated(event: InboundEvent, now: datetime) -> InboundEvent:
    """With the time at which it came, if the mail bears none."""
    return event if event.occurred_at != UNDATED else event.model_copy(update={"occurred_at": now})


def kept_name(key: str) -> str:
    """Where a raw mail is kept, by its hash."""
    if len(key) != 64 or not key.isalnum():
        raise Rejected("This is no handle of a file in a mail.")
    return f"mail_{key}"
