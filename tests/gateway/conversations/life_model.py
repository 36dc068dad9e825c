"""What a conversation should be, in few lines: the truth that the product is held to."""

from dataclasses import dataclass, field
from typing import Any

from shopbell_client import Conversation, Event, Message

LADDER = ("queued", "accepted", "sent", "delivered", "read")
BEFORE = {"failed": ("queued", "accepted", "sent", "uncertain", "failed"), "uncertain": ("queued", "uncertain")}
LEAST = {"failed": "delivered", "uncertain": "accepted"}  # a lower rung does not lift a message out of these


def may_follow(status: str, before: str) -> bool:
    """Whether a message may come from one status to the other, unless it is sent again."""
    if status in BEFORE:
        return before in BEFORE[status]
    return LADDER.index(status) >= LADDER.index(LEAST.get(before, before))


def higher(one: str, other: str) -> str:
    return max(one, other, key=LADDER.index)


@dataclass(eq=False)
class Line:
    """A message as the model knows it; the status of a customer's line is told by the conversation's read mark.

    All is of the newest try: `rung` is the highest that was told of this message, `marked` of all up to some point.
    """

    text: str
    inward: bool
    public: bool = True
    rung: str = "queued"
    marked: str = "queued"
    failed: bool = False
    doubtful: bool = False
    edited: bool = False
    deleted: bool = False
    id: str = ""
    external_id: str | None = None

    @property
    def status(self) -> str:
        """A mark says nothing of a message that failed, is in doubt, or never left."""
        if self.failed and not self.reached("delivered"):
            return "failed"
        if not self.reached("accepted"):
            return "uncertain" if self.doubtful else self.rung
        return higher(self.rung, self.marked)

    def reached(self, rung: str) -> bool:
        return LADDER.index(self.rung) >= LADDER.index(rung)

    def hears(self, status: str) -> None:
        """Somebody says this of it: the channel that carried it, the provider, or a person."""
        match status:
            case "failed":
                self.failed = True
            case "uncertain":
                self.doubtful = True
            case _:
                self.rung = higher(self.rung, status)

    def goes_again(self) -> None:
        self.rung = self.marked = "queued"
        self.failed = self.doubtful = False
        self.external_id = None  # that of the earlier try


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

    def customer_writes(self, text: str, external_id: str) -> None:
        self.lines.append(Line(text, inward=True, external_id=external_id))
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

    def customer_edits(self, line: Line, text: str) -> None:
        if not line.deleted:
            line.text, line.edited = text, True

    def told_of(self, line: Line, status: str) -> None:
        """What became of one message of ours."""
        line.hears(status)
        self.note_reading(line)

    def marked(self, last: Line, status: str, *, by_device: bool) -> None:
        """The customer has everything up to a message. Their own device says so of each."""
        for line in self.lines[: self.lines.index(last) + 1]:
            if not line.inward and line.public:
                if by_device:
                    line.hears(status)
                line.marked = higher(line.marked, status)
                self.note_reading(line)

    def note_reading(self, line: Line) -> None:
        if line.status == "read":
            self.customer_read_up_to = max(self.customer_read_up_to, self.lines.index(line) + 1)

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
        assert [message.edited_at is not None for message in messages] == [line.edited for line in self.lines]
        assert [message.deleted_at is not None for message in messages] == [line.deleted for line in self.lines]
        assert [message.failure is not None for message in messages] == [line.status in LEAST for line in self.lines]
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
                    sent_again = event.type == "message.queued" and known.status in LEAST
                    taken_back = message.status == "failed" and known.status_evidence == "watermark"
                    assert sent_again or taken_back or may_follow(message.status, known.status), "a status fell"
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
