"""What a conversation should be, in a hundred lines: the truth that the product is held to."""

from dataclasses import dataclass, field
from typing import Any

from shopbell_client import Conversation, Event, Message

LADDER = ("queued", "accepted", "sent", "delivered", "read")


@dataclass
class Line:
    """A message as the model knows it; `status` of a customer's line is told by the conversation's read mark."""

    text: str
    inward: bool
    public: bool = True
    status: str = "sent"
    id: str = ""


@dataclass
class Life:
    """One conversation, after everything that was done to it."""

    lines: list[Line] = field(default_factory=list)
    status: str = "open"
    unread: int = 0
    waiting: bool = False
    assignee: str | None = None
    read_up_to: int = 0
    customer_read_up_to: int = 0
    tags: tuple[str, ...] = ()

    def customer_writes(self, text: str) -> None:
        self.lines.append(Line(text, inward=True))
        self.unread += 1
        self.waiting = True
        self.status = "open"

    def shop_writes(self, line: Line, *, agent: str | None) -> None:
        self.lines.append(line)
        if line.public:
            self.waiting = False
            self.status = "open"
            self.assignee = self.assignee or agent

    def shop_reads(self, seq: int) -> None:
        if seq > self.read_up_to:
            self.read_up_to = seq
            self.unread = sum(line.inward for line in self.lines[seq:])

    def customer_has(self, seq: int, status: str) -> None:
        for number, line in enumerate(self.lines[:seq], 1):
            if not line.inward and line.public and LADDER.index(status) > LADDER.index(line.status):
                line.status = status
                if status == "read":
                    self.customer_read_up_to = max(self.customer_read_up_to, number)

    def becomes(self, status: str) -> None:
        self.status = status
        if status == "closed":
            self.waiting = False

    def status_of(self, seq: int) -> str:
        line = self.lines[seq - 1]
        if line.inward:
            return "read" if seq <= self.read_up_to else "delivered"
        return line.status

    def seen_as(self, conversation: Conversation, messages: list[Message]) -> None:
        """Assert that this is what the API shows."""
        shown = facts(conversation)
        assert shown == {
            "status": self.status,
            "unread": self.unread,
            "waiting": self.waiting,
            "assignee": self.assignee,
            "last_seq": len(self.lines),
            "agent_read_seq": self.read_up_to,
            "contact_read_seq": self.customer_read_up_to,
            "tags": self.tags,
        }
        assert [message.seq for message in messages] == list(range(1, len(self.lines) + 1))
        assert [message.content.text for message in messages] == [line.text for line in self.lines]  # type: ignore[union-attr]
        assert [message.status for message in messages] == [self.status_of(m.seq) for m in messages]
        assert (conversation.closed_at is not None) == (self.status == "closed")
        assert conversation.last_message == messages[-1]


def facts(conversation: Conversation) -> dict[str, Any]:
    return {
        "status": conversation.status,
        "unread": conversation.unread,
        "waiting": conversation.waiting_since is not None,
        "assignee": conversation.assignee.id if conversation.assignee else None,
        "last_seq": conversation.last_seq,
        "agent_read_seq": conversation.agent_read_seq,
        "contact_read_seq": conversation.contact_read_seq,
        "tags": conversation.tags,
    }


@dataclass
class Follower:
    """Someone who only hears the feed: what they know must be what the API shows."""

    conversation: Conversation | None = None
    messages: dict[str, Message] = field(default_factory=dict)

    def hear(self, event: Event) -> None:
        match event.data:
            case Conversation() as conversation:
                self.conversation = conversation
            case Message() as message:
                known = self.messages.get(message.id)
                if known is not None and known.direction == "out":
                    assert LADDER.index(message.status) >= LADDER.index(known.status), "a status fell"
                self.messages[message.id] = message
                self.count(message, new=known is None)

    def count(self, message: Message, *, new: bool) -> None:
        """What a message means for its conversation, where no event of the conversation says it."""
        assert self.conversation is not None, "told of a message before its conversation"
        changes: dict[str, Any] = {}
        if new and message.seq > self.conversation.last_seq:
            changes["last_seq"] = message.seq
            if message.direction == "in":
                changes["unread"] = self.conversation.unread + 1
                changes["waiting_since"] = self.conversation.waiting_since or message.created_at
            elif message.visibility == "public":
                changes["waiting_since"] = None
        if message.direction == "out" and message.status == "read":
            changes["contact_read_seq"] = max(self.conversation.contact_read_seq, message.seq)
        self.conversation = self.conversation.model_copy(update=changes)

    def thread(self) -> list[Message]:
        """In order; a customer's lines are read as far as the conversation says."""
        assert self.conversation is not None
        read = self.conversation.agent_read_seq
        ordered = sorted(self.messages.values(), key=lambda message: message.seq)
        return [
            m.model_copy(update={"status": "read"}) if m.direction == "in" and m.seq <= read else m for m in ordered
        ]
