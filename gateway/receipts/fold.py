"""The fold from what was ever reported of a message to one status: pure, and the same in whatever order it came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.events import Evidence, Reason, Status

LADDER: Final = (Status.QUEUED, Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.READ)
RANK: Final = {status: rank for rank, status in enumerate(LADDER)}
DELIVERED: Final = RANK[Status.DELIVERED]
ACCEPTED: Final = RANK[Status.ACCEPTED]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. `part` None speaks of the whole message; `generation` counts a person's retries."""

    status: Status
    evidence: Evidence
    part: int | None = None
    generation: int = 1
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a message stands. `reason` is set for FAILED and UNCERTAIN."""

    status: Status
    evidence: Evidence
    reason: Reason | None = None


START: Final = Standing(Status.QUEUED, Evidence.NONE)


def fold(entries: Iterable[Entry], *, generation: int, parts: Sequence[int] = (0,)) -> Standing:
    """The status of a message with these parts: that of its worst part."""
    ledger = list(entries)
    standings = [fold_part([entry for entry in ledger if entry.part in (None, part)], generation) for part in parts]
    return min(standings, key=worst_first)


def fold_part(entries: Sequence[Entry], generation: int) -> Standing:
    """The highest rung reached; a failure counts only before delivery, a doubt only before acceptance.

    Failures and doubts of an earlier generation are over once a person has asked for another try.
    """
    best = max((entry for entry in entries if entry.status in RANK), key=climb, default=None)
    rank = RANK[best.status] if best else RANK[Status.QUEUED]
    present = [entry for entry in entries if entry.generation == generation]
    failure = strongest(present, Status.FAILED)
    if failure is not None and rank < DELIVERED:
        return Standing(Status.FAILED, failure.evidence, failure.reason)
    doubt = strongest(present, Status.UNCERTAIN)
    if doubt is not None and rank < ACCEPTED:
        return Standing(Status.UNCERTAIN, doubt.evidence, doubt.reason)
    return Standing(best.status, best.evidence) if best else START


def climb(entry: Entry) -> tuple[int, str]:
    """Order of the rungs; among equal ones any fixed order of evidence keeps the fold independent of arrival."""
    return RANK[entry.status], entry.evidence


def strongest(entries: Sequence[Entry], status: Status) -> Entry | None:
    """One of the entries with this status, the same whatever their order."""
    of_status = [entry for entry in entries if entry.status is status]
    return max(of_status, key=lambda e: (e.reason.code if e.reason else "", e.evidence), default=None)


def worst_first(standing: Standing) -> tuple[int, int]:
    if standing.status is Status.FAILED:
        return (0, 0)
    if standing.status is Status.UNCERTAIN:
        return (1, 0)
    return (2, RANK[standing.status])
