"""How the fate of an outgoing message looks: the mark, the word and the colour."""

from __future__ import annotations

from dataclasses import dataclass

from shopbell_client import Message

from services.terminal.words import first_line

__all__ = ["Tick", "tick"]


@dataclass(frozen=True, slots=True)
class Tick:
    """`mark` is short, `word` says the same for those who cannot see it, `loud` shows both."""

    mark: str
    word: str
    style: str
    loud: bool = False

    def __str__(self) -> str:
        return f"{self.mark} {self.word}"


_TICKS = {
    "queued": Tick("◷", "queued", "dim"),
    "accepted": Tick("✓", "accepted", "dim"),
    "sent": Tick("✓", "sent", "dim"),
    "delivered": Tick("✓✓", "delivered", "dim"),
    "read": Tick("✓✓", "read", "bold $success", loud=True),
    "uncertain": Tick("?", "maybe sent", "bold $warning", loud=True),
}


def tick(message: Message) -> Tick:
    """Return how far the message came; a failure carries its reason."""
    if message.status == "failed":
        reason = first_line(message.failure.detail or message.failure.code) if message.failure else ""
        return Tick("✗", f"failed: {reason}" if reason else "failed", "bold $error", loud=True)
    known = _TICKS.get(message.status)
    return known or Tick("·", first_line(message.status), "dim", loud=True)
