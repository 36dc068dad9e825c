"""How much of a mail's HTML is looked at, and which pages are never given to the parser. Nothing here is read."""

import re
from collections import Counter
from typing import Final

HTML_MAX: Final = 400_000  # what is looked at, in characters
# Lexbor takes 0.7 s for 20,000 nested <div>; of 5,000 open <b> it writes each again into every block that follows.
DEPTH_MAX: Final = 1000
REPEATED_MAX: Final = 50_000

# It compares each attribute of an element with all the others: 14,000 take 0.4 s.
ATTRIBUTES_MAX: Final = 300
LOOKS_MAX: Final = 20  # how often each character may be looked at: a tag can only seem to be within another's quotes

TAG: Final = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,30})")
ATTRIBUTE: Final = r"""[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\s>"'][^\s>]*+)?+)?+"""
ATTRIBUTES: Final = re.compile(rf"(?:{ATTRIBUTE}){{0,{ATTRIBUTES_MAX}}}+(?P<more>[\s/]*+[^\s/>])?+")
DATA_URL: Final = re.compile(r"data:[a-z]{1,20}/[\w.+-]{1,60};base64,[A-Za-z0-9+/=%\s]*", re.IGNORECASE)

# No tags are within comments, nor within these.
RAW: Final = re.compile(
    r"<!--.*?(?:-->|\Z)|<(style|script|title|textarea|xmp|noframes|noembed|iframe)\b.*?(?:</\1|\Z)",
    re.IGNORECASE | re.DOTALL,
)
VOID: Final = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input"),
        *("link", "meta", "param", "source", "track", "wbr"),
    }
)
UNCLOSED: Final = frozenset(
    {*("body", "html", "tbody", "thead", "tfoot", "tr", "td", "th"), *("p", "li", "dt", "dd", "option")}
)
FORMATTING: Final = frozenset(
    {*("a", "b", "big", "code", "em", "font", "i"), *("nobr", "s", "small", "strike", "strong", "tt", "u")}
)


def beginning(html: str) -> str:
    """The part that is looked at. Pictures within the page make it long, so they go first."""
    return html if len(html) <= HTML_MAX else DATA_URL.sub("", html[: 100 * HTML_MAX])[:HTML_MAX]


def is_harmless(html: str) -> bool:
    """Whether the page can be parsed in a time that grows no faster than its length."""
    return has_few_attributes(html) and has_little_nesting(html)


def has_few_attributes(html: str) -> bool:
    left = LOOKS_MAX * (len(html) + 1000)
    for tag in TAG.finditer(html):
        found = ATTRIBUTES.match(html, tag.end())
        if found is None:
            continue
        left -= found.end() - found.start()
        if found["more"] or left < 0:
            return False
    return True


def has_little_nesting(html: str) -> bool:
    opened: Counter[str] = Counter()
    depth = formatting = repeated = 0
    for closing, name in TAG.findall(RAW.sub("", html)):
        tag = name.lower()
        if tag in VOID or (closing and not opened[tag]):
            continue
        step = -1 if closing else 1
        opened[tag] += step
        if tag in FORMATTING:
            formatting += step
        else:
            repeated += formatting
        if tag not in UNCLOSED:
            depth += step
        if depth > DEPTH_MAX or repeated > REPEATED_MAX:
            return False
    return True
