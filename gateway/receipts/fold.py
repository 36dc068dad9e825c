"""The fold from what was ever reported of a message to one status: pure, and the same in whatever order it came."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shared.events import Evidence, Reason, Status

LADDER: Final = (Status.QUEUED, Status.ACCEPTED, Status.SENT, Status.DELIVERED, Status.READ)
RANK: Final = {status: rank for rank, status in enumerate(LADDER)}
DELIVERED: Final = RANK[Status.DELIVERED]
ACCEPTED: Final = RANK[Status.ACCEPTED]
# "Everything up to here": said of the whole chat, and so no proof that this one message ever got there.
INFERENCES: Final = frozenset({Evidence.WATERMARK, Evidence.INFERRED})


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
    return worst(fold_parts(entries, generation=generation, parts=parts).values())


def fold_parts(entries: Iterable[Entry], *, generation: int, parts: Iterable[int]) -> dict[int, Standing]:
    """Where each part stands: those named, and those of which the ledger speaks in this generation."""
    ledger = list(entries)
    spoken_of = {entry.part for entry in ledger if entry.part is not None and entry.generation == generation}
    return {
        part: fold_part([entry for entry in ledger if entry.part in (None, part)], generation)
        for part in sorted({*parts, *spoken_of} or {0})
    }


def worst(standings: Iterable[Standing]) -> Standing:
    return min(standings, key=worst_first)


def fold_part(entries: Sequence[Entry], generation: int) -> Standing:
    """What was witnessed, and on top of it what follows for a message that is known to have gone out."""
    witnessed = [entry for entry in entries if not is_inference(entry)]
    standing = stand(witnessed, generation)
    if RANK.get(standing.status, 0) < ACCEPTED:
        return standing
    inferred = [entry for entry in entries if is_inference(entry) and entry.generation == generation]
    return stand([*witnessed, *inferred], generation)


def is_inference(entry: Entry) -> bool:
    return entry.evidence in INFERENCES and entry.status in RANK


def stand(entries: Sequence[Entry], generation: int) -> Standing:
    """The highest rung reached; a failure counts only before delivery, a doubt only before acceptance.

    Once a person has asked for another try, what became of the earlier ones is over: their failures and doubts, and
    that they went out. Only that one of them arrived still counts.
    """
    rungs = [entry for entry in entries if entry.status in RANK and counts(entry, generation)]
    best = max(rungs, key=climb, default=None)
    rank = RANK[best.status] if best else RANK[Status.QUEUED]
    present = [entry for entry in entries if entry.generation == generation]
    failure = strongest(present, Status.FAILED)
    if failure is not None and rank < DELIVERED:
        return Standing(Status.FAILED, failure.evidence, failure.reason)
    doubt = strongest(present, Status.UNCERTAIN)
    if doubt is not None and rank < ACCEPTED:
        return Standing(Status.UNCERTAIN, doubt.evidence, doubt.reason)
    return Standing(best.status, best.evidence) if best else START


def counts(rung: Entry, generation: int) -> bool:
    return rung.generation == generation or RANK[rung.status] >= DELIVERED


def climb(entry: Entry) -> tuple[int, str]:
    """Order of the rungs; among equal ones any fixed order of evidence keeps the fold independent of arrival."""
    return RANK[entry.status], entry.evidence


def strongest(entries: Sequence[Entry], status: Status) -> Entry | None:
    """One of the entries with this status, the same whatever their order."""
    of_status = [entry for entry in entries if entry.status is status]
    return max(of_status, key=why, default=None)


def why(entry: Entry) -> tuple[str, str, str]:
    return (entry.reason.code, entry.reason.detail, entry.evidence) if entry.reason else ("", "", entry.evidence)


def worst_first(standing: Standing) -> tuple[int, int]:
    if standing.status is Status.FAILED:
        return (0, 0)
    if standing.status is Status.UNCERTAIN:
        return (1, 0)
    return (2, RANK[standing.status])
