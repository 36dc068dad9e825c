"""What Meta's codes become, and that nothing is said which was not ours to say."""

from typing import Any

import httpx
import pytest

from connectors.whatsapp.refusals import MEANINGS, meaning_of
from shared.content import Text
from shared.errors import (
    AuthExpired,
    Rejected,
    SendError,
    Throttled,
    Unavailable,
    Uncertain,
    Unreachable,
    Unsupported,
    WindowClosed,
)
from tests.connectors.whatsapp.given import TOKEN, connect, reply
from tests.contract.harness import outcome, shown

# The classes of the facts sheet, section 10, in our words.
STOP = (0, 3, 10, 190, 200, 299, 131005, 131031, 368, 131045, 133010)
MAYBE = (1, 2, 131000, 131016, 135000, 133004)
SLOWER = (4, 80007, 130429, 133016, 613)
LATER = (131057, 131053, 131052, 132069)
NEVER = (131008, 131009, 100, 33, 131037, 131042, 131044, 131062, 131063, 131064, 130472, 131049, 137000, 131048)
TEMPLATES = (132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068)


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (STOP, AuthExpired),
        (MAYBE, Uncertain),
        (SLOWER, Throttled),
        ((131056,), Throttled),
        (LATER, Unavailable),
        (NEVER, Rejected),
        (TEMPLATES, Rejected),
        ((131047,), WindowClosed),
        ((131026, 131030, 131021, 131050, 130497), Unreachable),
        ((131051,), Unsupported),
    ],
)
def test_each_code_has_its_fate(codes: tuple[int, ...], kind: type[SendError]) -> None:
    for code in codes:
        error = meaning_of({"code": code, "message": "x"}, status=400)
        assert type(error) is kind, code
        assert len(error.detail) > 20, code


def test_every_code_of_the_table_is_named_above() -> None:
    named = {*STOP, *MAYBE, *SLOWER, *LATER, *NEVER, *TEMPLATES, 131056, 131047, 131026, 131030, 131021, 131050}
    assert set(MEANINGS) <= named | {130497, 131051, 131020, 131041}


def test_limits_of_the_number_hold_everything_and_those_of_a_pair_only_the_pair() -> None:
    number, pair = (meaning_of({"code": code}, status=429, retry_after_s=7) for code in (130429, 131056))
    assert isinstance(number, Throttled)
    assert isinstance(pair, Throttled)
    assert (number.whole_account, pair.whole_account) == (True, False)
    assert number.retry_after_s == pair.retry_after_s == 7


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", AuthExpired),
        (403, b"<html>", Rejected),
        (404, b"{}", Rejected),
        (429, b"slow down", Throttled),
        (500, b"", Uncertain),
        (503, b"<html>", Uncertain),
        (302, b"", Uncertain),
        (200, b"", Uncertain),
        (200, b"[]", Uncertain),
        (200, b'{"messages": []}', Uncertain),
        (200, b'{"error": {"code": 131026}}', Unreachable),
        (400, b'{"error": {"code": "131047"}}', WindowClosed),
        (400, b'{"error": {"code": 100, "error_subcode": 33}}', AuthExpired),
        (400, b'{"error": "no"}', Rejected),
        (400, b'{"error": {"code": 424242, "message": "(#424242) New"}}', Rejected),
        (400, b'{"error": {"code": 424242, "is_transient": true}}', Uncertain),
        (408, b"", Uncertain),
    ],
)
async def test_answers_that_say_little(status: int, body: bytes, kind: type[SendError]) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
    result = await outcome(connect(http=httpx.AsyncClient(transport=transport)).send(reply(Text(text="Hi"))))
    assert type(result) is kind


WORDS = "canary-words-of-a-customer"


@pytest.mark.parametrize(
    "error",
    [
        {"code": 100, "error_data": {"details": f"Param text['body'] is wrong: \"{WORDS}\""}},
        {"code": 131009, "message": f"see https://shop.example/{WORDS}"},
        {"code": 999999, "message": f"«{WORDS}» for +385 91 123 45 67"},
        {"code": 999999, "message": f"Param '{WORDS}' is wrong"},
        {"code": 999999, "message": f"Nobody at {WORDS}@shop.example"},
    ],
)
def test_details_are_told_without_anybodys_words(error: dict[str, Any]) -> None:
    detail = meaning_of(error, status=400).detail
    assert WORDS not in detail
    assert "123 45 67" not in detail


async def test_an_error_shows_neither_the_token_nor_the_words() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError(f"{request.headers['authorization']} {request.content!r}", request=request)

    http = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
    result = await outcome(connect(http=http).send(reply(Text(text=WORDS))))
    assert isinstance(result, Uncertain)
    assert TOKEN not in shown(result)
    assert WORDS not in shown(result)
