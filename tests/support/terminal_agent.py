"""The agent as a real process: `shopbell agent --plain`, whose lines are read and to whom lines are typed."""

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support.process import Up, clean_environment


@dataclass
class TerminalAgent:
    """`lines` is everything the agent's terminal has shown."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition, repr=False)

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._news:
                self.lines.append(line.decode().rstrip())
                self._news.notify_all()

    async def shows(self, pattern: str, timeout_s: float = 30, *, after: int = 0) -> "re.Match[str]":
        """Wait for a line that has this in it, among those after the first so many."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found[:] = [match for line in self.lines[after:] if (match := re.search(pattern, line))]
            return bool(found)

        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(look)
        except TimeoutError:
            raise AssertionError(f"no line with {pattern!r} in:\n" + "\n".join(self.lines)) from None
        return found[0]

    async def conversation_of(self, text: str) -> str:
        """The id of the conversation in which this was written."""
        return (await self.shows(rf"\((cnv_\w+)\): {re.escape(text)}"))[1]

    async def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    def count(self, text: str) -> int:
        """How often a customer's line was shown."""
        return sum(line.endswith(f"): {text}") for line in self.lines)


@contextlib.asynccontextmanager
async def terminal_agent(up: Up) -> AsyncIterator[TerminalAgent]:
    """The demo's agent at work."""
    place = ["--port", str(up.port), "--data-dir", str(up.data_dir)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", "agent", "--plain", *place,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        cwd=up.data_dir.parent, env=clean_environment(PYTHONIOENCODING="utf-8"),
    )  # fmt: skip
    agent = TerminalAgent(process)
    reading = asyncio.create_task(agent.read())
    try:
        await agent.shows(r"^-- \d+ waiting")
        yield agent
        await agent.type("/quit")
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading
