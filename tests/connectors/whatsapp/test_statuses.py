"""What became of our messages, and what Meta says of our end."""

from typing import Any

import pytest

from shared.errors import Ignored
from shared.events import ChannelReported, Evidence, ReceiptReported, Status, Undigested, dedupe_key
from tests.connectors.whatsapp.given import (
    ANA,
    BUSINESS,
    NUMBER,
    PHONE,
    message,
    parse_one,
    parsed,
    status,
    value,
    webhook,
)


def receipt(said: dict[str, Any], **beside: Any) -> ReceiptReported:
    event = parse_one(said, kind="statuses", **beside)
    assert isinstance(event, ReceiptReported)
    return event


@pytest.mark.parametrize(
    ("told", "expected"),
    [("sent", "sent"), ("delivered", "delivered"), ("read", "read"), ("played", "read"), ("accepted", "accepted")],
)
def test_each_status(told: str, expected: str) -> None:
    event = receipt(status("w1", told))
    assert (event.status, event.evidence) == (Status(expected), Evidence.PROVIDER_RECEIPT)
    assert (event.external_ids, event.address.peer, event.message_id) == (("w1",), ANA, None)


def test_our_own_id_comes_back_with_the_part() -> None:
    event = receipt(status("w1", "sent", biz_opaque_callback_data="msg_01h:2"))
    assert (event.message_id, event.part, event.external_ids) == ("msg_01h", 2, ("w1",))
    assert receipt(status("w1", "sent", biz_opaque_callback_data="msg_01h")).part is None
    assert receipt(status("w1", "sent", biz_opaque_callback_data="another system's")).message_id is None


def test_a_status_without_metas_id_is_told_by_ours() -> None:
    event = receipt({"status": "sent", "biz_opaque_callback_data": "msg_01h"})
    assert (event.message_id, event.external_ids, event.address.peer) == ("msg_01h", (), "unknown")


@pytest.mark.parametrize(
    "named", [{"recipient_user_id": ANA}, {"recipient_id": ANA}, {"recipient_id": "", "recipient_user_id": ANA}]
)
def test_a_recipient_without_a_number(named: dict[str, Any]) -> None:
    assert receipt({"id": "w1", "status": "sent", **named}).address.peer == ANA


def test_a_failure_says_why_in_our_words() -> None:
    errors = [{"code": 131047, "title": "Re-engagement message", "error_data": {"details": "more than 24 hours"}}]
    event = receipt(status("w1", "failed", errors=errors))
    assert event.reason is not None
    assert event.reason.code == "reply_window_closed"
    assert "template" in event.reason.detail


def test_a_failure_of_a_code_that_is_not_known_keeps_metas_words() -> None:
    event = receipt(status("w1", "failed", errors=[{"code": 999999, "title": "The moon is full"}]))
    assert event.reason is not None
    assert (event.reason.code, event.reason.detail) == ("rejected", "WhatsApp refused (error 999999): The moon is full")


def test_errors_may_stand_beside_the_status() -> None:
    event = receipt(status("w1", "failed"), errors=[{"code": 131026}])
    assert event.reason is not None
    assert event.reason.code == "unreachable"


@pytest.mark.parametrize("code", [1, 2, 131000, 131016, 135000])
def test_what_would_be_a_doubt_in_an_answer_is_none_in_a_webhook(code: int) -> None:
    event = receipt(status("w1", "failed", errors=[{"code": code}]))
    assert event.reason is not None
    assert event.reason.code == "unavailable"
    assert "did not send" in event.reason.detail


@pytest.mark.parametrize(
    ("code", "problem"),
    [(190, "auth_expired"), (131031, "auth_expired"), (131042, "account_warned"), (131048, "account_warned")],
)
def test_a_failure_that_concerns_every_message_is_told_of_the_channel(code: int, problem: str) -> None:
    failed, report = parsed(webhook(statuses=[status("w1", "failed", errors=[{"code": code}])]))
    assert isinstance(failed, ReceiptReported)
    assert isinstance(report, ChannelReported)
    assert report.problem is not None
    assert report.problem.code == problem


def test_in_a_group_one_who_did_not_get_it_is_not_the_group() -> None:
    group = {"recipient_id": "120363", "recipient_type": "group", "recipient_user_id": None}
    one = group | {"recipient_participant_user_id": ANA}
    assert receipt(status("w1", "delivered", **one)).address.peer == "120363"
    assert receipt(status("w1", "failed", **one)).status is Status.SENT


def test_a_status_that_is_not_known_is_kept() -> None:
    (event,) = parsed(webhook(statuses=[status("w1", "in_orbit")]))
    assert isinstance(event, Undigested)


@pytest.mark.parametrize("said", [{"status": "deleted"}, {"type": "call", "status": "RINGING"}, {"id": "wacid.1"}])
def test_statuses_of_no_interest(said: dict[str, Any]) -> None:
    with pytest.raises(Ignored):
        parsed(webhook(statuses=[status("w1", "sent") | said]))


# Our end


def report(field: str, **told: Any) -> ChannelReported:
    (event,) = parsed(webhook({"field": field, "value": told}))
    assert isinstance(event, ChannelReported)
    assert event.address.account == NUMBER
    return event


@pytest.mark.parametrize(
    "field",
    [
        "message_template_status_update",
        "message_template_quality_update",
        "message_template_components_update",
        "template_category_update",
    ],
)
def test_templates_that_changed_are_asked_for_again(field: str) -> None:
    assert report(field, event="PAUSED", message_template_name="welcome").topic == "templates"


@pytest.mark.parametrize(
    ("field", "told", "code"),
    [
        ("account_update", {"event": "ACCOUNT_DELETED"}, "account_disabled"),
        ("account_update", {"event": "PARTNER_REMOVED", "waba_info": {"waba_id": BUSINESS}}, "account_disabled"),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, "account_disabled"),
        ("account_update", {"event": "ACCOUNT_RESTRICTION"}, "account_warned"),
        ("account_alerts", {"alert_info": {"alert_severity": "CRITICAL", "alert_type": "LIMIT"}}, "account_warned"),
        ("account_review_update", {"decision": "REJECTED"}, "account_warned"),
        ("phone_number_quality_update", {"event": "FLAGGED"}, "account_warned"),
        ("messages", {"errors": [{"code": 130429, "title": "Rate limit hit"}]}, "provider_error"),
    ],
)
def test_what_is_wrong_with_the_account_is_told(field: str, told: dict[str, Any], code: str) -> None:
    problem = report(field, **told).problem
    assert problem is not None
    assert problem.code == code


@pytest.mark.parametrize("event", ["ACCOUNT_RECONNECTED", "PARTNER_ADDED"])
def test_an_account_that_is_connected_again_has_no_problem(event: str) -> None:
    assert report("account_update", event=event).problem is None


def test_a_number_that_is_disliked_is_named() -> None:
    problem = report("phone_number_quality_update", event="FLAGGED", display_phone_number="+1 555 0100").problem
    assert problem is not None
    assert "+1 555 0100" in problem.detail


def test_an_account_that_is_back_has_no_problem() -> None:
    assert report("account_update", event="DISABLED_UPDATE", ban_info={"waba_ban_state": "REINSTATE"}).problem is None


def test_news_of_another_business_account_are_not_ours() -> None:
    change = {"field": "account_update", "value": {"event": "PARTNER_REMOVED", "waba_info": {"waba_id": "31337"}}}
    (event,) = parsed(webhook(change))
    assert event.address.account == "31337"


def test_the_same_news_at_another_time_is_news() -> None:
    def key(time: int) -> str:
        body = webhook({"field": "account_update", "value": {"event": "ACCOUNT_VIOLATION"}})
        (event,) = parsed(body.replace(b'"id": "', b'"time": %d, "id": "' % time, 1))
        return dedupe_key(event)

    assert key(1_790_000_000) != key(1_790_009_000)


@pytest.mark.parametrize("field", ["history", "smb_app_state_sync", "group_lifecycle_update", "flows"])
def test_fields_of_no_interest(field: str) -> None:
    with pytest.raises(Ignored):
        parsed(webhook({"field": field, "value": value(history=[{"threads": []}])}))


def test_files_of_the_time_before_are_no_news() -> None:
    with pytest.raises(Ignored):
        parsed(webhook(field="history", messages=[message("w1", "image", image={"id": "77"})]))


def test_a_field_that_is_not_known_is_kept() -> None:
    (event,) = parsed(webhook({"field": "holograms", "value": {"light": "blue"}}))
    assert isinstance(event, Undigested)
    assert event.reason.code == "unknown_field"


def test_whoever_wants_no_marketing_is_kept_for_a_person() -> None:
    wish = {"wa_id": PHONE, "category": "marketing_messages", "value": "stop", "timestamp": 1_790_000_000}
    (event,) = parsed(webhook({"field": "user_preferences", "value": value(user_preferences=[wish])}))
    assert isinstance(event, Undigested)
    assert event.reason.code == "marketing_preference"
