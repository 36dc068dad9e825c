"""How a message is named outside this folder: Telegram's number of it, and before that the scope in which it counts.

Numbers count up in each chat. One customer can be met in several chats that have the same peer (with the bot, with a
business account, with a channel): there the chat or the connection goes before the number, `scope:number`.
"""

import re
from dataclasses import dataclass
from typing import Final

PRESS: Final = "cb"  # a pressed button: no message of its own
CHAT_NUMBER: Final = re.compile(r"-?\d{1,18}")
REACTION: Final = "reaction"  # `reaction:<message>:<what makes it unique>`: the same


def external_id(number: int, scope: str = "") -> str:
    return f"{scope}:{number}" if scope else str(number)


def press_id(query: str) -> str:
    return f"{PRESS}:{query}"


def reaction_id(target: str, unique: str) -> str:
    return f"{REACTION}:{target}:{unique}"


def reaction_target(external_id: str) -> str | None:
    """The message that was reacted to; None if this names no reaction."""
    kind, _, rest = external_id.partition(":")
    return rest.rpartition(":")[0] if kind == REACTION else None


def number_of(external_id: str | None) -> int | None:
    """Telegram's number; None for what is no message at Telegram, or no id of ours."""
    scope, _, number = (external_id or "").rpartition(":")
    if scope.partition(":")[0] in (PRESS, REACTION) or not (number.isascii() and number.isdigit()):
        return None
    return int(number) if len(number) < 19 else None  # 64 bits


@dataclass(frozen=True)
class Spot:
    """Where a message of ours or theirs is. `connection` is the business connection by which the chat is reached."""

    chat: int | str
    number: int
    connection: str | None = None


def find_spot(external_id: str, peer: str) -> Spot | None:
    """The message of this name, in a conversation with `peer`; None for what is no message at Telegram."""
    number, scope = number_of(external_id), scope_of(external_id)
    if number is None:
        return None
    if CHAT_NUMBER.fullmatch(scope):
        return Spot(int(scope), number)
    return Spot(chat_number(peer), number, scope or None)


def scope_of(external_id: str) -> str:
    return external_id.rpartition(":")[0]


def chat_number(text: str) -> int | str:
    """The chat's number; a public name such as `@shop` stays as it is."""
    return int(text) if CHAT_NUMBER.fullmatch(text) else text
