"""What Telegram's refusals mean: aiogram's errors to ours, each with a sentence that says what to do.

Refusals are told apart by their descriptions; there are no stable codes. The descriptions are those of
tdlib/telegram-bot-api and of the errors of Telegram's own servers that it passes on.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramConflictError,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

from connectors.telegram.session import FileBroken, FileRefused, NotSent
from shared.errors import (
    AuthExpired,
    Rejected,
    SendError,
    Throttled,
    Unavailable,
    Uncertain,
    Unreachable,
    Unsupported,
    WindowClosed,
)

# Parts of descriptions, in lower case; the first that fits.
MEANINGS: Final[Mapping[str, tuple[type[SendError], str]]] = {
    "bot was blocked by the user": (Unreachable, "The customer has blocked the bot."),
    "user is deactivated": (Unreachable, "The customer's account no longer exists."),
    "bot can't initiate conversation": (
        Unreachable,
        "A bot cannot write first; the customer has to start the chat with it.",
    ),
    "bot was kicked": (Unreachable, "The bot was removed from this group."),
    "bot is not a member": (Unreachable, "The bot is not in this group or channel."),
    "chat not found": (Unreachable, "Telegram knows no such chat: a bot can only write to who has written to it."),
    "user not found": (Unreachable, "Telegram knows no such customer: a bot can only write to who has written to it."),
    "peer_id_invalid": (Unreachable, "Telegram knows no such chat: a bot can only write to who has written to it."),
    "chat_write_forbidden": (Unreachable, "The bot may not write in this group."),
    "not enough rights to send": (Unreachable, "The bot may not write in this group."),
    "have no rights to send": (Unreachable, "The bot may not write in this group."),
    "business_peer_usage_missing": (
        WindowClosed,
        "A business account can answer for 24 hours after the customer's last message; they have to write again.",
    ),
    "business_peer_invalid": (Unreachable, "The business account does not let the bot answer in this chat."),
    "business_connection": (Unreachable, "The business account is no longer connected to the bot; connect it again."),
    "business connection not found": (
        Unreachable,
        "The business account is no longer connected to the bot; connect it again.",
    ),
    "message is too long": (Rejected, "The message is longer than Telegram takes; shorten it."),
    "caption is too long": (Rejected, "The caption is longer than Telegram takes; shorten it."),
    "text must be non-empty": (Rejected, "Telegram takes no empty message; write something."),
    "text is empty": (Rejected, "Telegram takes no empty message; write something."),
    "file is too big": (
        Rejected,
        "The file is too big: bots fetch 20 MB and send 50 MB, unless they have a Bot API server of their own.",
    ),
    "failed to get http url content": (Rejected, "Telegram could not fetch the file from its address."),
    "wrong file identifier": (Rejected, "Telegram could not fetch the file from its address."),
    "wrong type of the web page content": (Rejected, "What is at the file's address is of another kind."),
    "webpage_": (Rejected, "Telegram could not fetch the file from its address."),
    "photo_": (Rejected, "Telegram does not take this as a picture; send it as a file."),
    "image_process_failed": (Rejected, "Telegram does not take this as a picture; send it as a file."),
    "file must be non-empty": (Rejected, "The file is empty."),
    "voice_messages_forbidden": (Rejected, "The customer takes no voice messages; write instead."),
    "reaction_invalid": (Rejected, "Telegram does not offer this emoji as a reaction; choose another."),
    "reactions_too_many": (Rejected, "A bot can react to a message once."),
    "button_data_invalid": (Rejected, "The id of a button is longer than 64 bytes; use a shorter one."),
    "message to react not found": (Rejected, "The message to react to is no longer there."),
    "message to edit not found": (Rejected, "The message to change is no longer there."),
    "message can't be edited": (Rejected, "Telegram no longer lets this message be changed."),
    "there is no text in the message to edit": (Rejected, "This message has no text that could be changed."),
    "message can't be deleted": (Rejected, "Telegram lets a bot delete a message for 48 hours only."),
    "too_many_requests": (Throttled, "Telegram wants us slower."),
}
NOT_MODIFIED: Final = "message is not modified"
GONE: Final = "message to delete not found"
CONFLICT_PAUSE_S: Final = 30.0  # two pollers end each other's questions: the faster both ask, the less either hears
DESCRIPTION_MAX: Final = 200
UNCLEAR: Final = "Telegram's answer cannot be read; look in the chat whether the message is there."


def meaning_of(error: AiogramError) -> SendError:
    """The error of ours, without a word of the customer's and without the token."""
    match error:
        case NotSent():
            return Unavailable("Telegram cannot be reached; nothing was sent.")
        case TelegramEntityTooLarge():
            return Rejected("The file is larger than the 50 MB that a bot can send.")
        case TelegramNetworkError():
            return Uncertain(f"The exchange with Telegram broke off ({error.message}); look in the chat.")
        case TelegramRetryAfter():
            # Telegram does not say whether the chat or the bot was too fast; a chat at its limit is far more common.
            return Throttled("Telegram wants us slower.", retry_after_s=error.retry_after)
        case TelegramNotFound() if "method not found" in error.message.lower():
            return Unsupported("This Bot API server does not know the method; install a newer one.")
        case TelegramUnauthorizedError() | TelegramNotFound():
            return AuthExpired("Telegram knows no bot with this token; copy the present one from BotFather.")
        case TelegramConflictError():
            return conflict(error.message)
        case TelegramServerError():
            return Uncertain("Telegram failed inside; look in the chat whether the message is there.")
        case TelegramAPIError():
            return refusal(error)
        case ClientDecodeError():
            return Uncertain(UNCLEAR)
        case FileRefused():
            return file_refusal(error)
        case FileBroken():
            return Unavailable("The file did not come whole from Telegram.")
        case _:
            return Uncertain(f"{type(error).__name__} in the exchange with Telegram; look in the chat.")


def refusal(error: TelegramAPIError) -> SendError:
    said = error.message.lower()
    for part, (kind, sentence) in MEANINGS.items():
        if part in said:
            return kind(sentence)
    kind = Unreachable if isinstance(error, TelegramForbiddenError) else Rejected
    return kind(f"Telegram refused: {harmless(error.message)}.")


def harmless(description: str) -> str:
    """Telegram's words up to where it may quote somebody's."""
    words = re.split(r"[\"“«<]|https?://", description, maxsplit=1)[0]
    return words[:DESCRIPTION_MAX].strip(" :.") or "it gave no reason"


def conflict(description: str) -> Unavailable:
    webhook = "A webhook is set for this bot, so it cannot be polled; another program may be using its token."
    poller = "Another program polls this bot with the same token; stop it, or make a new token at BotFather."
    error = Unavailable(webhook if "webhook" in description.lower() else poller)
    error.retry_after_s = CONFLICT_PAUSE_S
    return error


def file_refusal(error: FileRefused) -> SendError:
    if error.status == 404:
        return Rejected("Telegram no longer has the file.")
    return Unavailable(f"Telegram did not hand the file over ({error.status}).")


def is_refusal(error: AiogramError, part: str) -> bool:
    """Whether Telegram refused with these words: then nothing was done."""
    known = isinstance(error, TelegramAPIError) and not isinstance(error, TelegramNetworkError | TelegramServerError)
    return known and part in str(getattr(error, "message", "")).lower()


def accepted(error: AiogramError) -> Any:
    """The result of an answer that said yes and was not understood; None for any other error."""
    data = error.data if isinstance(error, ClientDecodeError) else None
    return data.get("result") if isinstance(data, dict) and data.get("ok") is True else None
