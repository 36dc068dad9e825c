"""A mailbox over IMAP. Every call waits for the server, so all of them run in one thread of the reader's.

Facts: RFC 9051 and 3501 (UIDs grow and never come again under one UIDVALIDITY), 2177 (IDLE). Folders are opened read
only, and nothing is marked: whether somebody has looked at a mail says nothing about whether we have it.
"""

import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from connectors.email.config import EmailConfig
from shared.connector import Dial
from shared.errors import AuthExpired, SendError, Unavailable

CONNECT_S: Final = 15.0
ANSWER_S: Final = 30.0
TEMPORARY: Final = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", "TOO MANY", "TRY AGAIN", "TEMPORAR")
AS_BYTES: Final = re.compile(r"""\bb(['"])(.*)\1""")
FAULTS: Final = (IMAPClientError, OSError, imaplib.IMAP4.error, ValueError, AssertionError)  # all that imaplib raises


@dataclass(frozen=True, slots=True)
class Folder:
    """What a folder says of itself when it is opened. `next_uid` is None where the server does not tell."""

    validity: int
    next_uid: int | None


@dataclass(frozen=True, slots=True)
class Size:
    """`size` in bytes; `arrived_at` is when the server took it."""

    size: int
    arrived_at: datetime | None


class Client(IMAPClient):  # type: ignore[misc]  # the library has no types
    """IMAPClient over a connection of ours."""

    def __init__(self, config: EmailConfig, dial: Dial) -> None:
        self._config = config
        self._dial = dial
        assert config.imap_host is not None
        super().__init__(config.imap_host, config.port_of("imap"), ssl=config.imap_security == "tls", timeout=ANSWER_S)
        self.normalise_times = False

    def idle(self) -> bool:
        """Begin to wait; whether the server told of something before it said so, which it may at any time."""
        self._idle_tag = tag = self._imap._command("IDLE")
        told = False
        while self._imap._get_response() is not None:  # None is the continuation
            if self._imap.tagged_commands[tag] is not None:
                raise IMAPClientError("The server does not wait.")
            told = True
        return told

    def wait_s(self, seconds: float) -> None:
        """Until the server says something, which is left to be read: what is there may be but half of it."""
        sock = self.socket()
        sock.settimeout(0)
        try:
            stream = getattr(self._imap, "_file", None) or self._imap.file  # its name since Python 3.14, and before
            there = stream.peek(1)  # it may have come together with the last answer
        except ssl.SSLWantReadError:
            there = b""
        finally:
            sock.settimeout(ANSWER_S)
        if not there:
            self._poll_socket(sock, seconds)

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - named by IMAPClient
        context = ssl.create_default_context() if self.ssl else None
        return Connected(self.host, self.port, self._dial, context)


class Connected(imaplib.IMAP4):
    """imaplib's session over a socket that the dial made."""

    def __init__(self, host: str, port: int, dial: Dial, context: ssl.SSLContext | None) -> None:
        self._dial = dial
        self._context = context
        super().__init__(host, port)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        sock = self._dial(self.host, self.port, CONNECT_S)
        sock.settimeout(ANSWER_S)
        return self._context.wrap_socket(sock, server_hostname=self.host) if self._context else sock


class Mailbox:
    """One connection. Methods raise `Unavailable`, or `AuthExpired` where the server refuses us."""

    def __init__(self, config: EmailConfig, dial: Dial) -> None:
        self._config = config
        self._dial = dial
        self._client: Client | None = None

    def open(self, password: str | None, token: str | None) -> None:
        """Connect and log in, by a password or by an access token."""
        with in_words("connect"):
            self._client = Client(self._config, self._dial)
            if self._config.imap_security == "starttls":
                self._client.starttls(ssl.create_default_context())
        try:
            if token is not None:
                shown = f"user={self._config.login}\1auth=Bearer {token}\1\1".encode()
                # A refusal comes as a question, to be answered with nothing before the server says no.
                self._client.sasl_login("XOAUTH2", lambda asked: b"" if asked else shown)
            else:
                self._client.login(self._config.login, password or "")
        except LoginError as error:
            said = in_plain_words(error)
            if any(word in said.upper() for word in TEMPORARY):
                raise Unavailable(f"The mail server does not let us in just now: {said}") from None
            raise AuthExpired(f"The mail server refuses the login of {self._config.login}: {said}") from None
        except FAULTS as error:
            raise unavailable("log in", error) from None

    @property
    def client(self) -> Client:
        if self._client is None:
            raise Unavailable("The mailbox is not open.")
        return self._client

    def select(self, folder: str) -> Folder:
        with in_words("open the folder"):
            told: Mapping[bytes, Any] = self.client.select_folder(folder, readonly=True)
            validity, next_uid = told.get(b"UIDVALIDITY"), told.get(b"UIDNEXT")
            return Folder(int(validity or 0), int(next_uid) if next_uid is not None else None)

    def uids_after(self, uid: int) -> list[int]:
        """In their order. `n:*` always names the last mail, so what is not newer is left out."""
        with in_words("look for new mail"):
            self.client.noop()
            return sorted(one for one in self.client.search(["UID", f"{uid + 1}:*"]) if one > uid)

    def uids_since(self, day: date) -> list[int]:
        with in_words("look for mail"):
            return sorted(self.client.search(["SINCE", day]))

    def sizes(self, uids: Sequence[int]) -> dict[int, Size]:
        """Of those that are still there."""
        with in_words("ask for sizes"):
            told = self.client.fetch(list(uids), ["RFC822.SIZE", "INTERNALDATE"])
            return {
                uid: Size(int(one.get(b"RFC822.SIZE") or 0), one.get(b"INTERNALDATE"))
                for uid, one in told.items()
                if uid in uids
            }

    def content(self, uid: int, most: int | None = None) -> bytes | None:
        """The mail as it came, or its first `most` bytes; None if the server did not hand it over."""
        with in_words("fetch a mail"):
            what = "BODY.PEEK[]" if most is None else f"BODY.PEEK[]<0.{most}>"
            try:
                told = self.client.fetch([uid], [what]).get(uid, {})
            except IMAPClientError as error:
                if isinstance(error, IMAPClientAbortError):
                    raise
                return None  # the server says no to this one mail
            body = next((value for name, value in told.items() if name.startswith(b"BODY[]")), None)
            return bytes(body) if isinstance(body, bytes | bytearray) else None

    @property
    def can_idle(self) -> bool:
        with in_words("ask what it can do"):
            return bool(self.client.has_capability("IDLE"))

    def idle(self, seconds: float) -> None:
        """Return when something happens in the folder, at the latest after so many seconds."""
        with in_words("wait for mail"):
            if not self.client.idle():
                self.client.wait_s(seconds)
            self.client.idle_done()

    def break_off(self) -> None:
        """End whatever waits for the server, from another thread."""
        client = self._client
        if client is not None:
            with contextlib.suppress(OSError, AttributeError):
                client.socket().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*FAULTS):
                client.socket().settimeout(2)
                client.logout()
            with contextlib.suppress(*FAULTS):
                client.shutdown()


@contextlib.contextmanager
def in_words(what: str) -> Any:
    """Whatever goes wrong with the server, as one of our errors."""
    try:
        yield
    except SendError:
        raise
    except FAULTS as error:
        raise unavailable(what, error) from None


def in_plain_words(error: Exception) -> str:
    """What the server said: the libraries show its bytes as Python writes them."""
    return " ".join(AS_BYTES.sub(r"\2", str(error)).split())[:200]


def unavailable(what: str, error: Exception) -> Unavailable:
    said = in_plain_words(error)
    return Unavailable(f"The mail server could not {what}: {said or type(error).__name__}")
