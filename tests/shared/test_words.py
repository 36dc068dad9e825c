"""The vocabulary travels: every event, command and content is the same after a trip through JSON."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from rich.pretty import pretty_repr

from shared.content import Buttons, Content, Location, Text
from shared.events import (
    Address,
    InboundEvent,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ReceiptReported,
    Status,
    dedupe_key,
)
from shared.model import Model, StrictModel, Time, show_time, storable
from shared.subjects import (
    ChannelAnswer,
    ChannelRecord,
    Delivery,
    InboundBatch,
    ReparseAnswer,
    ReparseRequest,
)
from tests.shared.strategies import addresses, batches, contents, deliveries, events, receipts, some_text, texts, times

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
PEER = Address(channel="parrot", account="a", peer="ann")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

any_content: TypeAdapter[Content] = TypeAdapter(Content)
any_event: TypeAdapter[InboundEvent] = TypeAdapter(InboundEvent)


# Through JSON


@given(contents)
def test_content_survives_a_json_round_trip(content: Content) -> None:
    assert any_content.validate_json(any_content.dump_json(content)) == content


@given(events)
def test_an_event_survives_a_json_round_trip_and_keeps_its_key(event: InboundEvent) -> None:
    again = any_event.validate_json(any_event.dump_json(event))
    assert again == event
    assert dedupe_key(again) == dedupe_key(event)


@given(batches)
def test_a_batch_survives_a_json_round_trip(batch: InboundBatch) -> None:
    assert InboundBatch.model_validate_json(batch.model_dump_json()) == batch


@given(deliveries)
def test_a_command_survives_a_json_round_trip(delivery: Delivery) -> None:
    assert Delivery.model_validate_json(delivery.model_dump_json()) == delivery


@given(st.binary(max_size=30), st.dictionaries(texts, texts, max_size=2))
def test_raw_words_survive_a_json_round_trip(body: bytes, headers: dict[str, str]) -> None:
    request = ReparseRequest(channel_id="chn_1", body=body, headers=headers)
    assert ReparseRequest.model_validate_json(request.model_dump_json()) == request


@given(st.lists(events, max_size=2).map(tuple))
def test_a_reparse_answer_survives_a_json_round_trip(found: tuple[InboundEvent, ...]) -> None:
    answer = ReparseAnswer(events=found)
    assert ReparseAnswer.model_validate_json(answer.model_dump_json()) == answer


@given(batches)
def test_nothing_that_travels_has_what_a_database_cannot_keep(batch: InboundBatch) -> None:
    for text in strings(batch.model_dump()):
        assert not UNSTORABLE.search(text), repr(text)


def strings(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for pair in value.items() for one in pair for text in strings(one)]
        case list() | tuple():
            return [text for one in value for text in strings(one)]
        case _:
            return []


@given(batches)
def test_what_travels_is_json_that_a_strict_parser_takes(batch: InboundBatch) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    json.loads(batch.model_dump_json(), parse_constant=refuse)


# Storable


@given(st.text(st.characters(exclude_categories=())))
def test_storable_text_has_neither_nul_nor_half_a_pair_and_keeps_its_length(text: str) -> None:
    kept = storable(text)
    assert isinstance(kept, str)
    assert not UNSTORABLE.search(kept)
    assert len(kept) == len(text)
    assert storable(kept) == kept
    kept.encode()


@given(st.text())
def test_storable_leaves_good_text_alone(text: str) -> None:
    if "\x00" not in text:
        assert storable(text) is text


@pytest.mark.parametrize("value", [None, 1, b"\x00", ["\x00"]])
def test_storable_is_about_text_alone(value: object) -> None:
    assert storable(value) is value


def test_one_bad_character_never_costs_a_message() -> None:
    event = MessageReceived(
        address=PEER,
        occurred_at=NOON,
        external_id="x\x00",
        content=Text(text="half \ud83d of it"),
        context={"note\x00": ["\ud800", {"deep": float("nan")}]},
    )
    assert event.external_id == "x\ufffd"
    assert event.content == Text(text="half \ufffd of it")
    assert event.context == {"note\ufffd": ["\ufffd", {"deep": None}]}


# Time


@given(times)
def test_time_is_kept_in_utc_as_finely_as_it_is_shown(moment: datetime) -> None:
    class Timed(Model):
        at: Time

    timed = Timed(at=moment)
    assert timed.at.utcoffset() == timedelta(0)
    assert abs(timed.at - moment) < timedelta(milliseconds=1)
    assert Timed.model_validate_json(timed.model_dump_json()) == timed
    assert show_time(timed.at) == show_time(moment)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError):
        MessageDeleted(address=PEER, occurred_at=datetime(2026, 1, 1), external_id="x")  # noqa: DTZ001


def test_time_is_shown_in_utc_to_the_millisecond() -> None:
    moment = datetime(2026, 3, 1, 1, 2, 3, 4999, tzinfo=timezone(timedelta(hours=2)))
    assert show_time(moment) == "2026-02-28T23:02:03.004Z"


# Models


def test_a_model_ignores_what_a_newer_sender_adds_and_never_changes() -> None:
    text = Text.model_validate({"kind": "text", "text": "hi", "sparkle": True})
    assert text == Text(text="hi")
    with pytest.raises(ValidationError):
        text.text = "ho"


def test_a_strict_model_says_what_it_does_not_know() -> None:
    class Typed(StrictModel):
        name: str

    with pytest.raises(ValidationError, match="nmae"):
        Typed.model_validate({"name": "a", "nmae": "b"})


def test_a_validation_error_hides_what_was_said() -> None:
    for model, value in ((Location, {"latitude": "canary", "longitude": 0}), (Text, {"text": ["canary"]})):
        with pytest.raises(ValidationError) as caught:
            model.model_validate(value)
        assert "canary" not in str(caught.value)


def test_buttons_have_a_button() -> None:
    with pytest.raises(ValidationError):
        Buttons(text="Which?", options=())


def test_content_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValidationError):
        any_content.validate_python({"kind": "hologram"})


def test_a_channel_record_never_shows_its_config() -> None:
    record = ChannelRecord(id="chn_1", type="parrot", active=True, config={"token": "canary"})
    answer = ChannelAnswer(channel=record)
    for value in (record, answer):
        assert "canary" not in f"{value!r} {value!s} {pretty_repr(value)}"
        assert "canary" in value.model_dump_json()


# The key of a fact


@given(events)
def test_a_key_does_not_depend_on_what_a_repeat_may_change(event: InboundEvent) -> None:
    again = event.model_copy(update={"raw": b"other", "context": {"other": 1}})
    assert dedupe_key(again) == dedupe_key(event)


@given(addresses, addresses, some_text, some_text)
@example(Address(channel="c", account="a", peer="x|y"), Address(channel="c", account="a", peer="x"), "z", "y|z")
def test_messages_have_one_key_if_and_only_if_peer_and_id_are_the_same(
    first: Address, second: Address, first_id: str, second_id: str
) -> None:
    one = MessageDeleted(address=first, occurred_at=NOON, external_id=first_id)
    other = MessageDeleted(address=second, occurred_at=NOON, external_id=second_id)
    same = (one.address.peer, one.external_id) == (other.address.peer, other.external_id)
    assert (dedupe_key(one) == dedupe_key(other)) == same


def receipt_facts(receipt: ReceiptReported) -> tuple[object, ...]:
    return (
        receipt.address.peer,
        receipt.status,
        receipt.message_id,
        receipt.up_to_id,
        receipt.up_to,
        receipt.external_ids,
        receipt.part,
        receipt.outcome.attempt if receipt.outcome else None,
        receipt.reason.code if receipt.reason else None,
    )


def receipt(**changes: object) -> ReceiptReported:
    return ReceiptReported.model_validate(
        {"address": PEER, "occurred_at": NOON, "status": Status.SENT, "evidence": "provider_receipt", **changes}
    )


@given(receipts)
def test_a_receipt_told_later_has_the_same_key(told: ReceiptReported) -> None:
    later = told.model_copy(update={"occurred_at": told.occurred_at + timedelta(hours=1), "raw": b"", "context": {}})
    assert dedupe_key(later) == dedupe_key(told)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"external_ids": ("a", "b")}, {"external_ids": ("a,b",)}),
        ({"external_ids": ("a|b",)}, {"external_ids": ("a",), "reason": {"code": "b", "detail": ""}}),
        ({"message_id": "a"}, {"up_to_id": "a"}),
        ({"up_to_id": NOON.isoformat()}, {"up_to": NOON}),
        ({"external_ids": ("a",), "status": "read"}, {"external_ids": ("a",), "status": "sent"}),
        ({"part": 0}, {"part": None}),
        ({"message_id": "a", "part": 1}, {"message_id": "a", "part": 2}),
        ({"message_id": "a", "outcome": {"attempt": 1}}, {"message_id": "a", "outcome": {"attempt": 2}}),
    ],
)
def test_receipts_that_differ_have_keys_that_differ(one: dict[str, object], other: dict[str, object]) -> None:
    assert receipt_facts(receipt(**one)) != receipt_facts(receipt(**other))
    assert dedupe_key(receipt(**one)) != dedupe_key(receipt(**other))


@given(events, events)
def test_kinds_of_fact_never_share_a_key(one: InboundEvent, other: InboundEvent) -> None:
    messages = {"message_received", "echo"}
    if one.kind != other.kind and not {one.kind, other.kind} <= messages:
        assert dedupe_key(one) != dedupe_key(other)


def test_edits_are_told_apart_by_version_or_by_time() -> None:
    def edit(*, version: str | None, minutes: int) -> str:
        at = NOON + timedelta(minutes=minutes)
        return dedupe_key(
            MessageEdited(address=PEER, occurred_at=at, external_id="x", content=Text(text="y"), version=version)
        )

    assert edit(version="1", minutes=0) == edit(version="1", minutes=1)
    assert edit(version="1", minutes=0) != edit(version="2", minutes=0)
    assert edit(version=None, minutes=0) != edit(version=None, minutes=1)
    assert edit(version=None, minutes=0) == edit(version=None, minutes=0)
