"""What Meta's error codes mean: ours, each with a sentence that says what to do.

Codes and meanings are those of Meta's "Error codes" page (15 May 2026) and of pywa 4.5.0 (`errors.py`). Meta asks to
build on the code and its details, not on titles; the status of the answer says little (limits come as 400 or 429).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from connectors.whatsapp.reading import Json, part, words
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

DETAILS_MAX: Final = 200
ACCESS: Final = "WhatsApp no longer accepts the access token; make a new one in Business settings > System users."
RIGHTS: Final = "The access token lacks a right; it needs whatsapp_business_messaging and whatsapp_business_management."
UNKNOWN_NUMBER: Final = "This token knows no such number or account; compare both ids with WhatsApp > API Setup."
DOUBT: Final = "WhatsApp failed inside; a receipt will tell if the message is there, else look in the chat."
UNCLEAR: Final = "WhatsApp's answer cannot be read; a receipt will tell if the message is there, else look in the chat."
PAID: Final = "WhatsApp wants a payment method first; see Payment settings in WhatsApp Manager."
PAUSED_ACCOUNT: Final = "WhatsApp has locked or restricted the account; see Account quality in WhatsApp Manager."
TEMPLATE: Final = "The values do not fit the template"
SLOWER: Final = "WhatsApp wants the whole number slower."
NOT_HERE: Final = "This kind of message is not allowed in a group."

# What each code becomes. A sentence that ends with a colon is followed by Meta's details.
MEANINGS: Final[Mapping[int, tuple[type[SendError], str]]] = {
    0: (AuthExpired, ACCESS),
    3: (AuthExpired, RIGHTS),
    10: (AuthExpired, RIGHTS),
    190: (AuthExpired, ACCESS),
    131005: (AuthExpired, RIGHTS),
    131031: (AuthExpired, PAUSED_ACCOUNT),
    368: (AuthExpired, PAUSED_ACCOUNT),
    131045: (AuthExpired, "The number's certificate is wrong; register the number again in WhatsApp Manager."),
    133010: (AuthExpired, "The number is not registered; register it in WhatsApp Manager, then activate the channel."),
    1: (Uncertain, DOUBT),
    2: (Uncertain, DOUBT),
    131000: (Uncertain, DOUBT),
    131016: (Uncertain, DOUBT),
    133004: (Uncertain, DOUBT),
    135000: (Uncertain, DOUBT),
    131057: (Unavailable, "The number is in maintenance at WhatsApp, usually for a minute."),
    131053: (Unavailable, "WhatsApp could not take the file over; if it comes from an address, see that it is public."),
    131052: (Unavailable, "WhatsApp could not hand the file over."),
    132069: (Unavailable, "WhatsApp holds the template's form back for the moment."),
    4: (Throttled, SLOWER),
    613: (Throttled, SLOWER),
    80007: (Throttled, SLOWER),
    130429: (Throttled, SLOWER),
    133016: (Throttled, SLOWER),
    131056: (Throttled, "Too many messages to this customer in a short time."),
    131048: (Rejected, "WhatsApp limits this number because customers reported it; see Account quality."),
    131047: (WindowClosed, "More than 24 hours since the customer last wrote; send a template."),
    131026: (Unreachable, "The customer cannot be reached: no WhatsApp, an old version, or its terms not accepted."),
    131030: (Unreachable, "A test number reaches listed phones only; add this one under WhatsApp > API Setup."),
    131021: (Unreachable, "A number cannot write to itself."),
    130497: (Unreachable, "This account may not write to customers in this country."),
    131050: (Unreachable, "The customer has stopped marketing messages; other kinds still reach them."),
    131049: (Rejected, "WhatsApp held the marketing message back to spare the customer; not before tomorrow."),
    130472: (Rejected, "WhatsApp held the marketing message back: the customer is part of an experiment."),
    131051: (Unsupported, "WhatsApp does not carry this kind of message."),
    131062: (Rejected, "This kind of template needs the phone number, and the customer has not shown it."),
    131063: (Rejected, "Marketing templates are turned off for this account."),
    131064: (Rejected, "WhatsApp limits this account because of how templates were used; see Account quality."),
    131037: (Rejected, "The number's display name waits for approval in WhatsApp Manager."),
    131042: (Rejected, PAID),
    131044: (Rejected, PAID),
    131008: (Rejected, "WhatsApp misses something in the message:"),
    131009: (Rejected, "WhatsApp does not take something in the message:"),
    100: (Rejected, "WhatsApp does not take something in the message:"),
    33: (Rejected, "WhatsApp does not know what the message refers to:"),
    132000: (Rejected, f"{TEMPLATE}: their number is wrong."),
    132001: (Rejected, "There is no approved template of this name in this language."),
    132005: (Rejected, f"{TEMPLATE}: the text becomes too long."),
    132007: (Rejected, "The template breaks WhatsApp's rules; change it in WhatsApp Manager."),
    132008: (Rejected, f"{TEMPLATE}:"),
    132012: (Rejected, f"{TEMPLATE}:"),
    132015: (Rejected, "WhatsApp has paused the template because customers disliked it; use another."),
    132016: (Rejected, "WhatsApp has disabled the template for good; use another."),
    132068: (Rejected, "WhatsApp has blocked the template's form."),
    137000: (Rejected, "The customer's keys have changed since; send again."),
    131020: (Rejected, NOT_HERE),
    131041: (Rejected, NOT_HERE),
}
WHOLE_NUMBER: Final = frozenset({4, 613, 80007, 130429, 133016})
UNKNOWN_OBJECT: Final = 33  # the subcode of 100 where the address names nothing that the token can see


def meaning_of(error: Json, *, status: int | None = None, retry_after_s: float | None = None) -> SendError:
    """The error of ours for an error object of Meta's, from an answer of this status or from a webhook."""
    code, subcode = code_in(error, "code"), code_in(error, "error_subcode")
    if code == 100 and subcode == UNKNOWN_OBJECT:
        return AuthExpired(UNKNOWN_NUMBER)
    if code is not None and 200 <= code < 300:
        return AuthExpired(RIGHTS)
    if code is not None and code in MEANINGS:
        kind, sentence = MEANINGS[code]
        if kind is Throttled:
            return Throttled(sentence, retry_after_s=retry_after_s, whole_account=code in WHOLE_NUMBER)
        return kind(f"{sentence} {harmless(details_of(error))}" if sentence.endswith(":") else sentence)
    if error.get("is_transient") is True or status == 408:
        return Uncertain(DOUBT)
    if status == 401:
        return AuthExpired(ACCESS)
    if status == 429:
        return Throttled(SLOWER, retry_after_s=retry_after_s, whole_account=True)
    if status is not None and not 400 <= status < 500:
        return Uncertain(DOUBT if error else UNCLEAR)
    number = f" (error {code})" if code is not None else f" (status {status})" if status is not None else ""
    return Rejected(f"WhatsApp refused{number}: {harmless(details_of(error))}")


def code_in(error: Json, name: str) -> int | None:
    text = words(error, name) or ""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def details_of(error: Json) -> str | None:
    """What Meta says beyond the title."""
    return words(part(error, "error_data"), "details") or words(error, "message", "title")


def harmless(details: str | None) -> str:
    """Meta's words without anybody's own: up to where it may quote, and without long numbers."""
    quoted = re.split(r"[\"“”„«»‘`<]|(?<!\w)'|https?://", details or "", maxsplit=1)[0]
    plain = re.sub(r"\+?[0-9][0-9 ()-]{5,}[0-9]|\S+@\S+", "...", re.sub(r"^\(#[0-9]+\)\s*", "", quoted))
    return plain[:DETAILS_MAX].strip(" :") or "it gave no reason."


def error_in(answer: Any) -> Json:
    """The error object of an answer."""
    return part(answer, "error")
