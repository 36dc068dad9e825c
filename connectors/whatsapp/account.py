"""What Meta says of our end: templates that changed, an account that is restricted or gone. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from connectors.whatsapp.reading import Json, part, parts, words
from connectors.whatsapp.refusals import details_of, harmless
from connectors.whatsapp.telling import Change, digest
from shared.events import ChannelReported, InboundEvent, Reason

TEMPLATES: Final = frozenset(
    {
        "message_template_status_update",
        "message_template_quality_update",
        "message_template_components_update",
        "template_category_update",
    }
)
LOOK: Final = "see Account quality in WhatsApp Manager"
# What stops the channel until a person has seen to it, and what is only told.
GONE: Final[Mapping[str, str]] = {
    "ACCOUNT_DELETED": "The WhatsApp Business account was deleted.",
    "ACCOUNT_OFFBOARDED": "The number was disconnected after a change of device or registration; connect it anew.",
    "PARTNER_APP_UNINSTALLED": "The app's access to the WhatsApp Business account was taken away; give it again.",
    "PARTNER_REMOVED": "The WhatsApp Business account is no longer shared with the app; share it again.",
}
WARNINGS: Final[Mapping[str, str]] = {
    "ACCOUNT_RESTRICTION": f"WhatsApp has restricted the account; {LOOK}.",
    "ACCOUNT_VIOLATION": f"WhatsApp says that the account broke its rules; {LOOK}.",
}
BACK: Final = frozenset({"ACCOUNT_RECONNECTED", "PARTNER_ADDED", "PARTNER_APP_INSTALLED"})
BANS: Final[Mapping[str, tuple[str, str]]] = {
    "DISABLE": ("account_disabled", f"WhatsApp has disabled the account; {LOOK}."),
    "SCHEDULE_FOR_DISABLE": ("account_warned", f"WhatsApp is going to disable the account; {LOOK}."),
}


def parse_templates(change: Change) -> Iterator[InboundEvent]:
    yield report(change, "templates", None)


def parse_account(change: Change) -> Iterator[InboundEvent]:
    event = words(change.value, "event") or ""
    if event == "DISABLED_UPDATE":
        ban = BANS.get(words(part(change.value, "ban_info"), "waba_ban_state") or "")
        yield report(change, "account", Reason(code=ban[0], detail=ban[1]) if ban else None)
    elif event in GONE:
        yield report(change, "account", Reason(code="account_disabled", detail=GONE[event]))
    elif event in WARNINGS:
        yield report(change, "account", Reason(code="account_warned", detail=WARNINGS[event]))
    elif event in BACK:
        yield report(change, "account", None)


def parse_alert(change: Change) -> Iterator[InboundEvent]:
    alert = part(change.value, "alert_info") or change.value
    said = harmless(words(alert, "alert_description", "alert_type"))
    if (words(alert, "alert_severity") or "").upper() in ("WARNING", "CRITICAL"):
        yield report(change, "account", Reason(code="account_warned", detail=f"WhatsApp warns: {said}"))


def parse_quality(change: Change) -> Iterator[InboundEvent]:
    if words(change.value, "event") == "FLAGGED":
        which = words(change.value, "display_phone_number")
        detail = f"WhatsApp says that customers dislike what {which or 'this number'} sends; {LOOK}."
        yield report(change, "account", Reason(code="account_warned", detail=detail))


def parse_review(change: Change) -> Iterator[InboundEvent]:
    if words(change.value, "decision") == "REJECTED":
        detail = f"WhatsApp has not approved the account; {LOOK}."
        yield report(change, "account", Reason(code="account_warned", detail=detail))


def parse_errors(change: Change) -> Iterator[InboundEvent]:
    """Errors that belong to no message: something is wrong between Meta and us."""
    for error in parts(change.value, "errors"):
        reason = Reason(code="provider_error", detail=f"WhatsApp reports: {harmless(details_of(error))}")
        raw = change.around("errors", error)
        yield ChannelReported(
            **change.common(change.number or "unknown", change.time, raw),
            external_id=digest(raw),
            topic="account",
            problem=reason,
        )


def report(change: Change, topic: str, problem: Reason | None) -> ChannelReported:
    raw = change.itself()
    return ChannelReported.model_validate(
        {
            **change.common(change.number or "unknown", change.time, raw),
            "external_id": digest(raw),
            "topic": topic,
            "problem": problem,
        }
    )


def account_of(value: Json, entry: Json) -> str | None:
    """The business account that a change is about."""
    return words(part(value, "waba_info"), "waba_id") or words(entry, "id")
