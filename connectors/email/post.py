"""Handing mails to a server over SMTP, one after another on one connection.

A mail whose content was under way when the connection broke may have arrived: nobody can know, and it is not repeated.
Whatever ended before that goes out again later, with the same Message-ID.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import aiosmtplib
import structlog
from aiosmtplib import SMTP

from connectors.email.config import EmailConfig
from connectors.email.outbound import Letter
from shared.connector import Dial
from shared.errors import (
    AuthExpired,
    Rejected,
    SendError,
    Throttled,
    Unavailable,
    Uncertain,
    Unreachable,
    Unsupported,
)

log = structlog.get_logger(__name__)

# All together they are shorter than the five minutes after which an attempt with a mail is given up.
TURN_S: Final = 30.0  # for the mails before it
CONNECT_S: Final = 15.0
ANSWER_S: Final = 30.0
CONTENT_S: Final = 120.0  # until the server has taken the content; filters take their time
REUSED_MAX: Final = 50
IDLE_S: Final = 20.0
BROKEN: Final = (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError, OSError, TimeoutError)

LogIn = Callable[[], Awaitable[tuple[str | None, str | None]]]


class Post:
    """The way out of one mailbox. `log_in` gives a password or an access token, or neither."""

    def __init__(self, config: EmailConfig, dial: Dial, *, log_in: LogIn) -> None:
        self._config = config
        self._dial = dial
        self._log_in = log_in
        self._lock = asyncio.Lock()
        self._smtp: SMTP | None = None
        self._sent = 0
        self._used_at = 0.0

    async def send(self, letter: Letter) -> None:
        """Return once the server has taken the mail; raises a `SendError`."""
        async with self._turn():
            smtp = await self._ready()
            try:
                await self._hand_over(smtp, letter)
            except BaseException:  # also when we are cancelled: the next answer would be that of this mail
                smtp.close()
                self._smtp = None
                raise
            self._sent += 1
            self._used_at = time.monotonic()

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One mail at a time."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._lock.acquire()
        except TimeoutError:
            raise Throttled("Other mails are still on their way on this mailbox.", retry_after_s=TURN_S) from None
        try:
            yield
        finally:
            self._lock.release()

    async def check(self) -> None:
        """Connect and log in; raises a `SendError`."""
        async with self._lock:
            await self.close()
            await self._ready()

    async def close(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await smtp.quit()
            smtp.close()

    async def _ready(self) -> SMTP:
        """A connection that answers."""
        smtp = self._smtp
        fresh = smtp is not None and self._sent < REUSED_MAX and time.monotonic() - self._used_at < IDLE_S
        if smtp is not None and fresh:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(5):
                    await smtp.rset()
                return smtp
        await self.close()
        return await self._connect()

    async def _connect(self) -> SMTP:
        host, port = self._config.smtp_host, self._config.port_of("smtp")
        if host is None:
            raise Unsupported("This mailbox has no smtp_host, so nothing can be answered; name the server that sends.")
        try:
            sock = await asyncio.to_thread(self._dial, host, port, CONNECT_S)
        except OSError as error:
            raise Unavailable(f"The mail server {host} cannot be reached: {error.strerror or error}") from None
        tls = self._config.smtp_security == "tls"
        start = self._config.smtp_security == "starttls"
        smtp = SMTP(hostname=host, sock=sock, use_tls=tls, start_tls=start, timeout=ANSWER_S)
        try:
            async with asyncio.timeout(CONNECT_S * 2):
                await smtp.connect()
                await self._enter(smtp)
        except SendError:
            smtp.close()
            raise
        except (aiosmtplib.SMTPException, *BROKEN) as error:
            smtp.close()
            sock.close()
            meaning = meaning_of(error)
            raise (Unavailable(meaning.detail) if isinstance(meaning, Rejected) else meaning) from None
        self._smtp, self._sent, self._used_at = smtp, 0, time.monotonic()
        return smtp

    async def _enter(self, smtp: SMTP) -> None:
        """Log in where the server knows of logins: one that serves its own network alone has none."""
        await smtp.ehlo()  # what it can do has to be known before the first mail, also without a login
        password, token = await self._log_in()
        if not smtp.server_auth_methods:
            return
        if token is not None:
            await smtp.auth_xoauth2(self._config.login, token)
        elif password is not None:
            await smtp.login(self._config.login, password)

    async def _hand_over(self, smtp: SMTP, letter: Letter) -> None:
        if letter.wide and not smtp.supports_extension("smtputf8"):
            raise Unreachable("The mail server takes no addresses beyond ASCII, and the customer has one.")
        try:
            letters = "utf-8" if letter.wide else "ascii"
            await smtp.mail(letter.sender, options=self._mail_options(smtp, letter), encoding=letters)
            await smtp.rcpt(letter.recipient, options=self._rcpt_options(smtp), encoding=letters)
        except (aiosmtplib.SMTPException, *BROKEN) as error:
            raise meaning_of(error) from None
        try:
            await smtp.data(letter.data, timeout=CONTENT_S)
        except aiosmtplib.SMTPResponseException as error:
            if error.code < 200:  # no answer that could be read
                raise Uncertain("The mail server's answer to the mail cannot be read; it may have arrived.") from None
            raise meaning_of(error) from None
        except (aiosmtplib.SMTPException, *BROKEN) as error:
            raise Uncertain(
                f"The connection broke while the mail was handed over ({type(error).__name__}); it may have arrived."
            ) from None

    def _mail_options(self, smtp: SMTP, letter: Letter) -> list[str]:
        options = ["SMTPUTF8"] if letter.wide else []
        if smtp.supports_extension("size"):
            options.append(f"SIZE={len(letter.data)}")
        if smtp.supports_extension("dsn"):
            options += ["RET=HDRS", f"ENVID={letter.token}"]
        return options

    def _rcpt_options(self, smtp: SMTP) -> list[str]:
        if not smtp.supports_extension("dsn"):
            return []
        wanted = "SUCCESS,FAILURE,DELAY" if self._config.ask_delivered else "FAILURE,DELAY"
        return [f"NOTIFY={wanted}"]


def meaning_of(error: Exception) -> SendError:
    """What a server's refusal means. 4xx is for now and 5xx for good (RFC 5321), with the server's own words."""
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        if isinstance(error, aiosmtplib.SMTPNotSupported | aiosmtplib.SMTPException) and not isinstance(error, BROKEN):
            return AuthExpired(f"The mail server cannot do what the settings ask: {error}")
        return Unavailable(f"The mail server did not answer ({type(error).__name__}).")
    said = f"{error.code} {' '.join(str(error.message).split())[:300]}"
    if isinstance(error, aiosmtplib.SMTPAuthenticationError) or error.code in (530, 534, 535, 538):
        if 400 <= error.code < 500:
            return Unavailable(f"The mail server does not let us in just now: {said}")
        return AuthExpired(f"The mail server refuses the login: {said}")
    if error.code == 421:
        return Throttled(f"The mail server wants no more just now: {said}", whole_account=True)
    if 400 <= error.code < 500:
        return Unavailable(f"The mail server put it off: {said}")
    if isinstance(error, aiosmtplib.SMTPRecipientRefused) and "5.1." in str(error.message)[:12]:
        return Unreachable(f"There is no such address: {said}")
    return Rejected(f"The mail server refused it: {said}")
