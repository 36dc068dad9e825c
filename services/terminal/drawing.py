"""The pieces of the screen as styled text. Pure; what people wrote is never read as markup."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from shopbell_client import ConnectionState, Conversation, Message
from textual.content import Content as Drawn

from services.terminal.inbox import Inbox
from services.terminal.ticks import tick
from services.terminal.words import about, author, body, clock, first_line, marks, name, waited

__all__ = ["ROW_HEIGHT", "Drawn", "foot", "head", "invitation", "rows", "thread", "typing", "welcome"]

ROW_HEIGHT = 2
_LONG_WAIT = timedelta(minutes=5)
_SHORT = {"whatsapp": "WA", "telegram": "TG", "email": "@", "webchat": "web"}
_CONNECTION = {"connected": ("● live", "$success"), "connecting": ("◌ connecting", "$warning")}
_KEYS = (("↑↓", "choose"), ("F2 ^N", "next waiting"), ("PgUp", "older"), ("^R", "refresh"), ("^Q", "quit"))


def rows(inbox: Inbox, selected: str | None, now: datetime, width: int) -> Drawn:
    """Return the list, two lines per conversation, every line `width` cells wide."""
    drawn = [_row(one, selected, inbox.is_typing(one.id, now), now, width) for one in inbox.ordered()]
    return Drawn("\n").join(drawn)


def _row(one: Conversation, selected: str | None, typing: bool, now: datetime, width: int) -> Drawn:
    chosen = "reverse" if one.id == selected else ""
    quiet = "" if chosen else "dim"
    wait, wait_style = _wait(one, now)
    unread = f" {one.unread} " if one.unread else ""
    who = _fit(f" {name(one.contact)}", width - cell_len(wait) - 1)
    said = "is writing..." if typing else _last_line(one)
    channel = _SHORT.get(one.channel.type, first_line(one.channel.type)[:4])
    what = _fit(f" {channel} {said}", width - len(unread) - 1)
    return Drawn.assemble(
        (who, f"bold {chosen}" if one.unread else chosen),
        (f"{wait} ", chosen or wait_style),
        "\n",
        (what, f"italic {chosen}" if typing else chosen or quiet),
        (unread, "bold reverse"),
        (" ", chosen),
    )


def _wait(one: Conversation, now: datetime) -> tuple[str, str]:
    if one.waiting_since is None:
        return (first_line(one.status), "dim") if one.status != "open" else ("", "")
    long = now - one.waiting_since >= _LONG_WAIT
    return waited(one.waiting_since, now), "bold $error" if long else "$warning"


def _last_line(one: Conversation) -> str:
    last, subject = one.last_message, about(one)
    if last is None:
        return subject
    said = ("" if last.direction == "in" else f"{tick(last).mark} ") + first_line(body(last))
    return " ".join([*marks(last), f"{subject} · {said}" if subject else said])


def _fit(text: str, width: int) -> str:
    """Return the text in exactly `width` cells; wide characters count as two."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, max(width - 1, 0)).rstrip() + "…", width)


def head(one: Conversation | None, inbox: Inbox) -> Drawn:
    """Return the line over the thread: who, where, and what stands in the way of an answer."""
    if one is None:
        return Drawn.assemble(("Shopbell", "bold"), f"  {len(inbox.waiting())} waiting")
    where = first_line(one.channel.name or one.channel.type)
    told = [about(one), where, "" if one.status == "open" else first_line(one.status)]
    told.append(f"for {name(one.assignee)}" if one.assignee else "")
    return Drawn.assemble((name(one.contact), "bold"), "".join(f" · {fact}" for fact in told if fact))


def thread(messages: list[Message], width: int) -> Drawn:
    """Return the messages, oldest first, under the days they came on, no line over `width` cells."""
    if not messages:
        return Drawn.assemble(("No messages yet.", "dim"))
    drawn: list[Drawn] = []
    for day, those in groupby(messages, key=lambda one: one.created_at.astimezone().date()):
        drawn.append(Drawn.assemble((f"── {day:%A %d %B %Y} ──", "dim")))
        drawn += [_message(one, width) for one in those]
    return Drawn("\n").join(drawn)


def _message(one: Message, width: int) -> Drawn:
    inbound = one.direction == "in"
    note = one.visibility == "internal"
    title = Drawn.assemble(
        (f"{clock(one.created_at)} ", "dim"),
        (author(one), "bold $accent" if inbound else "bold"),
        (" note" if note else "", "$warning"),
        ("".join(f" {mark}" for mark in marks(one)), "bold $warning"),
        *(() if inbound or note else _fate(one)),
    )
    said = Drawn.assemble((body(one), "$warning" if note else ""))
    return Drawn("\n").join([title, *(line.pad_left(2) for line in said.wrap(max(width - 2, 1)))])


def _fate(one: Message) -> tuple[str | tuple[str, str], ...]:
    found = tick(one)
    return (" ", (str(found) if found.loud else found.mark, found.style))


def welcome(inbox: Inbox) -> Drawn:
    if not inbox.conversations:
        return Drawn.assemble(("No conversations yet. They appear here as customers write.", "dim"))
    return Drawn.assemble(("Choose a conversation with ↑ ↓, or F2 for whoever waits longest.", "dim"))


def typing(one: Conversation | None) -> Drawn:
    return Drawn.assemble((f"{name(one.contact)} is writing...", "italic")) if one else Drawn("")


def invitation(one: Conversation) -> str:
    """Return what the empty composer says, the closed reply window above all."""
    match one.reply_window.state:
        case "closed":
            return "The channel takes no answer now"
        case "template":
            return "The channel takes only templates now"
        case _:
            return "Write an answer, Enter sends"


def foot(connection: ConnectionState, width: int) -> Drawn:
    """Return the connection and, as far as they fit, the keys."""
    state, style = _CONNECTION.get(connection, ("○ no connection, trying again", "$error"))
    parts: list[str | tuple[str, str]] = [(f" {state} ", f"bold {style}")]
    used = cell_len(state) + 2
    for key, word in _KEYS:
        used += cell_len(f" {key} {word} ")
        if used <= width:
            parts += [(f" {key}", "bold"), (f" {word} ", "dim")]
    return Drawn.assemble(*parts)
