"""Which lines of a mail a person wrote now: plain text, and the rule that HTML shares."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import Final

from connectors.email.replies import marks

TEXT_MAX: Final = 64 * 1024  # what is looked at, in characters
LINES_MAX: Final = 2000
PASSES_MAX: Final = 4
FORWARDED_WITH_MAX: Final = 10  # words above a forwarded mail that leave it part of the message
SIGNATURE_SIGNS: Final = ("--", "—", "__")  # other lines of signs are drawn under headings, too
SIGNATURE_LINES_MAX: Final = 30
SIGNATURE_SPACE_MAX: Final = 60  # with empty lines
DIVIDED_LINES_MAX: Final = 8


class Mark(Enum):
    OWN = auto()
    BLANK = auto()
    QUOTE = auto()
    ATTRIBUTION = auto()  # "On <date>, <name> wrote:"
    HISTORY = auto()  # from here on nothing is new
    FORWARDED = auto()  # the same, unless it is what the person wants to show
    SIGNATURE = auto()


@dataclass(frozen=True)
class Line:
    text: str
    hint: Mark | None = None  # what the markup says of it


def visible_text(text: str) -> str:
    """What the person wrote now, in whole lines of `text`; all of it where that would leave nothing.

    Longer texts than `TEXT_MAX` are judged by their beginning.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return cut(text)
    except Exception:  # a mail that cannot be cut is shown whole
        return text


def cut(text: str) -> str:
    for _ in range(PASSES_MAX):  # a quote above a signature is the last thing only when the signature is gone
        head, tail = split(text)
        shown = cut_once(head, tail)
        if tail or shown == text:
            return shown
        text = shown
    return text


def cut_once(head: str, tail: str) -> str:
    lines = [Line(line) for line in head.split("\n")]
    kept = keep(lines)
    shown = "\n".join(line.text for line, stays in zip(lines, kept, strict=True) if stays)
    if tail and any(stays for stays in kept[-1:]):
        shown = f"{shown}\n{tail}"
    return without_blank_edges(shown)


def split(text: str) -> tuple[str, str]:
    """The beginning that is looked at, and the rest."""
    lines = text[:TEXT_MAX].split("\n", LINES_MAX)
    whole = len(text) <= TEXT_MAX
    if whole and len(lines) <= LINES_MAX:
        return text, ""
    if len(lines) > 1:
        lines.pop()
    head = "\n".join(lines)
    return head, text[len(head) + 1 :]


def without_blank_edges(text: str) -> str:
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    end = text.find("\n", last)
    return text[text.rfind("\n", 0, first) + 1 : end if end >= 0 else len(text)] if last else ""


def keep(lines: Sequence[Line]) -> list[bool]:
    """For each line whether it is shown. All of them where nothing would be left."""
    plain = [marks.plain(line.text) for line in lines]
    found = mark(lines, plain)
    end = history_start(found, plain)
    if end is None:
        return [True] * len(lines)
    mark_signatures(found, plain, end)
    shown = [place < end and shows(found, place) for place in range(len(lines))]
    hide_quotes(found, shown, end)
    hide_dividers(found, plain, shown)
    hide_gaps(found, shown)
    filled = any(stays and found[place] is not Mark.BLANK for place, stays in enumerate(shown))
    return shown if filled else [True] * len(lines)


def shows(found: Sequence[Mark], place: int) -> bool:
    return found[place] in (Mark.OWN, Mark.BLANK, Mark.QUOTE)


# What each line is


def mark(lines: Sequence[Line], plain: Sequence[str]) -> list[Mark]:
    quoted = [is_quoted(line) for line in lines]
    before_quote = quote_follows(plain, quoted)
    found: list[Mark] = []
    while len(found) < len(lines):
        at = len(found)
        history = begins_history(plain, at, lines[at])
        if history is not None and not (history is Mark.FORWARDED and before_quote[at]):
            return found + [history] * (len(lines) - at)
        found += mark_next(lines, plain, at, quoted, before_quote)
    return found


def begins_history(plain: Sequence[str], at: int, line: Line) -> Mark | None:
    if line.hint is Mark.QUOTE or not plain[at]:
        return None
    if marks.is_forwarded(plain[at]):
        return Mark.FORWARDED
    if line.hint is Mark.HISTORY or marks.is_original(plain[at]) or marks.is_header_block(plain, at):
        return Mark.HISTORY
    return None


def mark_next(
    lines: Sequence[Line], plain: Sequence[str], at: int, quoted: Sequence[bool], before_quote: Sequence[bool]
) -> list[Mark]:
    line = lines[at]
    if quoted[at] or is_wrapped_quote(lines, at):
        return [Mark.QUOTE]
    if not line.text.strip():
        return [Mark.BLANK]
    if line.hint is not None:  # a whole sentence in a signature may be the message
        return [line.hint if line.hint is not Mark.SIGNATURE or marks.is_particular(plain[at]) else Mark.OWN]
    if marks.is_forwarded(plain[at]):  # a quote follows, which has its own end
        return [Mark.ATTRIBUTION]
    length = marks.attribution_length(plain, at, before_quote)
    return [Mark.ATTRIBUTION] * length or [Mark.OWN]


def is_quoted(line: Line) -> bool:
    return line.hint is Mark.QUOTE or line.text.lstrip().startswith(">")


def is_wrapped_quote(lines: Sequence[Line], at: int) -> bool:
    """The end of a quoted line that was too long for the sender's program: an address, or half a sentence."""
    if not 0 < at < len(lines) - 1:
        return False
    before, line, after = (lines[place].text.strip() for place in (at - 1, at, at + 1))
    if not (before.startswith(">") and after.startswith(">")):
        return False
    return marks.is_link(line) or (len(before) >= 60 and before[-1] not in ".!?:;" and line[:1].islower())


def quote_follows(plain: Sequence[str], quoted: Sequence[bool]) -> list[bool]:
    """For each line whether the next one with text is quoted."""
    follows = [False] * len(plain)
    next_is_quoted = False
    for place in range(len(plain) - 1, -1, -1):
        follows[place] = next_is_quoted
        if plain[place] or quoted[place]:
            next_is_quoted = quoted[place]
    return follows


# What of it is hidden


def history_start(found: list[Mark], plain: Sequence[str]) -> int | None:
    """Where everything that follows is old; the length where nothing is; None where the whole has to be shown."""
    own = 0
    for place, one in enumerate(found):
        if one is Mark.OWN:
            own += len(plain[place].split()) or 1
        elif one is Mark.HISTORY:
            return place if own else None
        elif one is Mark.FORWARDED:
            return place if own > FORWARDED_WITH_MAX else None
        elif one is Mark.ATTRIBUTION and own and next_mark(found, place) not in (Mark.QUOTE, None):
            return place
    return len(found)


def next_mark(found: Sequence[Mark], place: int) -> Mark | None:
    """What comes below an attribution, blank lines left out."""
    return next((one for one in found[place:] if one not in (Mark.ATTRIBUTION, Mark.BLANK)), None)


def mark_signatures(found: list[Mark], plain: Sequence[str], end: int) -> None:
    """Mark signatures in each stretch of own lines, if anything of the person's stands above."""
    above = False
    for start, stop in own_stretches(found, end):
        for place in range(start, stop):
            if found[place] is not Mark.OWN:
                continue
            last = signature_length(plain, place, stop) if above else lone_device_length(found, plain, place, end)
            if last:
                start_of = closing_above(found, plain, place)
                found[start_of : place + last] = [Mark.SIGNATURE] * (place + last - start_of)
            else:
                above = True


def closing_above(found: Sequence[Mark], plain: Sequence[str], place: int) -> int:
    """Where a signature begins that a closing word leads in; `place` where none does."""
    before = place - 1
    while before > 0 and found[before] is Mark.BLANK:
        before -= 1
    leads = before > 0 and found[before] is Mark.OWN and marks.is_closing(plain[before])
    return before if leads and Mark.OWN in found[:before] else place


def own_stretches(found: Sequence[Mark], end: int) -> Iterable[tuple[int, int]]:
    start = 0
    for place in range(end + 1):
        if place == end or found[place] in (Mark.QUOTE, Mark.ATTRIBUTION):
            if start < place:
                yield start, place
            start = place + 1


def lone_device_length(found: Sequence[Mark], plain: Sequence[str], place: int, end: int) -> int:
    """A device's line above the text is one line of signature."""
    return int(marks.is_device(plain[place], alone=stands_alone(plain, place)) and Mark.OWN in found[place + 1 : end])


def stands_alone(plain: Sequence[str], place: int) -> bool:
    return (place == 0 or not plain[place - 1]) and (place + 1 == len(plain) or not plain[place + 1])


def signature_length(plain: Sequence[str], place: int, stop: int) -> int:
    """How many lines are a signature that begins here; 0 if none does."""
    first = plain[place]
    if marks.is_device(first, alone=stands_alone(plain, place)):
        return until_postscript(plain[place:stop])
    if not (marks.is_divider(first) or first in SIGNATURE_SIGNS or marks.is_closing(first)):
        return 0
    if stop - place > SIGNATURE_SPACE_MAX:
        return 0
    length = until_postscript(plain[place:stop])
    return length if is_signature(first, [line for line in plain[place + 1 : place + length] if line]) else 0


def is_signature(first: str, below: Sequence[str]) -> bool:
    if first in SIGNATURE_SIGNS:
        return len(below) <= SIGNATURE_LINES_MAX
    if len(below) > DIVIDED_LINES_MAX or not all(map(marks.is_particular, below)):
        return False
    return any(map(marks.has_contact if marks.is_closing(first) else marks.has_address, below))


def until_postscript(lines: Sequence[str]) -> int:
    return next((place for place, line in enumerate(lines) if place and marks.is_postscript(line)), len(lines))


def hide_quotes(found: Sequence[Mark], shown: list[bool], end: int) -> None:
    """Hide quotes below the last own line, and one answered from below; keep those that are answered in between."""
    if Mark.OWN not in found[:end]:
        return
    last_own = max(place for place in range(end) if found[place] is Mark.OWN)
    answered = answers(found[:end]) > 1 or loose(found, end)
    for start, stop in quote_runs(found, end):
        introduced = next_before(found, start) is Mark.ATTRIBUTION
        if start > last_own or (introduced and not answered):
            shown[start:stop] = [False] * (stop - start)


def answers(found: Sequence[Mark]) -> int:
    """How often own lines follow on a quote."""
    those = [one for one in found if one in (Mark.OWN, Mark.QUOTE)]
    return sum(one is Mark.QUOTE and other is Mark.OWN for one, other in pairwise(those))


def quote_runs(found: Sequence[Mark], end: int) -> list[tuple[int, int]]:
    """Stretches of quoted lines; blank lines do not end them."""
    runs: list[tuple[int, int]] = []
    joins = False
    for place in range(end):
        if found[place] is Mark.QUOTE:
            start = runs.pop()[0] if joins else place
            runs.append((start, place + 1))
            joins = True
        elif found[place] is not Mark.BLANK:
            joins = False
    return runs


def next_before(found: Sequence[Mark], place: int) -> Mark | None:
    while place and found[place - 1] is Mark.BLANK:
        place -= 1
    return found[place - 1] if place else None


def loose(found: Sequence[Mark], end: int) -> bool:
    """A mail that begins by naming an author whose words are not marked: whose lines are whose cannot be told."""
    first = next((place for place in range(end) if found[place] not in (Mark.BLANK, Mark.SIGNATURE)), end)
    return first < end and found[first] is Mark.ATTRIBUTION and next_mark(found, first) is Mark.OWN


def hide_dividers(found: Sequence[Mark], plain: Sequence[str], shown: list[bool]) -> None:
    """Hide lines of dashes above what is hidden."""
    hides = False
    for place in range(len(shown) - 1, -1, -1):
        if not shown[place]:
            hides = True
        elif found[place] is Mark.OWN and marks.is_divider(plain[place]):
            shown[place] = not hides
        elif found[place] is not Mark.BLANK:
            hides = False


def hide_gaps(found: Sequence[Mark], shown: list[bool]) -> None:
    """Hide empty lines below what is hidden."""
    for place in range(1, len(shown)):
        if found[place] is Mark.BLANK and not shown[place - 1]:
            shown[place] = False
