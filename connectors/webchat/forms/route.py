"""`POST /chat/forms/{channel_id}`: the contact form over HTTP, for scripts and for pages without any."""

import json
from html import escape
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from connectors.webchat.connector import WebChat
from connectors.webchat.forms import words
from connectors.webchat.forms.form import parse_form
from connectors.webchat.forms.limits import caller_of
from connectors.webchat.forms.taking import Sent, Taken, take_form, visitor_in
from connectors.webchat.lines import read_body
from connectors.webchat.refusals import Refused, refusal_of
from shared.connector import Host
from shared.errors import BusError, IngressError
from shared.model import show_time

BODY_MAX_BYTES: Final = 16_384
URLENCODED: Final = "application/x-www-form-urlencoded"
PAGE: Final = """<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" \
content="light dark"><title>{title}</title></head>
<body><p>{sentence}</p></body>
</html>
"""
PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def answer_form(host: Host, connector: WebChat, request: Request) -> Response:
    """201 once the form is safe. Raises what is refused, or shows it to whom a browser would show JSON."""
    try:
        taken = await take_form(host, connector, await read_form(connector, request))
    except (Refused, IngressError, BusError) as error:
        if not wants_page(request):
            raise
        return refusal_page(refusal_of(error))
    if wants_page(request):
        sentence = f"{taken.expect} {words.LANGUAGES[taken.language].reference.format(reference=taken.reference)}"
        return page(201, taken.language, sentence)
    return Response(json.dumps(shown(taken)), status_code=201, media_type="application/json")


async def read_form(connector: WebChat, request: Request) -> Sent:
    """Raises `Refused`."""
    headers = request.headers
    raw = await read_body(headers.get("content-length"), request.receive, BODY_MAX_BYTES)
    form = parse_form(raw, media_type(request))
    return Sent(
        form=form,
        raw=raw,
        caller=caller_of(request.client.host if request.client else None, ",".join(headers.getlist("x-forwarded-for"))),
        visitor=visitor_in(connector, headers.get("authorization", "")),
        language=words.choose_language(form.language, headers.get("accept-language", "")),
    )


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def wants_page(request: Request) -> bool:
    """A form without script: its answer is what the browser shows next."""
    return media_type(request) == URLENCODED and "text/html" in request.headers.get("accept", "")


def shown(taken: Taken) -> dict[str, object]:
    return {
        "reference": taken.reference,
        "answer_by": taken.answer_by,
        "within_s": int(taken.within.total_seconds()),
        "expected_by": show_time(taken.expected_by),
        "expect": taken.expect,
    }


def refusal_page(refused: Refused) -> Response:
    headers, _ = refused.answer()
    told = page(refused.status, words.ENGLISH, refused.detail)
    told.raw_headers += [header for header in headers if header[0] != b"content-type"]
    return told


def page(status: int, language: str, sentence: str) -> Response:
    content = PAGE.format(language=language, title=escape(words.LANGUAGES[language].subject), sentence=escape(sentence))
    return Response(content, status_code=status, media_type="text/html", headers=PAGE_HEADERS)
