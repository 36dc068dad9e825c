"""The product as a real process: `shopbell up` on a folder of its own, watched, killed, and never left behind."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from shopbell_client import Client
from shopbell_client.content import Text

from services.demo_file import Demo, read_demo

READY_WITHIN_S: Final = 40.0
SAID: Final = "Is the red one in stock?"  # what is in a used folder
WELCOME_ENDS: Final = "Ctrl-C stops everything"


@dataclass
class Up:
    """A `shopbell up` that was started; `text` is what it has said so far, errors included."""

    process: asyncio.subprocess.Process
    data_dir: Path
    started_at: float
    text: str = ""
    ready_s: float | None = None
    _reading: "asyncio.Task[None] | None" = field(default=None, repr=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        found = re.search(r"http://[\w.:\[\]-]+:\d+", self.text)
        assert found is not None, self.text
        return found[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def demo(self) -> Demo:
        demo = read_demo(self.data_dir)
        assert demo is not None
        return demo

    def client(self) -> Client:
        return Client(self.url, self.demo.key)

    async def read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(4096):
            self.text += chunk.decode(errors="replace")
            if self.ready_s is None and WELCOME_ENDS in self.text:
                self.ready_s = time.monotonic() - self.started_at
            self._news.set()
        self._news.set()

    async def ready(self) -> "Up":
        """Wait for the welcome."""
        async with asyncio.timeout(READY_WITHIN_S):
            while self.ready_s is None:
                assert not self._ended(), f"it ended with {self.process.returncode}: {self.text}"
                self._news.clear()
                await self._news.wait()
        return self

    def _ended(self) -> bool:
        return self._reading is not None and self._reading.done()

    def send(self, sign: signal.Signals) -> None:
        """To the whole group, as a terminal does it."""
        os.killpg(self.process.pid, sign)

    async def ended(self, timeout_s: float = 20.0) -> int:
        """Wait for the end and everything that was said until then; the exit code."""
        async with asyncio.timeout(timeout_s):
            code = await self.process.wait()
            if self._reading is not None:
                await self._reading
        return code

    async def stop(self, sign: signal.Signals = signal.SIGINT) -> tuple[int, float]:
        """(exit code, seconds)."""
        at = time.monotonic()
        self.send(sign)
        return await self.ended(), time.monotonic() - at

    async def kill(self) -> None:
        """As the kernel does it when memory runs out: this process alone, the database stays."""
        self.process.kill()
        await self.process.wait()


def clean_environment(**more: str) -> dict[str, str]:
    """Ours without settings of the product."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("SHOPBELL_")}
    return {name: value for name, value in kept.items() if name != "MAKELEVEL"} | more


@contextlib.asynccontextmanager
async def started(
    data_dir: Path,
    *args: str,
    port: int = 0,
    demo: bool = True,
    env: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    cwd: Path | None = None,
    alone: bool = True,
) -> AsyncIterator[Up]:
    """`shopbell up`, not waited for; whatever works in its folder is killed at the end, if it is `alone` there."""
    command = [*before, sys.executable, "-m", "services", "up", "--port", str(port), "--data-dir", str(data_dir)]
    at = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        *(["--demo"] if demo else []),
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env=clean_environment(**(env or {})),
        cwd=cwd or data_dir.parent,
    )
    up = Up(process, data_dir, at)
    up._reading = asyncio.create_task(up.read())
    try:
        yield up
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if alone:
            end_all(processes_of(data_dir))
        await up._reading


@contextlib.asynccontextmanager
async def running_up(
    data_dir: Path, *args: str, port: int = 0, env: Mapping[str, str] | None = None, alone: bool = True
) -> AsyncIterator[Up]:
    """`shopbell up --demo`, ready."""
    async with started(data_dir, *args, port=port, env=env, alone=alone) as up:
        yield await up.ready()


async def fails(
    data_dir: Path, *args: str, port: int = 0, env: Mapping[str, str] | None = None, alone: bool = True
) -> str:
    """What a start that cannot succeed says; it must end by itself, with an error, in words."""
    async with started(data_dir, *args, port=port, env=env, alone=alone) as up:
        code = await up.ended()
    assert code == 1, (code, up.text)
    assert "Traceback" not in up.text
    assert up.text.startswith("shopbell: "), up.text
    return up.text.strip()


def processes_of(data_dir: Path) -> list[int]:
    """Every living process that names the folder or works in it."""
    name, found = os.fsencode(data_dir), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) == os.getpid():
                continue
            works = os.fsencode(os.readlink(entry / "cwd"))
            if name in (entry / "cmdline").read_bytes() or works == name or works.startswith(name + b"/"):
                found.append(int(entry.name))
    return found


def end_all(pids: Sequence[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}/cwd").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)


def server_pid(data_dir: Path) -> int:
    """The pid of the folder's PostgreSQL."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def group_members(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state != "Z":
                found.append(int(entry.name))
    return found


async def say(up: Up, *texts: str) -> None:
    """Have a new shopper write these lines; each is acknowledged when this returns."""
    from tests.support.visitor import new_visitor

    visitor = await new_visitor(up.url, up.demo.channel)
    async with httpx.AsyncClient() as http:
        for text in texts:
            (await visitor.post(http, text)).raise_for_status()


async def texts_of(up: Up) -> list[str]:
    """Every text that shoppers have written, as the API shows it."""
    async with up.client() as client:
        return [
            message.content.text
            async for conversation in client.conversations.iterate()
            async for message in client.messages.iterate(conversation.id)
            if message.direction == "in" and isinstance(message.content, Text)
        ]
