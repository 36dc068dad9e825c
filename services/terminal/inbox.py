"""What an agent sees, folded from lists and events. Pure: no clock, no network, no screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shopbell_client import Contact, Conversation, Event, Message, TypingSignal

__all__ = ["Inbox", "fold", "merge"]

TYPING_LASTS = timedelta(seconds=8)  # senders repeat the signal about every 3 s

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LADDER = {status: rank for rank, status in enumerate(("queued", "accepted", "sent", "delivered", "read"), start=1)}


@dataclass(frozen=True)
class Inbox:
    """One moment of the inbox. `threads` holds only the conversations that were opened.

    `unknown` names conversations that events spoke of and no list has shown yet.
    """

    conversations: Mapping[str, Conversation] = field(default_factory=dict)
    threads: Mapping[str, Mapping[str, Message]] = field(default_factory=dict)
    typing_until: Mapping[str, datetime] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()

    def ordered(self) -> list[Conversation]:
        """Return the conversations, the last one that moved first."""
        return sorted(self.conversations.values(), key=_last_moved, reverse=True)

    def waiting(self) -> list[Conversation]:
        """Return those whose customer waits for an answer, the longest wait first."""
        found = [one for one in self.conversations.values() if one.waiting_since is not None]
        return sorted(found, key=lambda one: (one.waiting_since or _LONG_AGO, one.id))

    def next_waiting(self, current: str | None) -> str | None:
        """Return who waits longest; from one of them the next, and round again."""
        ids = [one.id for one in self.waiting()]
        if not ids:
            return None
        return ids[(ids.index(current) + 1) % len(ids)] if current in ids else ids[0]

    def messages(self, conversation_id: str) -> list[Message]:
        """Return the thread, oldest first."""
        thread = self.threads.get(conversation_id, {})
        return sorted(thread.values(), key=lambda message: message.seq)

    def is_typing(self, conversation_id: str, now: datetime) -> bool:
        until = self.typing_until.get(conversation_id)
        return until is not None and now < until

    def unread_up_to(self, conversation_id: str) -> Message | None:
        """Return the newest inbound message of an open thread if no agent has read it yet."""
        conversation = self.conversations.get(conversation_id)
        newest = _newest_inbound(self.messages(conversation_id))
        if conversation is None or newest is None:
            return None
        return newest if conversation.unread or newest.seq > conversation.agent_read_seq else None

    def with_conversations(self, found: Iterable[Conversation]) -> Inbox:
        """Take in what a list showed; what is known to be newer stays."""
        conversations = dict(self.conversations)
        for conversation in found:
            conversations[conversation.id] = _newer(conversations.get(conversation.id), conversation)
        return replace(self, conversations=conversations, unknown=self.unknown - conversations.keys())

    def with_thread(self, conversation_id: str, found: Iterable[Message] = ()) -> Inbox:
        """Take in messages of a thread; from here on events about it are kept."""
        thread = dict(self.threads.get(conversation_id, {}))
        for message in found:
            thread[message.id] = merge(message, thread[message.id]) if message.id in thread else message
        return replace(self, threads={**self.threads, conversation_id: thread})

    def with_read(self, conversation_id: str, seq: int) -> Inbox:
        """Note that an agent read up to `seq`; what came later stays unread."""
        conversation = self.conversations.get(conversation_id)
        if conversation is None:
            return self
        later = sum(message.direction == "in" and message.seq > seq for message in self.messages(conversation_id))
        seen = max(seq, conversation.agent_read_seq)
        return self._with(conversation.model_copy(update={"agent_read_seq": seen, "unread": later}))

    def _with(self, conversation: Conversation) -> Inbox:
        return replace(self, conversations={**self.conversations, conversation.id: conversation})


def fold(inbox: Inbox, event: Event, *, now: datetime) -> Inbox:
    """Return the inbox after the event; an event seen before, or not understood, changes nothing."""
    match event.data:
        case Message() as message:
            return _fold_message(inbox, message)
        case Conversation() as conversation:
            return inbox.with_conversations([conversation])
        case Contact() as contact:
            return _fold_contact(inbox, contact)
        case TypingSignal(by="contact") as signal:
            return _fold_typing(inbox, signal.conversation or event.conversation, on=signal.on, now=now)
        case _:
            return inbox


def merge(old: Message, new: Message) -> Message:
    """Return the later of two views of one message: its fate only moves forward, whatever came last."""
    if old.deleted_at is not None and new.deleted_at is None:
        new = new.model_copy(update={"deleted_at": old.deleted_at, "content": old.content})
    elif old.edited_at is not None and (new.edited_at is None or new.edited_at < old.edited_at):
        new = new.model_copy(update={"edited_at": old.edited_at, "content": old.content})
    if _LADDER.get(old.status, 0) > _LADDER.get(new.status, 9):
        return new.model_copy(update={"status": old.status, "status_evidence": old.status_evidence})
    return new


def _fold_message(inbox: Inbox, message: Message) -> Inbox:
    thread = inbox.threads.get(message.conversation)
    if thread is not None:
        known = thread.get(message.id)
        kept = {**thread, message.id: merge(known, message) if known else message}
        inbox = replace(inbox, threads={**inbox.threads, message.conversation: kept})
    conversation = inbox.conversations.get(message.conversation)
    if conversation is None:
        return replace(inbox, unknown=inbox.unknown | {message.conversation})
    if message.seq > conversation.last_seq:
        inbox = _fold_new(inbox, conversation, message)
    elif (last := conversation.last_message) is not None and last.id == message.id:
        inbox = inbox._with(conversation.model_copy(update={"last_message": merge(last, message)}))
    return inbox


def _fold_new(inbox: Inbox, conversation: Conversation, message: Message) -> Inbox:
    changes: dict[str, object] = {"last_seq": message.seq, "last_message": message}
    if message.direction == "in":
        changes["unread"] = conversation.unread + (message.seq > conversation.agent_read_seq)
        inbox = _fold_typing(inbox, conversation.id, on=False, now=message.created_at)
    if message.mail is not None and message.mail.category != "normal":
        pass  # a machine waits for no answer, and gives none
    elif message.direction == "in":
        changes["waiting_since"] = conversation.waiting_since or message.created_at
    elif message.visibility == "public" and message.author.type != "bot":
        changes["waiting_since"] = None
    return inbox._with(conversation.model_copy(update=changes))


def _fold_contact(inbox: Inbox, contact: Contact) -> Inbox:
    theirs = [one for one in inbox.conversations.values() if one.contact.id == contact.id]
    renamed = {
        one.id: one.model_copy(update={"contact": one.contact.model_copy(update={"name": contact.name})})
        for one in theirs
    }
    return replace(inbox, conversations={**inbox.conversations, **renamed})


def _fold_typing(inbox: Inbox, conversation_id: str | None, *, on: bool, now: datetime) -> Inbox:
    if conversation_id is None:
        return inbox
    others = {key: until for key, until in inbox.typing_until.items() if key != conversation_id}
    return replace(inbox, typing_until={**others, conversation_id: now + TYPING_LASTS} if on else others)


def _newer(known: Conversation | None, found: Conversation) -> Conversation:
    if known is None or known.updated_at is None or found.updated_at is None:
        return found
    if found.updated_at < known.updated_at or found.last_seq < known.last_seq:
        return known
    return found


def _newest_inbound(messages: Iterable[Message]) -> Message | None:
    return max((one for one in messages if one.direction == "in"), key=lambda one: one.seq, default=None)


def _last_moved(conversation: Conversation) -> tuple[datetime, str]:
    last = conversation.last_message
    at = last.created_at if last is not None else conversation.created_at
    return (at or _LONG_AGO, conversation.id)
