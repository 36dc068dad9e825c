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
CYRILLIC: Final = ("cp1251", "koi8-r", "iso-8859-5", "cp866")
LATIN: Final = ("cp1252", "cp1250", "iso-8859-2")
RUSSIAN: Final = frozenset("абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґў")
# Letters beyond ASCII by how often a mail of Europe has them; the Croatian ones are those that code pages disagree on.
EUROPEAN: Final = frozenset("čćžšđäöüßéèêàçñóáíúôâîûåøæëïùýěřůťďňłąęśźżńőűăţşğı")
SIGNS: Final = frozenset(" €«»–—…„“”‘’‚§°·№©®²³½¿¡£´•™")
SAMPLE_BYTES: Final = 4096
STRANGE: Final = re.compile(r"[^\x00-\x7f]")
WORD: Final = re.compile(r"[^\W\d_]+")


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of these bytes. Never fails: what cannot be read is shown as U+FFFD."""
    name = codec_of(declared)
    if data.isascii() and (name is None or name not in ("utf-7", "iso2022_jp", "iso2022_kr", "hz", "utf-16", "utf-32")):
        return data.decode("ascii")
    if data.startswith(codecs.BOM_UTF8):
        return data[3:].decode("utf-8", "replace")
    if name is None or name in ("cp1252", "cp1250", "iso8859-2", "iso8859-15"):  # programs say those without looking
        return guess(data, declared=name)
    try:
        return data.decode(name)
    except (UnicodeDecodeError, ValueError):
        pass
    strict = utf8(data)
    if strict is not None:
        return strict
    text = data.decode(name, "replace")  # a few bad bytes are no reason to doubt all
    return text if text.count("\ufffd") * 20 <= len(text) else guess(data)


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
    if declared and rated.get(declared, -1.0) >= min(rated[best], 0.6):
        best = declared
    elif rated[best] < 0.3:
        found = from_bytes(sample).best()
        best = found.encoding if found is not None else "cp1252"
    return data.decode(best, "replace")


def rate(sample: bytes, name: str) -> float:
    """How well the sample reads in this charset, 1 at best: by the letters beyond ASCII and the words around them."""
    text = sample.decode(name, "replace")
    strange = STRANGE.findall(text)
    if not strange:
        return 0.0
    good = float(sum(letter in SIGNS for letter in strange)) * 0.8
    cyrillic = name in CYRILLIC
    for word in WORD.findall(text):
        mine = [letter for letter in word if not letter.isascii()]
        alphabet = RUSSIAN if cyrillic else EUROPEAN
        fits = sum(letter.lower() in alphabet for letter in mine)
        if cyrillic:  # a Russian word is Russian throughout, and has a capital at most at its start
            well_cased = word == word.lower() or word == word.upper() or word[1:] == word[1:].lower()
            good += fits if len(mine) == len(word) and well_cased else -fits
        else:  # a word of Europe is mostly ASCII
            good += fits * (1.0 if len(mine) * 2 <= len(word) or len(word) <= 2 else -0.5)
            good -= sum(letter.isupper() and place > 0 for place, letter in enumerate(mine)) * 0.5
    return good / len(strange)
