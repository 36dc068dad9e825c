"""The fold of a ledger into one status: whatever came, in whatever order, however often."""

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.receipts.fold import LADDER, RANK, START, Entry, Standing, fold
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
GENERATIONS = st.integers(1, 3)
PARTS = st.sets(st.integers(0, 2), min_size=1).map(sorted)


def entry(status: Status, *, part: int | None = None, generation: int = 1, code: str | None = None) -> Entry:
    reason = Reason(code=code, detail="-") if code else None
    return Entry(status, Evidence.PROVIDER_RECEIPT, part, generation, reason)


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


@given(LEDGERS, ENTRIES, GENERATIONS, PARTS)
def test_read_never_goes_back(ledger: list[Entry], late: Entry, generation: int, parts: list[int]) -> None:
    read = [*ledger, *(entry(Status.READ, part=part) for part in parts)]
    assert fold([*read, late], generation=generation, parts=parts).status is Status.READ


@given(LEDGERS, ENTRIES, GENERATIONS)
def test_a_status_of_the_ladder_never_falls_to_a_lower_rung(ledger: list[Entry], late: Entry, generation: int) -> None:
    before = fold(ledger, generation=generation).status
    after = fold([*ledger, late], generation=generation).status
    if before in RANK and after in RANK:
        assert RANK[after] >= RANK[before]


@given(LEDGERS, GENERATIONS)
def test_a_failure_counts_only_before_delivery(ledger: list[Entry], generation: int) -> None:
    failed = [*ledger, entry(Status.FAILED, generation=generation, code="deaf")]
    highest = max((RANK[e.status] for e in ledger if e.part in (None, 0) and e.status in RANK), default=0)
    standing = fold(failed, generation=generation)
    assert (standing.status is Status.FAILED) == (highest < RANK[Status.DELIVERED])


@given(LEDGERS, GENERATIONS, st.sampled_from(LADDER[1:]))
def test_a_doubt_is_resolved_by_any_proof_of_acceptance(ledger: list[Entry], generation: int, proof: Status) -> None:
    standing = fold([*ledger, entry(Status.UNCERTAIN, generation=generation), entry(proof)], generation=generation)
    assert standing.status is not Status.UNCERTAIN


@given(LEDGERS, GENERATIONS, PARTS)
def test_a_message_stands_where_its_worst_part_stands(ledger: list[Entry], generation: int, parts: list[int]) -> None:
    whole = fold(ledger, generation=generation, parts=parts)
    alone = [fold(ledger, generation=generation, parts=[part]) for part in parts]
    assert whole in alone
    order = (Status.FAILED, Status.UNCERTAIN, *LADDER)
    assert order.index(whole.status) == min(order.index(standing.status) for standing in alone)


@given(LEDGERS, PARTS)
def test_failures_and_doubts_of_an_earlier_try_are_over(ledger: list[Entry], parts: list[int]) -> None:
    standing = fold(ledger, generation=9, parts=parts)
    assert standing.status in RANK


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
