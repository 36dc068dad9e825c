"""The site chat as a channel. A send is a wake-up: what a visitor sees is read from the conversation itself."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from connectors.webchat.capabilities import CAPABILITIES
from connectors.webchat.config import WebChatConfig
from connectors.webchat.forms.limits import FormLimits
from connectors.webchat.inbound import CHANNEL_TYPE
from shared.bus import Hint
from shared.commands import MarkRead, SendMessage, Sent, SetTyping
from shared.connector import ASGIApp, ChannelType, Connector, Health, Host, Port
from shared.errors import BusError
from shared.ids import VISITOR, new_id
from shared.model import Model
from shared.signing import BadToken, derive_key, read_claims, sign_claims
from shared.subjects import (
    CHANNEL,
    STAFFED,
    THREAD,
    ChannelQuestion,
    ChannelRecord,
    StaffedQuestion,
    ThreadPage,
    ThreadQuestion,
)

TOKEN_TTL_S: Final = 365 * 86_400  # renewed at each visit
TOKENS_REMEMBERED: Final = 10_000
MAIL_TYPE: Final = "email"
SOCKETS_MAX: Final = 10  # of one visitor: tabs and devices


class ThreadChanged(Model):
    """Something changed for a visitor, or someone types to them. For the processes that hold their sockets."""

    channel_id: str
    peer: str
    typing: bool | None = None
    name: str | None = None


THREAD_CHANGED: Final = Hint("webchat.thread_changed", ThreadChanged)


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket's ears."""

    wake: Callable[[], None]
    show_typing: Callable[[bool, str | None], None]
    leave: Callable[[float], None]


class WebChat(Connector):
    """One site's chat: its visitors' tokens and sockets."""

    channel_type: ClassVar[ChannelType] = ChannelType(CHANNEL_TYPE, "Site chat", CAPABILITIES, WebChatConfig)

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        assert isinstance(port.config, WebChatConfig)
        self.config = port.config
        self._token_key = derive_key(port.config.signing_key.get_secret_value().encode(), "visitor tokens")
        self.form_limits = FormLimits()
        self._tokens: dict[str, tuple[str, int]] = {}
        self._listeners: dict[str, set[Listener]] = {}
        self._closed = False
        self._stop_listening = port.bus.listen(THREAD_CHANGED, self._on_change)

    # Visitors

    def new_token(self, visitor: str | None = None) -> tuple[str, str, int]:
        """(visitor, token, expiry in seconds since 1970). Without a visitor, a new one."""
        visitor = visitor or new_id(VISITOR)
        expires = int(self.port.clock().timestamp()) + TOKEN_TTL_S
        claims: dict[str, str | int] = {"v": visitor, "c": self.port.channel_id, "exp": expires}
        return visitor, sign_claims(self._token_key, claims), expires

    def visitor_of(self, token: str) -> str:
        """Who holds this token; raises `BadToken`. What was checked is remembered: a chat says it with every line."""
        now_s = self.port.clock().timestamp()
        known = self._tokens.get(token)
        if known is not None and known[1] > now_s:
            return known[0]
        claims = read_claims(self._token_key, token, now_s=now_s)
        visitor, expires = claims.get("v"), claims["exp"]
        if claims.get("c") != self.port.channel_id or not isinstance(visitor, str):
            raise BadToken("of another channel")
        if len(self._tokens) >= TOKENS_REMEMBERED:
            self._tokens.clear()
        self._tokens[token] = visitor, int(expires)
        return visitor

    async def thread(self, visitor: str, after: str | None) -> ThreadPage:
        """What changed for a visitor since the cursor. Raises `BusError`."""
        return await self.port.bus.request(
            THREAD, ThreadQuestion(channel_id=self.port.channel_id, peer=visitor, after=after)
        )

    async def is_answering(self) -> bool:
        """Whether a person of the shop is there. If that cannot be known just now, the chat is as it always is."""
        try:
            question = StaffedQuestion(channel_id=self.port.channel_id)
            return (await self.port.bus.request(STAFFED, question)).answering
        except BusError:
            return True

    async def forms_mailbox(self) -> ChannelRecord | None:
        """The e-mail channel by which forms are answered, if there is one in this shop. Raises `BusError`."""
        wanted = self.config.forms_to
        if wanted is None:
            return None
        question = ChannelQuestion(channel_type=MAIL_TYPE, channel_id=wanted, beside=self.port.channel_id)
        return (await self.port.bus.request(CHANNEL, question)).channel

    # Sockets

    def join(self, visitor: str, listener: Listener) -> bool:
        """False if the visitor has too many sockets. One that comes after the end is told to come back at once."""
        if self._closed:
            listener.leave(random_pause_s())
            return True
        listeners = self._listeners.setdefault(visitor, set())
        if len(listeners) >= SOCKETS_MAX:
            return False
        listeners.add(listener)
        return True

    def part(self, visitor: str, listener: Listener) -> None:
        listeners = self._listeners.get(visitor, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(visitor, None)

    def changed(self, visitor: str) -> None:
        """Wake the visitor's sockets, wherever they are."""
        self.port.bus.signal(THREAD_CHANGED, ThreadChanged(channel_id=self.port.channel_id, peer=visitor))

    def _on_change(self, hint: ThreadChanged) -> None:
        if hint.channel_id != self.port.channel_id:
            return
        for listener in self._listeners.get(hint.peer, ()):
            if hint.typing is None:
                listener.wake()
            else:
                listener.show_typing(hint.typing, hint.name)

    # Ours to theirs

    async def send(self, command: SendMessage) -> Sent:
        self.changed(command.address.peer)
        return Sent(external_ids=(command.message_id,))

    async def mark_read(self, command: MarkRead) -> None:
        self.changed(command.address.peer)

    async def set_typing(self, command: SetTyping) -> None:
        self.port.bus.signal(
            THREAD_CHANGED,
            ThreadChanged(
                channel_id=self.port.channel_id,
                peer=command.address.peer,
                typing=command.on,
                name=command.author_name,
            ),
        )

    async def check(self) -> Health:
        """Whether contact forms find the mailbox that the settings name."""
        mailbox = await self.forms_mailbox()
        if self.config.forms_to is None or (mailbox is not None and mailbox.active):
            return Health()
        return Health(
            ("`forms_to` names no active e-mail channel of this shop, so contact forms land in the chat; correct it.",)
        )

    async def close(self) -> None:
        """Tell every socket to come back after a pause of its own, so that they do not all come at once."""
        self._closed = True
        self._stop_listening()
        for listeners in tuple(self._listeners.values()):
            for listener in tuple(listeners):
                listener.leave(random_pause_s())

    @classmethod
    def mounts(cls, host: Host) -> Mapping[str, ASGIApp]:
        from connectors.webchat.server import chat_app, widget_app

        return {"/chat": chat_app(host), "/widget": widget_app(host)}


def random_pause_s(longest_s: float = 2.0) -> float:
    return random.uniform(longest_s / 10, longest_s)  # noqa: S311 - a spread, not a secret
