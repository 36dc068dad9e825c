"""The HTML of a mail as it may be shown: nothing runs, nothing loads by itself, pictures wait to be asked for."""

import re
from collections.abc import Mapping
from typing import Final

import nh3
from selectolax.lexbor import LexborHTMLParser

MARKUP_MAX: Final = 256 * 1024  # characters; the sanitiser's time grows faster than what it is given
TAGS_MAX: Final = 10_000
ENTITIES_MAX: Final = 10_000
DEPTH_MAX: Final = 500
TAGS: Final = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "center",
        "code",
        "col",
        "colgroup",
        "dd",
        "del",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "font",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "u",
        "ul",
    ]
)
ATTRIBUTES: Final[dict[str, set[str]]] = {
    "*": {"dir", "lang", "align", "valign"},
    "a": {"href", "title"},
    "blockquote": {"type"},
    "font": {"color", "size"},
    "img": {"alt", "title", "width", "height", "data-src", "data-attachment"},
    "ol": {"start", "type"},
    "table": {"border", "cellpadding", "cellspacing", "width"},
    "td": {"colspan", "rowspan", "width"},
    "th": {"colspan", "rowspan", "width"},
}
SCHEMES: Final = frozenset({"http", "https", "mailto", "tel"})
REMOTE: Final = re.compile(r"^https?://[^\s\"'<>]{1,2000}$", re.IGNORECASE)


def is_showable(html: str) -> bool:
    """Whether it is small enough to be made safe in a moment."""
    return len(html) <= MARKUP_MAX and html.count("<") <= TAGS_MAX and html.count("&") <= ENTITIES_MAX


def made_safe(html: str, pictures: Mapping[str, int]) -> str:
    """The HTML of a whole mail, for showing. `pictures`: by their Content-ID, the numbers of enclosed files."""
    tree = LexborHTMLParser(html)
    for image in tree.css("img"):
        source = (image.attributes.get("src") or "").strip()
        for name in list(image.attributes):
            if name in ("src", "srcset", "data-src", "data-attachment"):
                del image.attrs[name]
        number = pictures.get(source[4:].strip("<> ")) if source[:4].lower() == "cid:" else None
        if number is not None:
            image.attrs["data-attachment"] = str(number)
        elif REMOTE.match(source):
            image.attrs["data-src"] = source
    body = tree.body
    return nh3.clean(
        (body.html if body is not None else "") or "",
        tags=set(TAGS),
        attributes=ATTRIBUTES,
        url_schemes=set(SCHEMES),
        clean_content_tags={"script", "style", "title", "template", "noscript", "iframe", "svg", "math"},
        link_rel="noopener noreferrer nofollow",
    )
