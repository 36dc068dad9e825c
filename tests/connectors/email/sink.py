"""A mail server that takes mails: aiosmtpd in a thread of its own, which refuses and breaks off where it is told to."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cache
from typing import Any, Final

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST: Final = "127.0.0.1"


@dataclass(frozen=True)
class Taken:
    """A mail as it was handed over."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    mail_options: tuple[str, ...] = ()
    rcpt_options: tuple[str, ...] = ()

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.data, policy=default)


@dataclass
class Sink:
    """Takes everything, but for what is planned: answers to commands by name, used one after another.

    `drop`: break off at this command, or `after_data` when the whole mail is there and not yet answered.
    """

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    drop: list[str] = field(default_factory=list)
    logins: dict[str, str] = field(default_factory=dict)
    connections: int = 0

    def planned(self, command: str) -> str | None:
        answers = self.answers.get(command)
        return answers.pop(0) if answers else None

    def breaks(self, where: str) -> bool:
        if where in self.drop:
            self.drop.remove(where)
            return True
        return False

    async def handle_EHLO(  # noqa: N802 - named by aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        return await self._answer(server, "MAIL", lambda: self._sender(envelope, address, options))

    def _sender(self, envelope: Envelope, address: str, options: list[str]) -> None:
        envelope.mail_from = address
        envelope.mail_options.extend(options)

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        return await self._answer(server, "RCPT", lambda: self._recipient(envelope, address, options))

    def _recipient(self, envelope: Envelope, address: str, options: list[str]) -> None:
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)

    async def _answer(self, server: SMTP, command: str, take: Any) -> str:
        if self.breaks(command):
            break_off(server)
        planned = self.planned(command)
        if planned is not None:
            return planned
        take()
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        planned = self.planned("DATA")
        if planned is None:
            self.taken.append(
                Taken(
                    envelope.mail_from or "",
                    tuple(envelope.rcpt_tos),
                    envelope.content if isinstance(envelope.content, bytes) else b"",
                    tuple(envelope.mail_options),
                    tuple(envelope.rcpt_options),
                )
            )
        if self.breaks("after_data"):
            break_off(server)
        return planned or "250 OK: taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        planned = self.planned("AUTH")
        if planned is not None:
            return AuthResult(success=False, handled=False, message=planned)
        assert isinstance(data, LoginPassword)
        known = self.logins.get(data.login.decode())
        return AuthResult(success=not self.logins or known == data.password.decode(), handled=False)


def break_off(server: SMTP) -> None:
    assert server.transport is not None
    server.transport.abort()  # type: ignore[attr-defined]  # a stream of TCP can, the type names less


@contextlib.contextmanager
def running_sink(*, sink: Sink | None = None, **options: Any) -> Iterator[Sink]:
    """A sink that listens on a free port for as long as the block lasts."""
    sink = sink or Sink()
    loop = asyncio.new_event_loop()

    def factory() -> SMTP:
        return SMTP(
            sink,
            hostname="mx.example.org",
            authenticator=sink.authenticate,
            auth_require_tls=False,
            loop=loop,
            **{"enable_SMTPUTF8": True, **options},
        )

    async def start() -> asyncio.Server:
        return await loop.create_server(factory, HOST, 0)

    async def stop() -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the next turn

    thread = threading.Thread(target=loop.run_forever, daemon=True, name="sink")
    thread.start()
    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


OPEN: Final = contextlib.ExitStack()  # until the process ends


@cache
def shared_sink() -> Sink:
    """One for all who only want their mails to be taken."""
    return OPEN.enter_context(running_sink())


def to_sink(host: str, port: int, timeout_s: float, /) -> socket.socket:
    """A way to that one, whatever server is asked for."""
    return socket.create_connection((HOST, shared_sink().port), timeout_s)
