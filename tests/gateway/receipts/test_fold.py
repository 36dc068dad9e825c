"""The fold of a ledger into one status: whatever came, in whatever order, however often."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.receipts.fold import INFERENCES, LADDER, RANK, START, Entry, Standing, fold
from shared.events import Evidence, Reason, Status

STATUSES = st.sampled_from(Status)
REASONS = st.none() | st.builds(Reason, code=st.sampled_from(["deaf", "gone"]), detail=st.just("-"))
ENTRIES = st.builds(
    Entry,
    status=STATUSES,
    evidence=st.sampled_from(Evidence),
    part=st.none() | st.integers(0, 2),
    generation=st.integers(1, 3),
    reason=REASONS,
)
LEDGERS = st.lists(ENTRIES, max_size=8)
WHOLE_LEDGERS = st.lists(ENTRIES.map(lambda e: replace(e, part=None)), max_size=8)
GENERATIONS = st.integers(1, 3)
ALL_PARTS = (0, 1, 2)
PARTS = st.sets(st.integers(0, 2), min_size=1).map(sorted)


def entry(status: Status, *, part: int | None = None, generation: int = 1, code: str | None = None) -> Entry:
    reason = Reason(code=code, detail="-") if code else None
    return Entry(status, Evidence.PROVIDER_RECEIPT, part, generation, reason)


def mark(status: Status, *, generation: int = 1) -> Entry:
    return Entry(status, Evidence.WATERMARK, None, generation)


def status_of(*statuses: Status) -> Status:
    return fold([entry(status) for status in statuses], generation=1).status


def test_nothing_reported_is_queued() -> None:
    assert fold([], generation=1) == START


@given(LEDGERS, GENERATIONS, PARTS, st.randoms())
def test_the_order_makes_no_difference(
    ledger: list[Entry], generation: int, parts: list[int], chance: random.Random
) -> None:
    shuffled = ledger[:]
    chance.shuffle(shuffled)
    assert fold(shuffled, generation=generation, parts=parts) == fold(ledger, generation=generation, parts=parts)


@given(LEDGERS, GENERATIONS, PARTS, st.randoms())
def test_hearing_it_again_makes_no_difference(
    ledger: list[Entry], generation: int, parts: list[int], chance: random.Random
) -> None:
    repeated = ledger + chance.choices(ledger, k=5) if ledger else []
    assert fold(repeated, generation=generation, parts=parts) == fold(ledger, generation=generation, parts=parts)


@given(LEDGERS, ENTRIES, GENERATIONS)
def test_read_never_goes_back(ledger: list[Entry], late: Entry, generation: int) -> None:
    read = [*ledger, *(entry(Status.READ, part=part) for part in ALL_PARTS)]
    assert fold([*read, late], generation=generation, parts=ALL_PARTS).status is Status.READ


@given(LEDGERS, ENTRIES, GENERATIONS)
def test_a_status_of_the_ladder_never_falls_to_a_lower_rung(ledger: list[Entry], late: Entry, generation: int) -> None:
    before = fold(ledger, generation=generation, parts=ALL_PARTS).status
    after = fold([*ledger, late], generation=generation, parts=ALL_PARTS).status
    if before in RANK and after in RANK:
        assert RANK[after] >= RANK[before]


@given(WHOLE_LEDGERS, GENERATIONS)
def test_a_failure_counts_only_before_delivery(ledger: list[Entry], generation: int) -> None:
    failed = [*ledger, entry(Status.FAILED, generation=generation, code="deaf")]
    arrived = any(e.status in (Status.DELIVERED, Status.READ) and e.evidence not in INFERENCES for e in ledger)
    standing = fold(failed, generation=generation)
    assert (standing.status is Status.FAILED) == (not arrived)


@given(WHOLE_LEDGERS, GENERATIONS, st.sampled_from(LADDER[1:]))
def test_a_doubt_is_resolved_by_any_proof_of_acceptance(ledger: list[Entry], generation: int, proof: Status) -> None:
    told = [entry(Status.UNCERTAIN, generation=generation), entry(proof, generation=generation)]
    assert fold([*ledger, *told], generation=generation).status is not Status.UNCERTAIN


@given(LEDGERS, GENERATIONS)
def test_a_message_stands_where_its_worst_part_stands(ledger: list[Entry], generation: int) -> None:
    whole = fold(ledger, generation=generation, parts=ALL_PARTS)
    of_part = [[e for e in ledger if e.part in (None, part)] for part in ALL_PARTS]
    alone = [fold(of_part[part], generation=generation, parts=[part]) for part in ALL_PARTS]
    assert whole in alone
    order = (Status.FAILED, Status.UNCERTAIN, *LADDER)
    assert order.index(whole.status) == min(order.index(standing.status) for standing in alone)


@given(LEDGERS, PARTS)
def test_of_an_earlier_try_only_that_it_arrived_still_counts(ledger: list[Entry], parts: list[int]) -> None:
    standing = fold(ledger, generation=9, parts=parts)
    assert standing.status in (Status.QUEUED, Status.DELIVERED, Status.READ)


def test_a_second_try_of_which_nobody_knows_the_end_is_uncertain_though_the_first_was_sent() -> None:
    ledger = [entry(Status.SENT), entry(Status.FAILED), entry(Status.UNCERTAIN, generation=2)]
    assert fold(ledger, generation=2).status is Status.UNCERTAIN
    assert fold([*ledger, entry(Status.DELIVERED)], generation=2).status is Status.DELIVERED


@pytest.mark.parametrize("beside", [Status.FAILED, Status.UNCERTAIN, Status.QUEUED])
def test_a_watermark_proves_nothing_of_what_is_not_known_to_have_gone_out(beside: Status) -> None:
    ledger = [entry(beside), mark(Status.READ)]
    assert fold(ledger, generation=1).status is beside
    assert fold([*ledger, entry(Status.SENT)], generation=1).status is (
        Status.FAILED if beside is Status.FAILED else Status.READ
    )


def test_a_watermark_of_an_earlier_try_says_nothing_of_the_next() -> None:
    ledger = [mark(Status.READ), entry(Status.FAILED), entry(Status.SENT, generation=2)]
    assert fold(ledger, generation=2).status is Status.SENT


def test_a_part_of_which_the_ledger_speaks_counts_before_it_has_an_id() -> None:
    ledger = [entry(Status.DELIVERED, part=0), entry(Status.QUEUED, part=1)]
    assert fold(ledger, generation=1, parts=[0]).status is Status.QUEUED
    assert fold([*ledger, entry(Status.SENT)], generation=1, parts=[0]).status is Status.SENT
    assert fold(ledger, generation=2, parts=[0]).status is Status.DELIVERED


def test_failed_after_sent_is_failed_and_says_why() -> None:
    ledger = [entry(Status.FAILED, code="deaf"), entry(Status.SENT)]
    assert fold(ledger, generation=1) == Standing(
        Status.FAILED, Evidence.PROVIDER_RECEIPT, Reason(code="deaf", detail="-")
    )


def test_failed_after_delivered_is_delivered() -> None:
    assert status_of(Status.DELIVERED, Status.FAILED) is Status.DELIVERED


def test_an_uncertain_message_that_turns_out_failed_is_failed() -> None:
    assert status_of(Status.UNCERTAIN, Status.FAILED) is Status.FAILED


def test_a_word_about_the_whole_message_speaks_of_every_part() -> None:
    ledger = [entry(Status.SENT, part=0), entry(Status.DELIVERED)]
    assert fold(ledger, generation=1, parts=[0, 1]).status is Status.DELIVERED


def test_of_two_parts_one_delivered_the_message_is_only_sent() -> None:
    ledger = [entry(Status.SENT), entry(Status.DELIVERED, part=0)]
    assert fold(ledger, generation=1, parts=[0, 1]).status is Status.SENT
