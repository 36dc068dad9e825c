"""100,000 mails as nobody meant them: an item for each, no exception, no long wait, and no end of memory."""

import base64
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from connectors.email.inbound import UNREADABLE, Desk, parse_mail
from shared.content import Text
from shared.errors import Ignored, Malformed
from shared.events import MessageReceived, dedupe_key
from shared.subjects import InboundBatch
from tests.support.shares import outcomes

SAMPLES: Final = [path.read_bytes() for path in sorted((Path(__file__).parent / "mails").glob("*.eml"))]
DESK: Final = Desk("help@shop.example", "mx.shop.example")
ONE_S: Final = 1.0
STRANGE: Final = (
    b"", b"\0", b"\r", b"\n", b"\r\n\r\n", b"--", b"=?", b"?=", b"=?utf-8?B?", b"=?x?Q?=FF?=", b"<", b">", b'"', b"(",
    b";",
    b"Content-Type: multipart/mixed; boundary=a\r\n", b"Content-Transfer-Encoding: base64\r\n",
    b"charset=unicode_escape",
    b"charset=utf-7", b"charset=idna", b"name*0*=a''%ff;", b"From: \r\n", b"Date: Thu, 99 Foo 0000 99:99 +9999\r\n",
    b"\xff\xfe", b"\xc3", b"&" * 50, b"<div>" * 20, b"> " * 30, b"=" * 80, b"\t" * 40, b"@" * 20, b"begin 644 a\n",
)  # fmt: skip


def mutated(number: int) -> bytes:
    """A sample with some places changed; the same for the same number, always."""
    chance = random.Random(number)
    body = bytearray(chance.choice(SAMPLES))
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        start = chance.randrange(len(body) + 1)
        end = min(len(body), start + chance.choice((0, 1, 3, 40, 400)))
        match chance.randrange(5):
            case 0:
                del body[start:end]
            case 1:
                body[start:end] = chance.choice(STRANGE)
            case 2:
                body[start:end] = bytes(chance.randrange(256) for _ in range(end - start))
            case 3:  # a piece of another mail
                other = chance.choice(SAMPLES)
                at = chance.randrange(len(other))
                body[start:start] = other[at : at + chance.choice((20, 200, 2000))]
            case _:
                body[start:start] = body[start:end] * chance.choice((1, 2, 30))
    if chance.random() < 0.02:
        del body[chance.randrange(len(body) + 1) :]
    return bytes(body)


def digested(number: int) -> str:
    """What became of a mutated mail. Asserts that it took less than a second, and every so often that it travels."""
    body = mutated(number)
    began = time.thread_time()
    try:
        (event,) = parse_mail(body, DESK)
    except (Ignored, Malformed) as error:
        return error.code if isinstance(error, Ignored) or not body.strip() else "refused"
    took = time.thread_time() - began
    assert took < ONE_S, f"number {number} took {took:.2f} s"
    if number % 10 == 0:
        batch = InboundBatch(channel_id="chn_1", events=(event,))
        assert InboundBatch.model_validate_json(batch.model_dump_json()) == batch
        assert dedupe_key(event) == dedupe_key(parse_mail(body, DESK)[0])
    if isinstance(event, MessageReceived) and isinstance(event.content, Text) and event.content.text == UNREADABLE:
        return "stub"
    return event.kind


def test_some_mutated_mails_give_an_item_each() -> None:
    assert {digested(number) for number in range(1_000)} <= {"message_received", "malformed"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_mutated_mails_give_an_item_each() -> None:
    found = outcomes(digested, 100_000)
    assert found.total() == 100_000
    assert set(found) <= {"message_received", "malformed"}, found  # nothing refused, and none beyond reading
    assert found["malformed"] < 100  # of which nothing was left


def head(kind: bytes = b"text/plain", more: bytes = b"") -> bytes:
    return (
        b"From: a@example.org\r\nSubject: Bomb\r\n" + more + b"MIME-Version: 1.0\r\nContent-Type: " + kind + b"\r\n\r\n"
    )


def nested(depth: int) -> bytes:
    levels = [b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)]
    return b"From: a@example.org\r\n" + b"".join(levels) + b"Content-Type: text/plain\r\n\r\nHi\r\n"


BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "25 MB in base 64": lambda: head(b"multipart/mixed; boundary=b")
    + b"--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n"
    + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"x" * 18_000_000) + b"\r\n--b--\r\n",
    "25 MB of text": lambda: head() + b"All work and no play.\r\n" * 1_100_000,
    "25 MB of HTML": lambda: head(b"text/html") + b"<p>All work &amp; no play.</p>\r\n" * 800_000,
    "50,000 parts": lambda: head(b"multipart/mixed; boundary=b")
    + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 50_000,
    "2,000 levels": lambda: nested(2_000),
    "20 levels of 1 MB": lambda: nested(19) + b"x" * 20_000_000,
    "20,000 addresses": lambda: head(more=b"To: " + b"a@example.org, " * 20_000 + b"\r\n"),
    "100,000 fields": lambda: b"X-A: b\r\n" * 100_000 + head(),
    "one field of 5 MB": lambda: head(more=b"X-A: " + b"b" * 5_000_000 + b"\r\n"),
    "a subject of encoded words": lambda: head(more=b"Subject: " + b"=?utf-8?B?w6k=?= " * 50_000 + b"\r\n"),
    "half an encoded word": lambda: head(more=b"Subject: " + b"=?" * 100_000 + b"\r\n"),
    "ampersands": lambda: head(b"text/html") + b"&" * 3_000_000,
    "200,000 open divs": lambda: head(b"text/html") + b"<div>" * 200_000,
    "tags without end": lambda: head(b"text/html") + b"<a " * 300_000,
    "styles within styles": lambda: head(b"text/html") + b"<b><i><u>" * 50_000,
    "quotes in quotes": lambda: head() + b"".join(b">" * n + b" x\r\n" for n in range(1, 2_000)),
    "one line of 10 MB": lambda: head() + b"On Mon, " * 1_250_000,
    "references without end": lambda: head(more=b"References: " + b"<a@b> " * 50_000 + b"\r\n"),
    "parameters without end": lambda: head(b"text/plain" + b"; a*%d*=b" * 20_000 % tuple(range(20_000))),
    "Message-ID: <": lambda: head(more=b"Message-ID: <\r\n"),
    "an unknown charset": lambda: head(b"text/plain; charset=unknown-8bit") + b"\xff\xfe\xfd",
    "base 64 of nothing": lambda: head(more=b"Content-Transfer-Encoding: base64\r\n") + b"=" * 1_000_000,
    "a boundary of nothing": lambda: head(b'multipart/mixed; boundary=""') + b"--\r\n" * 100_000,
    "an empty winmail.dat": lambda: head(b"application/ms-tnef; name=winmail.dat") + b"\x78\x9f\x3e\x22",
    "nothing but dashes": lambda: head() + (b"-" * 70 + b"\r\n") * 50_000,
    "a bounce of prose": lambda: head(more=b"Return-Path: <>\r\nX-Failed-Recipients: " + b"a@b.c," * 5_000 + b"\r\n")
    + b"550 5.1.1 <a@example.org>: " * 50_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_an_item_within_a_second_and_with_bounded_memory(name: str) -> None:
    raw = BOMBS[name]()
    began = time.thread_time()
    (event,) = parse_mail(raw, DESK)
    took = time.thread_time() - began
    assert isinstance(event, MessageReceived)
    assert took < ONE_S, f"{took:.2f} s"
    assert len(event.model_dump_json(exclude={"raw"})) < 8_000_000


@pytest.mark.parametrize("name", ["25 MB in base 64", "25 MB of HTML", "50,000 parts"])
def test_reading_takes_a_few_times_the_size_of_a_mail(name: str) -> None:
    raw = BOMBS[name]()
    tracemalloc.start()
    try:
        parse_mail(raw, DESK)
        peak: Any = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000, f"{peak / 1e6:.0f} MB for {len(raw) / 1e6:.0f} MB"
