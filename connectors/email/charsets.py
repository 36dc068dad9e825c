"""From bytes to text, whatever a mail says its letters are: what is declared may be wrong, unknown or missing."""

import codecs
import re
from functools import cache
from typing import Final

from charset_normalizer import from_bytes

# What programs say and what they mean; browsers read them in the same way (the Encoding standard).
MEANT: Final = {
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "ansi": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "windows-874": "cp874",
    "tis-620": "cp874",
    "utf8mb4": "utf-8",
    "unicode": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "x-mac-cyrillic": "mac_cyrillic",
    "macintosh": "mac_roman",
    "koi8r": "koi8-r",
    "win-1251": "cp1251",
    "cyrillic": "cp1251",
}
# Says nothing about bytes above 127.
SILENT: Final = frozenset({"", "us-ascii", "ascii", "ansi_x3.4-1968", "8bit", "7bit", "binary", "none", "default"})
# Codecs that are none of text, or that cost more than the text is worth.
NO_CHARSETS: Final = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
CYRILLIC: Final = ("cp1251", "koi8-r", "iso8859-5", "cp866")
LATIN: Final = ("cp1252", "cp1250", "iso8859-2")
RUSSIAN: Final = frozenset("абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґў")
# Letters beyond ASCII, by how much they speak for a charset: those of the languages for which it is used.
WESTERN: Final = (
    dict.fromkeys("äöüßéèêàçñóáíúôâîûùëï", 1.0) | dict.fromkeys("åøæõãò", 0.7) | dict.fromkeys("šžðœì", 0.2)
)
EASTERN: Final = (
    dict.fromkeys("čćžšđ", 1.0) | dict.fromkeys("áéíóúýäöüßôî", 0.7) | dict.fromkeys("ąęłńśźżřěůťďňőűăţşâ", 0.6)
)
WEIGHTS: Final = {"cp1252": WESTERN, "cp1250": EASTERN, "iso8859-2": EASTERN}
SIGNS: Final = frozenset("\u00a0€«»–—…„“”‘’‚§°·№©®²³½¿¡£´•™")
SAMPLE_BYTES: Final = 4096
GUESSED_MIN: Final = 64  # bytes, below which a guess by statistics is worth nothing
STRANGE: Final = re.compile(r"[^\x00-\x7f]")
WORD: Final = re.compile(r"[^\W\d_]+")
SEVEN_BITS: Final = frozenset({"utf-7", "iso2022_jp", "iso2022_kr", "hz", "utf-16", "utf-32"})


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of these bytes. Never fails: what cannot be read is shown as U+FFFD."""
    name = codec_of(declared)
    if data.isascii() and name not in SEVEN_BITS:
        return data.decode("ascii")
    if data.startswith(codecs.BOM_UTF8):
        return data[3:].decode("utf-8", "replace")
    if name is None or name in (*LATIN, *CYRILLIC):  # programs say these without looking, and any byte fits them
        return guess(data, declared=name)
    try:
        return data.decode(name)
    except (UnicodeDecodeError, ValueError):
        pass
    text = data.decode(name, "replace")  # a few bad bytes are no reason to doubt all
    return text if text.count("\ufffd") * 4 <= len(STRANGE.findall(text)) else guess(data)


@cache
def codec_of(declared: str | None) -> str | None:
    """Python's name of a charset; None where nothing is said, or nothing that is known."""
    name = (declared or "").strip(" \t\"';").lower()
    if name in SILENT:
        return None
    for candidate in (MEANT.get(name, name), name.replace("windows-", "cp"), name.split(",")[0].removeprefix("x-")):
        try:
            found = codecs.lookup(candidate)
        except (LookupError, ValueError):
            continue
        if found._is_text_encoding and found.name not in NO_CHARSETS:
            return found.name
    return None


def utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def guess(data: bytes, declared: str | None = None) -> str:
    """The text by what it looks like; where nothing is clearly better, as declared."""
    strict = utf8(data)
    if strict is not None:
        return strict
    sample = data[:SAMPLE_BYTES]
    rated = {name: rate(sample, name) for name in (*LATIN, *CYRILLIC)}
    best = max(rated, key=lambda name: rated[name])
    if declared and rated[declared] >= min(rated[best] - 0.15, 0.75):
        best = declared
    elif rated[best] < 0.3:
        found = from_bytes(sample).best() if len(data) >= GUESSED_MIN else None
        best = found.encoding if found is not None else declared or "cp1252"
    return data.decode(best, "replace")


def rate(sample: bytes, name: str) -> float:
    """How well the sample reads in this charset, 1 at best: by the letters beyond ASCII and the words around them."""
    text = sample.decode(name, "replace")
    strange = STRANGE.findall(text)
    if not strange:
        return 0.0
    good = float(sum(letter in SIGNS for letter in strange)) * 0.8
    for word in WORD.findall(text):
        mine = [letter for letter in word if not letter.isascii()]
        if mine:
            good += russian(word, mine) if name in CYRILLIC else european(word, mine, WEIGHTS[name])
    return good / len(strange)


def russian(word: str, mine: list[str]) -> float:
    """A Russian word is Russian throughout, and has a capital at most at its start."""
    fits = sum(letter.lower() in RUSSIAN for letter in mine)
    well_cased = word == word.lower() or word == word.upper() or word[1:] == word[1:].lower()
    return fits if len(mine) == len(word) and well_cased else -fits


def european(word: str, mine: list[str], weights: dict[str, float]) -> float:
    """A word of Europe is mostly ASCII, and has a capital at most at its start."""
    fits = sum(weights.get(letter.lower(), 0.0) for letter in mine)
    capitals = sum(letter.isupper() for letter in word[1:])
    if (len(mine) * 10 > len(word) * 7 and len(word) > 2) or 0 < capitals < len(word) - 1:
        return -0.5 * fits
    return fits
