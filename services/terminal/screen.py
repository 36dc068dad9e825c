"""The inbox as a screen of 80 by 24 and more. Draws what the desk knows; decides nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import ClassVar

from shopbell_client import Client, Conversation
from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.css.query import NoMatches
from textual.geometry import Region
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import Worker

from services.terminal import drawing
from services.terminal.desk import Desk, utc_now
from services.terminal.words import plain

__all__ = ["AgentScreen"]

_NOTICE_LASTS_S = 8.0
_DRAW_AFTER_S = 0.03  # a burst of events is one drawing


class AgentScreen(App[None]):
    """Conversations on the left, the open one on the right, the composer below it.

    A conversation counts as read by the agent only after it was on the screen for `dwell_s`: walking
    over the list with the arrow keys tells no customer anything.
    """

    ENABLE_COMMAND_PALETTE = False
    TITLE = "Shopbell"
    CSS = """
    Screen { layers: base; }
    #list { width: 30; border-right: solid $primary-darken-2; scrollbar-size-vertical: 1; }
    #head { height: 1; background: $primary-darken-3; padding: 0 1; }
    #thread { padding: 0 1; scrollbar-size-vertical: 1; }
    #typing { height: 1; padding: 0 1; color: $text-muted; }
    #notice { height: auto; max-height: 3; padding: 0 1; color: $text-error; display: none; }
    #composer { height: 1; border: none; padding: 0 1; background: $surface-lighten-1; }
    #foot { height: 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "Previous", priority=True),
        Binding("down", "choose(1)", "Next", priority=True),
        Binding("f2,ctrl+n", "next_waiting", "Next waiting", priority=True),
        Binding("pageup", "scroll(-1)", "Older", priority=True),
        Binding("pagedown", "scroll(1)", "Newer", priority=True),
        Binding("ctrl+r", "refresh", "Refresh", priority=True),
        Binding("ctrl+q", "quit", "Quit", priority=True),
    ]

    def __init__(self, client: Client, *, now: Callable[[], datetime] = utc_now, dwell_s: float = 0.7) -> None:
        super().__init__()
        self.desk = Desk(client, now=now, on_change=self._draw_soon, on_notice=self._say)
        self.selected: str | None = None
        self._now = now
        self.dwell_s = dwell_s
        self._visible = True
        self._dwelling: Timer | None = None
        self._drafts: dict[str, str] = {}
        self._order: list[str] = []
        self._place: int | None = None
        self._drawing_due = False

    def compose(self) -> ComposeResult:
        with Horizontal():
            with VerticalScroll(id="list", can_focus=False):
                yield Static(id="rows", markup=False)
            with Vertical():
                yield Static(id="head", markup=False)
                with VerticalScroll(id="thread", can_focus=False):
                    yield Static(id="messages", markup=False)
                yield Static(id="typing", markup=False)
                yield Static(id="notice", markup=False)
                yield Input(id="composer", placeholder="Choose a conversation first", compact=True)
        yield Static(id="foot", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        self.set_interval(1.0, self._draw)  # waiting times grow, typing fades
        self.run_worker(self.desk.work())
        self._draw()

    def action_choose(self, step: int) -> None:
        if not self._order:
            return
        place = self._order.index(self.selected) + step if self.selected in self._order else 0
        self.choose(self._order[max(0, min(place, len(self._order) - 1))])

    def action_next_waiting(self) -> None:
        waiting = self.desk.inbox.next_waiting(self.selected)
        if waiting is None:
            self._say("Nobody is waiting.")
        else:
            self.choose(waiting)

    def action_scroll(self, direction: int) -> None:
        thread = self.query_one("#thread", VerticalScroll)
        if direction < 0 and thread.scroll_y <= 0 and self.selected is not None:
            self._begin(partial(self._older, self.selected), "older")
        thread.scroll_relative(y=direction * (thread.size.height - 1), animate=False)

    async def _older(self, conversation_id: str) -> None:
        """Fetch the page before and stay at what was on top."""
        thread = self.query_one("#thread", VerticalScroll)
        height = thread.virtual_size.height
        if await self.desk.older(conversation_id) and conversation_id == self.selected:
            self._draw()
            self.call_after_refresh(lambda: thread.scroll_to(y=_grown(thread, height), animate=False))

    def action_refresh(self) -> None:
        self._begin(partial(self.desk.refresh, self.selected), "refresh")

    def choose(self, conversation_id: str) -> None:
        """Show a conversation; what was half written to another one is kept with that one."""
        if conversation_id == self.selected:
            return
        if self.selected is not None:
            self._drafts[self.selected] = self.query_one(Input).value
        self.selected = conversation_id
        self._look_away()
        self._write(self._drafts.pop(conversation_id, ""))
        self._say("")
        self._begin(partial(self._show, conversation_id), "show")
        self._draw()

    async def _show(self, conversation_id: str) -> None:
        await self.desk.open(conversation_id)
        self._draw()
        self.query_one("#thread", VerticalScroll).scroll_end(animate=False)

    def _begin(self, work: Callable[[], Coroutine[None, None, None]], group: str) -> Worker[None]:
        """Do it beside the drawing; of a group only the last one goes on.

        A function, not its coroutine: one that is overtaken before it began would be complained of.
        """
        return self.run_worker(work, group=group, exclusive=True)

    @on(Input.Submitted)
    def _submit(self, submitted: Input.Submitted) -> None:
        text = submitted.value.strip()
        if not text or self.selected is None:
            return
        self._write("")
        self.run_worker(self._send(self.selected, text), group="send")

    async def _send(self, conversation_id: str, text: str) -> None:
        if await self.desk.send(conversation_id, text) is not None:
            self.query_one("#thread", VerticalScroll).scroll_end(animate=False)
        elif self.selected != conversation_id:
            self._drafts[conversation_id] = self._drafts.get(conversation_id) or text
        elif not self.query_one(Input).value:
            self._write(text)

    def _write(self, text: str) -> None:
        """Put a draft into the composer; that is not typing."""
        composer = self.query_one(Input)
        with self.prevent(Input.Changed):
            composer.value = text
        composer.cursor_position = len(text)

    @on(Input.Changed)
    def _composing(self, changed: Input.Changed) -> None:
        if changed.value and self.selected is not None:
            self.run_worker(self.desk.typing(self.selected), group="typing")

    @on(events.Click, "#rows")
    def _click(self, click: events.Click) -> None:
        place = click.y // drawing.ROW_HEIGHT
        if place < len(self._order):
            self.choose(self._order[place])

    def on_app_focus(self) -> None:
        self._visible = True
        self._draw_soon()

    def on_app_blur(self) -> None:
        self._visible = False
        self._look_away()

    def _draw_soon(self) -> None:
        if not self._drawing_due and self.is_running:
            self._drawing_due = True
            self.set_timer(_DRAW_AFTER_S, self._draw)

    def _draw(self) -> None:
        self._drawing_due = False
        with contextlib.suppress(NoMatches):  # while the screen is left, a last tick finds parts of it gone
            self._draw_list()
            self._draw_thread()
            self._put("#foot", drawing.foot(self.desk.connection, self.size.width))
            self._read_if_seen()

    def _draw_list(self) -> None:
        conversations = self.desk.inbox.ordered()
        self._order = [one.id for one in conversations]
        pane = self.query_one("#list", VerticalScroll)
        width = max(pane.scrollable_content_region.width, 10)
        self._put("#rows", drawing.rows(self.desk.inbox, self.selected, self._now(), width))
        place = self._order.index(self.selected) if self.selected in self._order else None
        if place is not None and place != self._place:  # else it is the mouse wheel's to scroll
            top = place * drawing.ROW_HEIGHT
            pane.scroll_to_region(Region(0, top, 1, drawing.ROW_HEIGHT), animate=False)
        self._place = place

    def _draw_thread(self) -> None:
        inbox, selected = self.desk.inbox, self.selected
        conversation = inbox.conversations.get(selected or "")
        self._put("#head", drawing.head(conversation, inbox))
        pane = self.query_one("#thread", VerticalScroll)
        at_end = pane.scroll_y >= pane.max_scroll_y
        if self._put("#messages", self._thread(conversation, pane)) and at_end:
            pane.scroll_end(animate=False)
        typing = conversation is not None and inbox.is_typing(conversation.id, self._now())
        self._put("#typing", drawing.typing(conversation if typing else None))
        if conversation is not None:
            self.query_one(Input).placeholder = drawing.invitation(conversation)

    def _thread(self, conversation: Conversation | None, pane: VerticalScroll) -> drawing.Drawn:
        if conversation is None:
            return drawing.welcome(self.desk.inbox)
        messages = self.desk.inbox.messages(conversation.id)
        return drawing.thread(messages, pane.scrollable_content_region.width)

    def _put(self, where: str, shown: drawing.Drawn) -> bool:
        """Show it if it is not shown already: over ssh every repaint costs."""
        place = self.query_one(where, Static)
        if isinstance(place.content, drawing.Drawn) and place.content.is_same(shown):
            return False
        place.update(shown)
        return True

    def _read_if_seen(self) -> None:
        selected = self.selected
        if selected is None or self._dwelling is not None or not self._visible:
            return
        if self.desk.inbox.unread_up_to(selected) is not None:
            self._dwelling = self.set_timer(self.dwell_s, lambda: self._read(selected))

    def _read(self, conversation_id: str) -> None:
        if conversation_id != self.selected or not self._visible:
            return
        self._dwelling = None
        self.run_worker(self.desk.mark_read(conversation_id), group="read")

    def _look_away(self) -> None:
        """What was on the screen so far does not count for the next look."""
        if self._dwelling is not None:
            self._dwelling.stop()
            self._dwelling = None

    def _say(self, sentence: str) -> None:
        """Show a sentence for a while; an empty one takes it away."""
        notice = self.query_one("#notice", Static)
        notice.update(plain(sentence))
        notice.display = bool(sentence)
        if sentence:
            self.set_timer(_NOTICE_LASTS_S, lambda: self._unsay(plain(sentence)))

    def _unsay(self, sentence: str) -> None:
        notice = self.query_one("#notice", Static)
        if str(notice.content) == sentence:
            notice.display = False


def _grown(pane: VerticalScroll, height: int) -> int:
    """Return by how many lines the pane's content is higher than before, less one page."""
    return max(0, pane.virtual_size.height - height - pane.size.height + 1)
