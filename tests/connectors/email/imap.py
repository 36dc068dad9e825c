"""Real IMAP servers for tests, pymap and Dovecot, each on a free port of loopback; and a line that can be cut.

Dovecot is started with a configuration of its own, whatever else is set up or runs on the machine.
"""

import asyncio
import contextlib
import imaplib
import itertools
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import pytest

HOST: Final = "127.0.0.1"
PASSWORD: Final = "canary-mailbox-77e1"
OPEN_WITHIN_S: Final = 15.0
NUMBERS: Final = itertools.count(1)
DOVECOT: Final = "/usr/sbin/dovecot"
NO_DOVECOT: Final = "needs Dovecot: apt-get install dovecot-imapd"


@dataclass(frozen=True)
class Mailbox:
    """A mailbox of one test. `folder` is where mails come in, `sent` where mails from other programs are kept.

    `renumber` makes the server count anew, with another UIDVALIDITY; not while somebody has the mailbox open.
    """

    port: int
    user: str
    folder: str
    sent: str
    renumber: Callable[[], None]
    password: str = PASSWORD

    @contextlib.contextmanager
    def session(self) -> Iterator[imaplib.IMAP4]:
        client = imaplib.IMAP4(HOST, self.port, timeout=30)
        try:
            client.login(self.user, self.password)
            yield client
        finally:
            client.shutdown()

    def append(self, *mails: bytes, folder: str | None = None, at: datetime | None = None) -> None:
        """Deliver these; `at` is when the server says that it took them."""
        with self.session() as client:
            when = imaplib.Time2Internaldate(at) if at else ""
            for mail in mails:
                done(client.append(folder or self.folder, "", when, mail))

    def flags(self, folder: str | None = None) -> list[bytes]:
        """What is marked on each mail, in their order."""
        with self.session() as client:
            done(client.select(folder or self.folder, readonly=True))
            told = done(client.fetch("1:*", "(FLAGS)"))
            return [b" ".join(imaplib.ParseFlags(one)) for one in told if isinstance(one, bytes)]

    def mark(self, which: str, flag: str = "\\Seen") -> None:
        """Set a flag, as another program does it; `which` are places in the folder, such as 1:3."""
        with self.session() as client:
            done(client.select(self.folder))
            done(client.store(which, "+FLAGS", f"({flag})"))

    def expunge(self, which: str) -> None:
        with self.session() as client:
            done(client.select(self.folder))
            done(client.store(which, "+FLAGS", "(\\Deleted)"))
            done(client.expunge())

    def validity(self) -> bytes:
        with self.session() as client:
            done(client.select(self.folder, readonly=True))
            (told,) = client.response("UIDVALIDITY")[1]
            assert told is not None
            return bytes(told)


def done(answer: tuple[str, Any]) -> Any:
    assert answer[0] == "OK", answer
    return answer[1]


@dataclass(frozen=True)
class Server:
    """A server that runs. `mailbox` makes an empty one that no other test sees."""

    kind: str
    port: int
    log: Path
    mailbox: Callable[[], Mailbox]


# pymap

# The package has no __main__, and its script may be anywhere. As it hashes passwords, a login would take 0.2 s.
PYMAP: Final = """
import sys
from pymap.main import main
from pysasl.hashing import BuiltinHash
BuiltinHash.__init__.__kwdefaults__["rounds"] = 1
sys.exit(main())
"""


@contextlib.contextmanager
def running_pymap() -> Iterator[Server]:
    """pymap with its backend in memory: it has APPEND, IDLE, UIDVALIDITY, UIDNEXT and SEARCH by UID and by SINCE.

    One account, so every test has folders of its own. Of a mail that came just before IDLE it tells only afterwards.
    """
    user, port = "help@shop.example", free_port()
    with tempfile.TemporaryDirectory(prefix="pymap-") as folder:
        log = Path(folder) / "log"
        start = [sys.executable, "-c", PYMAP]
        options = ["--host", HOST, "--port", str(port), "--no-tls", "dict", "--demo-user", user]
        with started([*start, *options, "--demo-password", PASSWORD], log, port):
            yield Server("pymap", port, log, lambda: new_folder(port, user))


def new_folder(port: int, user: str) -> Mailbox:
    name = f"box{next(NUMBERS)}"
    box = Mailbox(port, user, name, f"{name}-sent", lambda: renumber_by_hand(box))
    with box.session() as client:
        done(client.create(box.folder))
        done(client.create(box.sent))
    return box


def renumber_by_hand(box: Mailbox) -> None:
    """The folder is made again with the same mails."""
    with box.session() as client:
        done(client.select(box.folder, readonly=True))
        told = done(client.fetch("1:*", "(INTERNALDATE BODY.PEEK[])"))
        mails = [(one[0], one[1]) for one in told if isinstance(one, tuple)]
    with box.session() as client:
        done(client.delete(box.folder))
        done(client.create(box.folder))
        for head, mail in mails:
            when = re.search(rb'INTERNALDATE ("[^"]+")', head)
            assert when is not None
            done(client.append(box.folder, "", when[1].decode(), mail))


# Dovecot

CONFIG: Final = """
protocols = {protocols}
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {log}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_max_userip_connections = 50
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home/%Lu
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = create
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
{more}
"""
# Dovecot gives up its rights where it is started by root. Started by anybody else it has none to give up.
WITHOUT_ROOT: Final = """
default_internal_user = {me}
default_internal_group = {group}
default_login_user = {me}
service imap-login {{
  chroot =
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def require(program: str, reason: str) -> str:
    """The program; without it the test is skipped, but not where everything has to be proven."""
    found = shutil.which(program) or (program if Path(program).exists() else None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextlib.contextmanager
def running_dovecot(*, more: str = "", protocols: str = "imap") -> Iterator[Server]:
    """Dovecot with maildirs in a folder of its own; every name is an account, with the same password."""
    program, port = require(DOVECOT, NO_DOVECOT), free_port()
    with tempfile.TemporaryDirectory(prefix="dovecot-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # who reads the mails is not who started it
        log, home = folder / "log", folder / "home"
        home.mkdir()
        owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        os.chown(home, owner.pw_uid, owner.pw_gid)
        own = "" if os.geteuid() == 0 else WITHOUT_ROOT.format(me=owner.pw_name, group=owner.pw_gid)
        config = folder / "dovecot.conf"
        config.write_text(
            CONFIG.format(
                protocols=protocols, folder=folder, log=log, password=PASSWORD, uid=owner.pw_uid, gid=owner.pw_gid,
                port=port, more=own + more.replace("{folder}", str(folder)),
            )
        )  # fmt: skip
        with started([program, "-F", "-c", str(config)], log, port):
            yield Server("dovecot", port, log, lambda: new_account(port, home))


def new_account(port: int, home: Path, user: str | None = None) -> Mailbox:
    user = user or f"help{next(NUMBERS)}@shop.example"
    return Mailbox(port, user, "INBOX", "Sent", lambda: forget_numbers(home / user / "Maildir"))


def forget_numbers(maildir: Path) -> None:
    """Without its lists Dovecot numbers the mails anew; which UIDVALIDITY was the last one it still knows."""
    lists = [maildir / "dovecot-uidlist", *maildir.glob("dovecot.index*"), *maildir.glob("dovecot.list.index*")]
    assert lists[0].exists()
    for one in lists:
        one.unlink(missing_ok=True)


# Programs


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(command: Sequence[str], log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The program, from when it answers at the port until the end of the block."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for_greeting(process, log, port)
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for_greeting(process: "subprocess.Popen[bytes]", log: Path, port: int) -> None:
    deadline = time.monotonic() + OPEN_WITHIN_S
    while True:
        assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text(errors='replace')}"
        try:
            with socket.create_connection((HOST, port), 5) as line:
                if line.recv(200):
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"it does not answer: {log.read_text(errors='replace')}"
        time.sleep(0.02)


# The line between a reader and a server

Where = Literal["before", "in", "after", "idle"]
BODY: Final = re.compile(rb"\* \d+ FETCH \([^\r\n]*?BODY\[\][^\r\n]*?\{(\d+)\}\r\n")
IDLING: Final = re.compile(rb"^\+ [^\r\n]*\r\n", re.MULTILINE)


@dataclass(frozen=True)
class Cut:
    """Where the line is cut: at the `at`-th byte from the server, or at the `nth` mail that it hands over.

    `before`: nothing of the mail came. `in`: half of it. `after`: all of it and nothing more. `idle`: while waiting.
    """

    where: Where | None = None
    at: int = 0
    nth: int = 1

    def offset(self, said: bytes) -> int | None:
        """The byte at which to cut, as soon as it is known from what the server said."""
        if self.where is None:
            return self.at
        if self.where == "idle":
            waits = next(itertools.islice(IDLING.finditer(said), self.nth - 1, None), None)
            return waits.end() if waits else None
        found, place = None, 0
        for _ in range(self.nth):  # step over each mail, so that its words are not taken for the server's
            found = BODY.search(said, place)
            if found is None:
                return None
            place = found.end() + int(found[1])
        assert found is not None
        if self.where == "before":
            return found.start()
        if self.where == "in":
            return found.end() + int(found[1]) // 2
        closed = said.find(b"\r\n", place)
        return None if closed < 0 else closed + 2


@dataclass
class Line:
    """A way to a server. What is planned in `cuts` happens to one connection after the other; then nothing does.

    `hidden`: what the server can do and the reader is not to know. `said`: by the server, on connections that are over.
    `early`, `joined`: what it tells just before it says that it waits, and in one packet with that, as it may.
    `halved`: what it says comes in two packets.
    """

    to: int
    port: int = 0
    hidden: tuple[bytes, ...] = ()
    early: bytes = b""
    joined: bytes = b""
    halved: bool = False
    cuts: list[Cut] = field(default_factory=list)
    connections: int = 0
    logins: int = 0
    idles: int = 0
    cut: int = 0
    said: list[bytes] = field(default_factory=list)
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: "set[asyncio.Task[None]]" = field(default_factory=set)
    _writers: "set[asyncio.StreamWriter]" = field(default_factory=set)

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._open)

    def stall(self) -> None:
        """Let nothing of the server's through any more, until `flowing` is set again."""
        self.flowing.clear()

    def break_all(self) -> None:
        """Cut every connection that is open."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        plan = self.cuts.pop(0) if self.cuts else None
        try:
            with contextlib.suppress(OSError):
                await self._connect(reader, writer, plan)
        finally:
            await hang_up(writer)
            self._open.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, plan: Cut | None) -> None:
        from_server, to_server = await asyncio.open_connection(HOST, self.to)
        self._writers |= {writer, to_server}
        said = bytearray()
        ways = [
            asyncio.create_task(self._there(reader, to_server)),
            asyncio.create_task(self._back(from_server, writer, plan, said)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.said.append(bytes(said))
            self._writers -= {writer, to_server}
            await hang_up(to_server)

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            self.logins += len(re.findall(rb"^\S+ LOGIN ", chunk, re.MULTILINE))
            writer.write(chunk)
            await writer.drain()

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, plan: Cut | None, said: bytearray
    ) -> None:
        passed = 0
        while chunk := await reader.read(65536):
            await self.flowing.wait()
            if b"CAPABILITY" in chunk:
                for word in self.hidden:
                    chunk = chunk.replace(b" " + word, b"")
            if self.early or self.joined:
                chunk = IDLING.sub(lambda waits: self.early + waits.group() + self.joined, chunk)
            self.idles += len(IDLING.findall(chunk))
            said += chunk
            offset = plan.offset(bytes(said)) if plan else None
            over = offset is not None and offset <= len(said)
            news = bytes(said[passed : max(offset or 0, passed) if over else len(said)])
            if self.halved:
                writer.write(news[: len(news) // 2])
                await writer.drain()
                await asyncio.sleep(0.02)
                news = news[len(news) // 2 :]
            writer.write(news)
            await writer.drain()
            passed = len(said)
            if over:
                self.cut += 1
                return


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def line_to(port: int, *, hidden: Sequence[bytes] = (), cuts: Sequence[Cut] = ()) -> AsyncIterator[Line]:
    """A line to the server at the port, for as long as the block lasts."""
    line = Line(port, hidden=tuple(hidden), cuts=[*cuts])
    line.flowing.set()
    server = await asyncio.start_server(line.serve, HOST, 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        line.flowing.set()
        line.break_all()
        await asyncio.gather(*line._open, return_exceptions=True)
        await server.wait_closed()
