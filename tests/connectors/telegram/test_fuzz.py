"""100,000 payloads as nobody meant them: only events, `Ignored` or `Malformed`, and every event survives the bus."""

import copy
import json
import random
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
STRANGE: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 0.5, -1e308, float("nan"), float("inf"), 2**31, 2**63, 2**64, -(2**63), 10**400,
    "", "\x00", "\ud800", "\udfff👍", "0", "-5", "private", "channel", "kicked", "2026-01-01", "9" * 400, "é" * 300,
    [], [[]], [None], {}, {"type": "hologram"}, {"id": 1}, {"": ""}, [{"type": []}],
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value, by the steps that lead there."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, inner in steps for place in places(inner, (*path, step)))]


PLACES: Final = [[place for place in places(sample) if place] for sample in SAMPLES]
PARTS: Final = [(sample, place) for sample, found in zip(SAMPLES, PLACES, strict=True) for place in found]


def part_of(sample: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        sample = sample[step]
    return sample


def mutate(value: Any, place: tuple[Any, ...], chance: random.Random) -> None:
    """Change one place, if earlier changes have left it there."""
    *way, last = place
    for step in way:
        if not isinstance(value, dict | list) or (isinstance(value, dict) and step not in value):
            return
        if isinstance(value, list) and not (isinstance(step, int) and step < len(value)):
            return
        value = value[step]
    if not (isinstance(value, dict) and last in value) and not (
        isinstance(value, list) and isinstance(last, int) and last < len(value)
    ):
        return
    match chance.randrange(5):
        case 0:
            del value[last]
        case 1:  # what belongs elsewhere
            value[last] = copy.deepcopy(part_of(*chance.choice(PARTS)))
        case 2:
            value[last] = [value[last], value[last]]
        case 3 if isinstance(value, dict):
            value[f"new_{last}"] = value.pop(last)
        case _:
            value[last] = chance.choice(STRANGE)


def payload(number: int) -> bytes:
    """The same payload for the same number, always."""
    chance = random.Random(number)
    which = chance.randrange(len(SAMPLES))
    value = copy.deepcopy(SAMPLES[which])
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        mutate(value, chance.choice(PLACES[which]), chance)
    body = bytearray(json.dumps(value).encode())
    if chance.random() < 0.03:
        body[chance.randrange(len(body))] = chance.randrange(256)
    if chance.random() < 0.02:
        del body[chance.randrange(len(body)) :]
    return bytes(body)


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
    for number in range(1500):
        assert_digested(payload(number), on_the_bus=number % 5 == 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", range(4))
def test_mutated_payloads_give_events_or_ignored_or_malformed(share: int) -> None:
    outcomes = [assert_digested(payload(number), on_the_bus=number % 5 == 0) for number in range(share, 97_000, 4)]
    assert {"undigested", "message_received", "malformed", "ignored"} <= set(outcomes)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_drawn_payloads_give_events_or_ignored_or_malformed(data: st.DataObject) -> None:
    samples = tuple(json.dumps(sample).encode() for sample in SAMPLES)
    assert_digested(data.draw(bodies(samples)), on_the_bus=True)
