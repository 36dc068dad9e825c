"""From Meta's webhooks to our words. Pure.

One request may hold many entries, changes, messages, statuses and errors; every one of them is read, and one that
cannot be read costs only itself. An authentic request is answered with 200 whatever is in it, since Meta repeats what
is refused for seven days: a message that is new comes as `opaque`, anything else that is new as `undigested`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from connectors.whatsapp.account import (
    TEMPLATES,
    account_of,
    parse_account,
    parse_alert,
    parse_errors,
    parse_quality,
    parse_review,
    parse_templates,
)
from connectors.whatsapp.capabilities import CHANNEL
from connectors.whatsapp.messages import parse_call, parse_echo, parse_handover, parse_message
from connectors.whatsapp.reading import Json, words
from connectors.whatsapp.statuses import parse_status
from connectors.whatsapp.telling import OBJECT, Change, changes_of, digest
from shared.errors import Ignored, Malformed
from shared.events import UNDATED, Address, InboundEvent, Reason, Undigested

# What a change can hold, by its member, in the order in which it is read.
ITEMS: Final[Mapping[str, Callable[[Change, Json], Iterator[InboundEvent]]]] = {
    "messages": parse_message,
    "message_echoes": parse_echo,
    "statuses": parse_status,
    "calls": parse_call,
}
# What is about the account rather than about somebody.
ABOUT_US: Final[Mapping[str, Callable[[Change], Iterator[InboundEvent]]]] = {
    **dict.fromkeys(TEMPLATES, parse_templates),
    "account_update": parse_account,
    "account_alerts": parse_alert,
    "account_review_update": parse_review,
    "phone_number_quality_update": parse_quality,
    "messaging_handovers": parse_handover,
}
# Known, and nothing for a conversation: what was said before we were there, the phone's address book, groups' lists.
OF_NO_INTEREST: Final = frozenset(
    {
        "account_settings_update",
        "automatic_events",
        "business_capability_update",
        "business_status_update",
        "flows",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
        "history",
        "partner_solutions",
        "payment_configuration_update",
        "phone_number_name_update",
        "security",
        "smb_app_state_sync",
        "tracking_events",
    }
)
WITH_PEOPLE: Final = frozenset({"messages", "smb_message_echoes", "standby", "calls"})
SHOWN_MAX: Final = 60


def parse_payload(body: bytes, *, account: str | None = None, business: str | None = None) -> list[InboundEvent]:
    """Every event of one request. `account` is our number's id, `business` that of its business account.

    Raises `Malformed` or `Ignored` and nothing else.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON; only Meta should call this address.") from None
    if not isinstance(data, dict) or not isinstance(data.get("entry"), list):
        raise Malformed("The body is not a webhook of Meta's: it has no entries.")
    try:
        events = list(parse_entries(data, body, account, business))
    except RecursionError:
        events = [set_aside(body, account, "It is nested too deeply.")]
    if not events:
        raise Ignored("The webhook tells nothing that belongs to a conversation.")
    return events


def parse_entries(
    data: Mapping[str, Any], body: bytes, account: str | None, business: str | None
) -> Iterator[InboundEvent]:
    if data.get("object") not in (OBJECT, None):
        yield set_aside(body, account, "It is of another product of Meta's; subscribe the app to WhatsApp alone here.")
        return
    for change in changes_of(data, account):
        yield from parse_change(change, business)


def parse_change(change: Change, business: str | None) -> Iterator[InboundEvent]:
    if change.field in OF_NO_INTEREST:
        return
    found = [(kind, item, parse) for kind, parse in ITEMS.items() for item in items_of(change.value.get(kind))]
    for kind, item, parse in found:
        yield from parse_item(change, kind, item, parse)
    if found:
        return
    if change.field in ABOUT_US:
        yield from ABOUT_US[change.field](of_business(change, business))
    elif "errors" in change.value:
        yield from parse_errors(change)
    elif change.field == "user_preferences":
        detail = "A customer has said whether they want marketing messages; heed it in your lists."
        yield change.undigested("marketing_preference", detail, change.itself())
    elif change.field not in WITH_PEOPLE:
        detail = f"News of a kind that is not known here: {change.field[:SHOWN_MAX]!r}."
        yield change.undigested("unknown_field", detail, change.itself())


def items_of(value: Any) -> list[Any]:
    """The items of a list; what should be one and is not counts as one item."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def parse_item(
    change: Change, kind: str, item: Any, parse: Callable[[Change, Json], Iterator[InboundEvent]]
) -> list[InboundEvent]:
    """The events of one item; whatever is wrong with it costs the others nothing."""
    detail = f"One of the {kind} cannot be read."
    if not isinstance(item, dict):
        return [change.undigested("unreadable", detail, change.around(kind, item))]
    try:
        return list(parse(change, item))
    except ValidationError:
        return [change.undigested("unreadable", detail, change.around(kind, item))]


def of_business(change: Change, business: str | None) -> Change:
    """The same, of our number if it is of our business account; else of that account, of which we know nothing."""
    about = account_of(change.value, change.entry)
    if business is None or about in (None, business) or words(change.value, "metadata"):
        return change
    return Change(change.entry, change.field, change.value, about)


def set_aside(body: bytes, account: str | None, detail: str) -> Undigested:
    return Undigested(
        address=Address(channel=CHANNEL, account=account or "", peer="unknown"),
        occurred_at=UNDATED,
        raw=body,
        external_id=digest(body),
        reason=Reason(code="unreadable", detail=detail),
    )
