"""The inbox line by line, for scripts and screen readers: one event, one line, flushed at once."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from shopbell_client import Client, ConnectionState, Conversation, Event, Message

from services.terminal.desk import Desk, utc_now
from services.terminal.ticks import tick
from services.terminal.words import about, author, body, clock, first_line, marks, name, plain, waited

__all__ = ["PlainInbox", "run_plain"]

HELP = "Write a line to answer. /list, /open N, /open (whoever wrote last), /quit."
_HISTORY_LINES = 20
_CONNECTION = {"connected": "connected", "lost": "connection lost, trying again"}


class PlainInbox:
    """Prints what happens and obeys lines. Leave by `/quit` or the end of the input."""

    def __init__(self, client: Client, write: Callable[[str], None], *, now: Callable[[], datetime] = utc_now) -> None:
        self._write = write
        self._now = now
        self._chosen: str | None = None
        self._newest: str | None = None
        self._listed: list[str] = []
        self._shown: dict[str, str] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._told: ConnectionState = "connecting"
        self._desk = Desk(client, now=now, on_change=self._changed, on_event=self._happened, on_notice=self._notice)

    @property
    def current(self) -> str | None:
        """The conversation that the next line answers."""
        return self._chosen or self._newest

    async def run(self, lines: asyncio.Queue[str | None]) -> bool:
        """Work until a line says so or the lines end (None): True; False when the token does not serve."""
        working = asyncio.create_task(self._desk.work())
        obeying = asyncio.create_task(self._obey_all(lines))
        try:
            done, _ = await asyncio.wait({working, obeying}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            return obeying in done
        finally:
            working.cancel()
            obeying.cancel()
            await asyncio.gather(working, obeying, return_exceptions=True)

    async def _obey_all(self, lines: asyncio.Queue[str | None]) -> None:
        await self._desk.loaded.wait()
        inbox = self._desk.inbox
        if self._newest is None:
            self._newest = next((one.id for one in inbox.ordered() if one.waiting_since), None)
        self._write(f"-- {len(inbox.waiting())} waiting. {HELP}")
        while (line := await lines.get()) is not None:
            if line.strip() == "/quit":
                return
            await self._obey(line.rstrip("\r\n"))

    async def _obey(self, line: str) -> None:
        command, _, argument = line.strip().partition(" ")
        match command:
            case "":
                return
            case "/list":
                self._list()
            case "/open":
                await self._open(argument.strip())
            case _ if command.startswith("/") and not command.startswith("//"):
                self._write(f"! No such command: {first_line(command)}. {HELP}")
            case _:
                await self._answer(line.removeprefix("/") if line.startswith("//") else line)

    def _list(self) -> None:
        conversations = self._desk.inbox.ordered()
        self._listed = [one.id for one in conversations]
        for number, conversation in enumerate(conversations, start=1):
            self._write(self._row(number, conversation))
        if not conversations:
            self._write("No conversations yet.")

    def _row(self, number: int, conversation: Conversation) -> str:
        since = conversation.waiting_since
        last = conversation.last_message
        facts = (
            conversation.channel.type,
            conversation.status if conversation.status != "open" else "",
            f"{conversation.unread} unread" if conversation.unread else "",
            f"waiting {waited(since, self._now())}" if since else "",
            *(marks(last) if last else ()),
        )
        told = ", ".join(first_line(fact) for fact in facts if fact)
        said = first_line(body(last))[:60] if last else ""
        words = ": ".join(filter(None, (told, about(conversation)[:60], said)))
        return f"{number}. {name(conversation.contact)} ({conversation.id}), {words}"

    async def _open(self, which: str) -> None:
        if not which:
            self._chosen = None
            self._write("Answers go to whoever wrote last.")
            return
        conversation_id = self._find(which)
        if conversation_id is None:
            self._write(f"! No conversation {first_line(which)!r}. /list numbers them.")
            return
        self._chosen = conversation_id
        await self._desk.open(conversation_id)
        self._write(f"-- {self._who(conversation_id)}")
        for message in self._desk.inbox.messages(conversation_id)[-_HISTORY_LINES:]:
            self._say(message)
            self._shown[message.id] = str(tick(message))
        await self._desk.mark_read(conversation_id)

    def _find(self, which: str) -> str | None:
        if which in self._desk.inbox.conversations:
            return which
        if not self._listed:
            self._listed = [one.id for one in self._desk.inbox.ordered()]
        number = int(which) if which.isascii() and which.isdigit() else 0
        return self._listed[number - 1] if 1 <= number <= len(self._listed) else None

    async def _answer(self, text: str) -> None:
        conversation_id = self.current
        if conversation_id is None:
            self._write("! Nobody has written yet. /list shows all conversations, /open N chooses one.")
            return
        await self._desk.open(conversation_id)
        await self._desk.mark_read(conversation_id)
        await self._desk.send(conversation_id, text)

    def _happened(self, event: Event) -> None:
        if not isinstance(event.data, Message):
            return
        # The inbox knows more than an event that comes late: an answer may overtake it.
        message = self._desk.inbox.threads.get(event.data.conversation, {}).get(event.data.id, event.data)
        if event.type in {"message.edited", "message.deleted"}:
            self._say(message)
        elif message.direction == "out":
            self._show_sent(message)
        elif message.id not in self._shown:
            self._show_received(message)

    def _show_received(self, message: Message) -> None:
        self._shown[message.id] = message.status
        self._newest = message.conversation
        self._say(message)
        if message.conversation == self._chosen:
            self._read_soon(message.conversation)

    def _show_sent(self, message: Message) -> None:
        """Print a line whenever it came further; before it, once, what somebody else wrote."""
        if message.id not in self._shown and not self._is_mine(message):
            self._say(message)
        shown = str(tick(message))
        if self._shown.get(message.id) != shown:
            self._shown[message.id] = shown
            self._write(f"[{clock(self._now())}] {shown} ({message.id}): {first_line(body(message))[:60]}")

    def _say(self, message: Message) -> None:
        who = author(message)
        told = ["note" if message.visibility == "internal" else "", *marks(message)]
        note = "".join(f", {word}" for word in told if word)
        # Indented: a line of a message must not look like a line of ours.
        said = body(message).replace("\n", "\n    ")
        self._write(f"[{clock(message.created_at)}] {who} ({message.conversation}{note}): {said}")

    def _read_soon(self, conversation_id: str) -> None:
        task = asyncio.create_task(self._desk.mark_read(conversation_id))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _is_mine(self, message: Message) -> bool:
        me = self._desk.me
        return me is not None and message.author.id == me.principal.id

    def _who(self, conversation_id: str) -> str:
        conversation = self._desk.inbox.conversations.get(conversation_id)
        who = f"{name(conversation.contact if conversation else None)} ({conversation_id})"
        return ": ".join(filter(None, (who, about(conversation) if conversation else "")))

    def _changed(self) -> None:
        state = self._desk.connection
        if state not in {self._told, "connecting"}:
            self._told = state
            self._write(f"-- {_CONNECTION.get(state, state)}")

    def _notice(self, sentence: str) -> None:
        self._write(f"! {plain(sentence)}")


async def run_plain(client: Client) -> None:
    """Run on the standard streams; SystemExit(1) when the token does not serve."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode must not end the work
    if not await PlainInbox(client, _print).run(lines_of(sys.stdin)):
        raise SystemExit(1)


def lines_of(stream: TextIO) -> asyncio.Queue[str | None]:
    """Return a queue of the stream's lines, None at its end, for any kind of file, pipe or terminal."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    # Unbuffered: a buffer's lock, held by a thread that waits, would stop the interpreter from ending.
    source = open(stream.fileno(), "rb", buffering=0, closefd=False)  # noqa: SIM115

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            for line in source:
                loop.call_soon_threadsafe(lines.put_nowait, line.decode(stream.encoding, "replace"))
            loop.call_soon_threadsafe(lines.put_nowait, None)

    # A daemon: a thread that waits for a line must not keep the process from leaving.
    threading.Thread(target=read, daemon=True).start()
    return lines


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
