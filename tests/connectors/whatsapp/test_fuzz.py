"""100,000 payloads as nobody meant them: only events, `Ignored` or `Malformed`, and every event survives the bus."""

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.whatsapp.inbound import parse_payload
from shared.errors import Ignored, Malformed
from shared.events import dedupe_key
from shared.subjects import InboundBatch
from tests.connectors.whatsapp.given import (
    ANA,
    BUSINESS,
    CONTACT,
    FACTS,
    NUMBER,
    PARENT,
    PHONE,
    message,
    status,
    value,
    webhook,
    whatsapp_simulator,
)
from tests.contract.harness import bodies
from tests.support.mutations import Mutations
from tests.support.shares import outcomes

FILE: Final = {"id": "77", "mime_type": "audio/ogg", "sha256": "x", "voice": True, "filename": "a", "caption": "c"}
CARD: Final = {
    "name": {"formatted_name": "Ivo Ban", "first_name": "Ivo"},
    "phones": [{"phone": "+385 91 1", "wa_id": "385911", "type": "CELL"}],
    "emails": [{"email": "ivo@shop.example"}],
    "org": {"company": "Shop"},
}
FORM: Final = {"name": "flow", "body": "Sent", "response_json": '{"size": 42, "colours": ["red"], "flow_token": "t"}'}
SAID: Final[tuple[dict[str, Any], ...]] = (
    message("w1", "audio", audio=FILE, context={"id": "w0", "forwarded": True}),
    message("w2", "contacts", contacts=[CARD, CARD]),
    message("w3", "contacts", contacts=[CARD | {"origin": "contact_request"}], named={"from_user_id": ANA}),
    message("w4", "interactive", interactive={"type": "nfm_reply", "nfm_reply": FORM}),
    message("w5", "interactive", interactive={"type": "list_reply", "list_reply": {"id": "1", "title": "Red"}}),
    message("w6", "button", button={"payload": "yes", "text": "Yes"}),
    message("w7", "order", order={"catalog_id": "c", "text": "t", "product_items": [
        {"product_retailer_id": "p", "quantity": 2, "item_price": 9.5, "currency": "EUR"}]}),
    message("w8", "unsupported", errors=[{"code": 131051, "title": "Unknown"}], unsupported={"type": "poll_creation"}),
    message("w9", "request_welcome"),
    message("w10", text={"body": "Hi"}, referral={"source_id": "ad", "headline": "Shoes", "ctwa_clid": "x"}),
    message("w11", text={"body": "Hi"}, group_id="g1", context={"referred_product": {"catalog_id": "c"}}),
    message("w12", text={"body": "Hi"}, named={}),
    message("w13", "system", system={"type": "user_changed_number", "wa_id": "385922", "user_id": "HR.2",
                                     "previous_user_id": ANA, "body": "changed"}, named={"from": PHONE}),
    message("w14", "system", system={"type": "user_changed_user_id", "user_id": "HR.2", "previous_user_id": ANA}),
)  # fmt: skip
ERRORS: Final = [{"code": 131000, "title": "Wrong", "error_data": {"details": "It went wrong"}}]
CALL: Final = {"id": "wacid.1", "from": PHONE, "event": "terminate", "direction": "USER_INITIATED", "duration": 9}
CHANGES: Final[tuple[dict[str, Any], ...]] = (
    {"field": "calls", "value": value(calls=[CALL], contacts=[CONTACT])},
    {"field": "messaging_handovers", "value": value(contacts=[CONTACT], sender={"user_id": ANA}, take_control={})},
    {"field": "account_update", "value": {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}},
    {"field": "account_alerts", "value": {"alert_severity": "CRITICAL", "alert_description": "Bad"}},
    {"field": "phone_number_quality_update", "value": {"event": "FLAGGED", "current_limit": "TIER_10K"}},
    {
        "field": "user_preferences",
        "value": value(user_preferences=[{"wa_id": PHONE, "value": "stop"}]),
    },
    {"field": "messages", "value": value(errors=ERRORS)},
    {"field": "holograms", "value": {"light": "blue"}},
    {"field": "history", "value": value(history=[{"threads": [{"id": PHONE}]}])},
)
SAMPLES: Final[tuple[Any, ...]] = (
    json.loads(whatsapp_simulator().hook(FACTS).body),
    *(json.loads(webhook(messages=[said], contacts=[CONTACT | {"parent_user_id": PARENT}])) for said in SAID),
    *(json.loads(webhook(change)) for change in CHANGES),
    json.loads(webhook(statuses=[status("w", "failed", errors=ERRORS, biz_opaque_callback_data="msg_1:2")])),
)
MUTATIONS: Final = Mutations(SAMPLES)


def assert_digested(body: bytes, *, on_the_bus: bool) -> str:
    """What became of it: the kind of its first event, or the outcome."""
    try:
        events = parse_payload(body, account=NUMBER, business=BUSINESS)
    except (Ignored, Malformed) as error:
        return error.code
    assert events
    if on_the_bus:
        batch = InboundBatch(channel_id="chn_1", events=tuple(events))
        assert InboundBatch.model_validate_json(batch.model_dump_json()) == batch
        again = parse_payload(body, account=NUMBER, business=BUSINESS)
        assert [dedupe_key(event) for event in events] == [dedupe_key(event) for event in again]
    return events[0].kind


def test_every_sample_is_understood() -> None:
    kinds = {assert_digested(json.dumps(sample).encode(), on_the_bus=True) for sample in SAMPLES}
    assert kinds == {
        "message_received",
        "peer_connected",
        "peer_moved",
        "receipt_reported",
        "channel_reported",
        "echo",
        "undigested",
        "ignored",
    }


def test_some_mutated_payloads_give_events_or_ignored_or_malformed() -> None:
    for number in range(400):
        assert_digested(MUTATIONS.payload(number), on_the_bus=number % 5 == 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mutated_payloads_give_events_or_ignored_or_malformed() -> None:
    found = outcomes(digested, 97_000)
    assert found.total() == 97_000
    assert {"undigested", "message_received", "malformed", "ignored"} <= set(found)


def digested(number: int) -> str:
    return assert_digested(MUTATIONS.payload(number), on_the_bus=number % 5 == 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_drawn_payloads_give_events_or_ignored_or_malformed(data: st.DataObject) -> None:
    samples = tuple(json.dumps(sample).encode() for sample in SAMPLES)
    assert_digested(data.draw(bodies(samples)), on_the_bus=True)
