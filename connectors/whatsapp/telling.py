"""One change of a webhook on its way to our words: of which number it speaks, and how each item of it is kept. Pure.

Meta cuts batches anew when it repeats them. An item's raw words are therefore an envelope around it alone: the same
whatever it came with, and good to be taken apart again later.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from connectors.whatsapp.capabilities import CHANNEL
from connectors.whatsapp.reading import Json, moment, part, parts, words
from shared.events import UNDATED, Address, Reason, Undigested

OBJECT: Final = "whatsapp_business_account"
ID_MAX: Final = 500
BESIDE: Final = ("messaging_product", "metadata")  # what every item of a change is kept with


@dataclass(frozen=True)
class Change:
    """One change of one entry. `entry` is the entry without its changes, `account` our number's id if it names none."""

    entry: Json
    field: str
    value: Json
    account: str | None = None

    @property
    def number(self) -> str:
        """Our number, by Meta's id of it."""
        return words(part(self.value, "metadata"), "phone_number_id") or self.account or ""

    @property
    def time(self) -> datetime:
        """When Meta wrote the entry, where it says so."""
        return moment(self.entry, "time")

    def around(self, kind: str, item: Any, contact: Json | None = None) -> bytes:
        """The raw words of one item: as a webhook would tell of it alone."""
        value = {name: self.value[name] for name in BESIDE if name in self.value}
        if contact:
            value["contacts"] = [contact]
        if self.value.get("errors"):  # a message that Meta could not tell has its reason there
            value["errors"] = self.value["errors"]
        return envelope(self.entry, self.field, {**value, kind: [item]})

    def itself(self) -> bytes:
        return envelope(self.entry, self.field, self.value)

    def common(self, peer: str, at: datetime, raw: bytes) -> dict[str, Any]:
        """What every event has."""
        return {
            "address": Address(channel=CHANNEL, account=self.number, peer=peer),
            "occurred_at": at,
            "raw": raw,
        }

    def undigested(self, code: str, detail: str, raw: bytes) -> Undigested:
        reason = Reason(code=code, detail=detail)
        return Undigested(**self.common("unknown", UNDATED, raw), external_id=digest(raw), reason=reason)


def envelope(entry: Json, field: str, value: Any) -> bytes:
    told = {"object": OBJECT, "entry": [{**entry, "changes": [{"field": field, "value": value}]}]}
    return json.dumps(told).encode()


def digest(raw: bytes) -> str:
    """A name for what has none: the same for the same words."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def id_of(item: Json) -> str:
    """Meta's id of a message or a call; where there is none, one that the same item always gets."""
    named = words(item, "id")
    if named is not None and len(named) <= ID_MAX:
        return named
    return f"unnamed-{digest(json.dumps(item, sort_keys=True).encode())}"


def is_call(id: str | None) -> bool:
    """Calls have ids of their own, which are no messages': not to be quoted, nor marked as read."""
    return id is not None and id.startswith("wacid.")


def changes_of(data: Mapping[str, Any], account: str | None) -> list[Change]:
    return [
        Change(
            {name: value for name, value in entry.items() if name != "changes"},
            words(change, "field") or "messages",
            part(change, "value"),
            account,
        )
        for entry in parts(data, "entry")
        for change in parts(entry, "changes")
    ]
