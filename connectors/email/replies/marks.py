"""Recognise the lines that mail programs write around a reply, each for itself or with the next few."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from connectors.email.replies import phrases

LINE_MAX: Final = 1000  # of longer lines the beginning is looked at
ATTRIBUTION_MAX: Final = 400
ATTRIBUTION_LINES: Final = 4
HEADER_LINES: Final = 14
DEVICE_MAX: Final = 160
DASHES: Final = "-‐‑‒–—―_=*~#+"

EMAIL: Final = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,190}\.[^\s<>@.]{2}")
YEAR: Final = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)|\d[./-]\d{1,2}[./-]\d\d(?!\d)")
TIME: Final = re.compile(r"(?<!\d)\d{1,2}[:.h]\d\d(?!\d)")
PHONE: Final = re.compile(r"\d[\d\s()/.-]{5,20}\d")
SITE: Final = re.compile(r"https?://|www\.")
WORD: Final = re.compile(r"[^\W\d_]{2,}")
LABEL: Final = re.compile(r"[\s*_|•]{0,12}([^\W\d_][^:：]{0,24}?)[\s*_]{0,4}[:：]")
CLAUSE: Final = re.compile(r"[,.;!]\s+")
NO_VERB: Final = re.compile(rf">\s*\)?[:：]$|\b(?:{'|'.join(phrases.FROM)})\s+\S{{1,200}}@\S{{1,200}}[:：]$")
ISO_DATE: Final = re.compile(r"\W{0,6}\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\.?\s.{0,200}(?:\bgmt[+-]\d|>$)")
STARTS: Final = re.compile(
    rf"[\W_]{{0,6}}(?:(?:{'|'.join(phrases.ON)})[\s,]+(?:\D{{0,30}})\d"
    r"|(?:[^\W\d_]{2,12}[.,]{0,2}\s+)?\d{1,4}(?:[-/.]\s?\d|\.?\s+[^\W\d_]|,\s|[年년]))"
)

Label = tuple[str, str]  # language, role


def labels() -> Mapping[str, tuple[Label, ...]]:
    found: dict[str, tuple[Label, ...]] = {}
    for language, roles in phrases.HEADERS.items():
        for role, words in roles.items():
            for word in words:
                found[word] = (*found.get(word, ()), (language, role))
    return found


def every(by_language: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(chain.from_iterable(by_language.values()))


LABELS: Final = labels()
ORIGINAL: Final = frozenset(every(phrases.ORIGINAL))
FORWARDED: Final = frozenset(every(phrases.FORWARDED))
CLOSINGS: Final = frozenset(every(phrases.CLOSINGS))
WROTE: Final = every(phrases.WROTE)
SENT_BY: Final = every(phrases.SENT_BY)
GET: Final = every(phrases.GET)
MACHINES: Final = frozenset(phrases.MACHINES)
MACHINE_STEMS: Final = tuple(word for word in phrases.MACHINES if len(word) >= 5)


def plain(line: str) -> str:
    """The line as it is compared: one kind of space, no case, letters in one form, its beginning if far too long."""
    return unicodedata.normalize("NFC", line[:LINE_MAX].replace("\xa0", " ").replace("\u200b", "")).lower().strip()


def is_divider(line: str) -> bool:
    return len(line) >= 2 and not line.strip(DASHES + " ")


# History


def is_original(line: str) -> bool:
    if line.startswith(">>> ") and line.endswith(" >>>"):  # GroupWise: name, date and time
        return TIME.search(line) is not None
    if not is_dashed(line):
        return False
    words = between_dashes(line)
    return words in ORIGINAL or (is_dashed(line[::-1]) and ends_with_verb(words))


def is_dashed(line: str) -> bool:
    return len(line) > 2 and not line[:2].strip(DASHES)


def is_forwarded(line: str) -> bool:
    words = between_dashes(line)
    return (is_dashed(line) or line.endswith((":", "："))) and words in FORWARDED


def between_dashes(line: str) -> str:
    return line.strip(DASHES + " :：") if len(line) < 200 else ""


def attribution_length(lines: Sequence[str], at: int, before_quote: Sequence[bool]) -> int:
    """How many lines from `at` on say who wrote what follows; 0 if they do not. `lines` are plain."""
    if not STARTS.match(lines[at]):
        return 1 if names_author(lines[at]) else 0
    joined = ""
    for end in range(at, min(at + ATTRIBUTION_LINES, len(lines))):
        line = lines[end]
        if not line or line.startswith(">") or len(joined) + len(line) > ATTRIBUTION_MAX:
            return 0
        if end > at and STARTS.match(line):
            return 0
        joined = f"{joined} {line}".lstrip()
        if is_attribution(joined, before_quote=before_quote[end]):
            return end - at + 1
    return 0


def names_author(line: str) -> bool:
    """`Name <address> wrote:` without a date."""
    return len(line) < ATTRIBUTION_MAX and introduces(line) and EMAIL.search(line) is not None


def is_attribution(line: str, *, before_quote: bool) -> bool:
    address, year, time = EMAIL.search(line), YEAR.search(line), TIME.search(line)
    if introduces(line):  # a comma before the name: "on 5 May 2026 at 10:15 a colleague wrote:" is no program's
        named = year and time and "," in line[time.end() :]
        return bool(address or named) or before_quote
    if not line.endswith((":", "：")):
        return bool(ISO_DATE.match(line)) and bool(address or time)
    if any(verb in line for verb in phrases.WROTE_BEFORE_NAME):
        return address is not None or before_quote
    return bool(address and (year or time) and NO_VERB.search(line))


def introduces(line: str) -> bool:
    return line.endswith((":", "：")) and ends_with_verb(line.rstrip(":： "))


def ends_with_verb(words: str) -> bool:
    if not words.endswith(WROTE):
        return False
    return any(words.endswith(verb) and not words[: -len(verb)][-1:].isalpha() for verb in WROTE)


def is_header_block(lines: Sequence[str], at: int) -> bool:
    """Whether the header of a quoted mail begins here: sender and subject, or an address and a date, and so on."""
    if not label_in(lines[at]) or (at and label_in(lines[at - 1])):  # then it was looked at from there
        return False
    found, address, dated, sentences = set(labels_in_one(lines[at])), False, False, 0
    unknown, blank = 0, False
    for line in lines[at : at + HEADER_LINES]:
        here = label_in(line)
        unknown = 0 if here or not line else unknown + 1
        if unknown > 2 or (unknown and blank):
            break
        blank = not line
        found.update(here)
        address = address or EMAIL.search(line) is not None
        dated = dated or YEAR.search(line) is not None or TIME.search(line) is not None
        sentences += bool(here) and line[-1:] in ".!?"
    if sentences > 1 and not (address or dated):  # a person's own words
        return False
    return any(is_header(language, found, address=address) for language in {language for language, _ in found})


def is_header(language: str, found: set[Label], *, address: bool) -> bool:
    roles = {role for known, role in found if known == language}
    if {"from", "subject"} <= roles and len(roles) >= 3:
        return True
    return address and "date" in roles and bool(roles & {"from", "to"})


def label_in(line: str) -> tuple[Label, ...]:
    found = LABEL.match(line)
    return LABELS.get(" ".join(found[1].split()), ()) if found else ()


def labels_in_one(line: str) -> Iterator[Label]:
    """All labels of a block that has lost its line breaks. One without address and date is a person's sentence."""
    if not (EMAIL.search(line) or YEAR.search(line) or TIME.search(line)):
        return
    for word in line[:ATTRIBUTION_MAX].split():
        if word.endswith(":"):
            yield from LABELS.get(word.strip("*_:"), ())


def is_link(line: str) -> bool:
    return line.startswith(("http://", "https://", "(http", "<http")) and len(line.split()) <= 2


# Signatures


def is_device(line: str, *, alone: bool) -> bool:
    """`Sent from my phone`, `Get this program`: nothing that a person typed. `alone` = in a paragraph of its own."""
    line = line.lstrip("<([*_ ").rstrip(">)]*_ ")
    if len(line) > DEVICE_MAX:
        return False
    head, *rest = CLAUSE.split(line, maxsplit=1)
    if rest and not is_excuse(rest[0]):
        return False
    words = len(head.split())
    if any(head.startswith(first) and line.endswith(last) for first, last in phrases.SENT_LAST):
        return words <= 12
    if head.startswith(phrases.SENT_FROM_MY):
        return words <= (14 if names_machine(head) else 9)
    if head.startswith(GET) and any(name in head for name in phrases.GOT):
        return words <= 8
    return head.startswith(SENT_BY) and names_machine(head) and words <= (9 if alone else 5)


def is_excuse(words: str) -> bool:
    return words.startswith(phrases.EXCUSES) or (names_machine(words) and len(words.split()) <= 5)


def names_machine(line: str) -> bool:
    words = re.findall(r"[\w.-]+", line)
    return "://" in line or any(word in MACHINES or word.startswith(MACHINE_STEMS) for word in words)


def is_closing(line: str) -> bool:
    if len(line) > 80:
        return False
    words = line.strip(DASHES + " ,.!;")
    first, _, name = words.partition(",")
    return words in CLOSINGS or (first.strip() in CLOSINGS and len(name.split()) <= 4)


def is_postscript(line: str) -> bool:
    first = next((word for word in phrases.POSTSCRIPTS if line.startswith(word)), None)
    return first is not None and not line[len(first) : len(first) + 1].isalnum()


def is_particular(line: str) -> bool:
    """Short as a name, a company or a telephone number is, and no sentence."""
    words = len(WORD.findall(line))
    calls = PHONE.search(line) and "@" not in line and "/" not in line  # "call me under 091 ..." is for the reader
    return len(line) <= 100 and words <= (3 if calls else 7) and line[-1:] not in "!?"


def has_address(line: str) -> bool:
    return SITE.search(line) is not None or EMAIL.search(line) is not None


def has_contact(line: str) -> bool:
    return has_address(line) or PHONE.search(line) is not None
