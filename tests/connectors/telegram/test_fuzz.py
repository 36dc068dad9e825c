"""100,000 payloads as nobody meant them: only events, `Ignored` or `Malformed`, and every event survives the bus."""

import json
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.telegram.inbound import parse_payload
from shared.errors import Ignored, Malformed
from shared.events import dedupe_key
from shared.subjects import InboundBatch
from tests.connectors.telegram.given import ANN, AT, BOT, CONNECTION, FACTS, message, update
from tests.contract.harness import bodies
from tests.support.mutations import Mutations
from tests.support.shares import outcomes

OLGA: Final = {"id": 1, "is_bot": False, "first_name": "Olga"}
FILE: Final = {"file_id": "F", "file_unique_id": "U", "width": 9, "height": 9, "duration": 3, "length": 9}
PLACE: Final = {"latitude": 52.5, "longitude": 13.4}
LINK: Final = {"type": "url", "url": "https://x", "text": "here"}
BLOCKS: Final = [
    {"type": "heading", "text": "Order", "size": 1},
    {"type": "paragraph", "text": ["see ", {"type": "bold", "text": ["it ", LINK]}]},
    {"type": "list", "items": [{"label": "1.", "blocks": [{"type": "paragraph", "text": "1"}], "has_checkbox": True}]},
    {"type": "table", "cells": [[{"text": "a", "align": "left", "valign": "top"}]], "caption": "c"},
    {"type": "details", "summary": "more", "blocks": [{"type": "photo", "photo": [FILE], "caption": {"text": "p"}}]},
]
MARKS: Final = [{"type": "bold", "offset": 0, "length": 2}, {"type": "url", "offset": 3, "length": 2}]
SAID: Final[tuple[dict[str, Any], ...]] = (
    {"text": "Hi 👍", "entities": MARKS},
    {"rich_message": {"blocks": BLOCKS}},
    {"animation": FILE, "document": FILE, "caption": "See", "caption_entities": MARKS},
    {"live_photo": FILE | {"photo": [FILE]}, "photo": [FILE]},
    {"voice": FILE | {"mime_type": "audio/ogg", "file_size": 5}},
    {"video_note": FILE},
    {"sticker": FILE | {"type": "regular", "is_animated": True, "is_video": False, "emoji": "🙂"}},
    {"document": FILE | {"file_name": "bill.pdf", "mime_type": "application/pdf"}, "media_group_id": "5"},
    {"contact": {"phone_number": "+1555", "first_name": "Ann", "user_id": ANN, "vcard": "BEGIN:VCARD\nEMAIL:a@b\n"}},
    {"venue": {"location": PLACE, "title": "Shop", "address": "Main"}, "location": PLACE},
    {"location": PLACE | {"live_period": 900}},
    {"poll": {"id": "1", "question": "?", "options": [{"text": "a", "voter_count": 1}]}},
    {"hologram": {"light": "blue"}, "caption": "new"},
    {"migrate_to_chat_id": -1005},
    {"pinned_message": message(1, text="old")},
    {"text": "Yes", "reply_to_message": message(3, text="Red?"), "message_thread_id": 3, "is_topic_message": True},
    {"text": "Hi", "direct_messages_topic": {"topic_id": 7, "user": OLGA}},
    {"text": "Hi", "forward_origin": {"type": "user", "date": AT, "sender_user": OLGA}, "via_bot": OLGA},
)
EDITED: Final = {"edit_date": AT}
OF_OLGA: Final = {"business_connection_id": CONNECTION, "from": OLGA}
CHANGES: Final = {"chat": {"id": ANN, "type": "private"}, "date": AT, "from": OLGA}
SAMPLES: Final[tuple[Any, ...]] = (
    *FACTS,
    *(update(number, "message", **message(number, **said)) for number, said in enumerate(SAID, 100)),
    *(update(number, "edited_message", **(message(number, **said) | EDITED)) for number, said in enumerate(SAID, 200)),
    *(
        update(number, "business_message", **(message(number, **said) | OF_OLGA))
        for number, said in enumerate(SAID, 300)
    ),
    update(400, "my_chat_member", **CHANGES, new_chat_member={"user": OLGA, "status": "kicked", "until_date": 0}),
    update(401, "business_connection", id=CONNECTION, user=OLGA, user_chat_id=1, date=AT, is_enabled=False),
)
MUTATIONS: Final = Mutations(SAMPLES)


def assert_digested(body: bytes, *, on_the_bus: bool) -> str:
    """What became of it: the kind of its first event, or the outcome."""
    try:
        events = parse_payload(body, account=BOT)
    except (Ignored, Malformed) as error:
        return error.code
    assert events
    if on_the_bus:
        batch = InboundBatch(channel_id="chn_1", events=tuple(events))
        assert InboundBatch.model_validate_json(batch.model_dump_json()) == batch
        assert [dedupe_key(event) for event in events] == [
            dedupe_key(event) for event in parse_payload(body, account=BOT)
        ]
    return events[0].kind


def test_every_sample_is_understood() -> None:
    assert {assert_digested(json.dumps(sample).encode(), on_the_bus=True) for sample in SAMPLES} >= {
        "message_received",
        "message_edited",
        "message_deleted",
        "peer_blocked",
        "peer_connected",
        "peer_moved",
        "channel_reported",
        "echo",
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
