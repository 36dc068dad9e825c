"""What the suites need to drive any connector: its port, forged requests, mangled bodies, and an outcome as a value."""

import json
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import httpx
from hypothesis import strategies as st
from pydantic import JsonValue, SecretStr

from shared.bus import LocalBus
from shared.capabilities import Capabilities, Level, MediaRule
from shared.connector import Connector, Hook, Port
from shared.content import Album, Buttons, ContactCard, Content, Location, Media, Option, Reaction, Template, Text
from shared.events import InboundEvent
from shared.model import StrictModel
from shared.outgoing import outgoing_socket
from shared.simulator import Simulator
from tests.contract.registry import ConnectorCase
from tests.support.ports import Remembered

GARBAGE: Final = (b"", b"hello", b"{", b"\xff\xfe\x00", b"[" * 100_000)
"""No provider says this."""

NASTY_BODIES: Final = (
    b"null",
    b"0",
    b'""',
    b"[]",
    b"{}",
    b"NaN",
    b'{"a":' * 50_000,
    b"9" * 10_000,
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
)

EXAMPLES: Final[tuple[Content, ...]] = (
    Text(text="words"),
    *(
        Media(media=kind, attachment="att_1", size=1)
        for kind in ("image", "audio", "voice", "video", "sticker", "file")
    ),
    Album(items=(Media(media="image", attachment="att_1", size=1), Media(media="image", attachment="att_2", size=1))),
    Location(latitude=0, longitude=0),
    ContactCard(name="Ann", phones=("+1555",)),
    Buttons(text="Which?", options=(Option(id="r", label="Red"),)),
    Template(name="welcome", language="en"),
    Reaction(emoji="👍", target="x1"),
)
"""One of every kind that can be sent."""


class TickingClock:
    """Never the same moment twice, so that a parser which asks for the time is found out."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


class NoNetwork(httpx.AsyncBaseTransport):
    """Whoever comes here did I/O where none is allowed."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"no request was expected, and this was made: {request.method} {request.url.path}")


class OneFile:
    """Whatever is asked for, it is there."""

    async def keep(self, name: str, content: bytes, /) -> None:
        raise AssertionError("nothing is kept here")

    async def read(self, attachment: str, /) -> bytes:
        return b"\x89PNG\r\n\x1a\nnot really"


async def publish_nothing(events: Sequence[InboundEvent], /) -> None:
    raise AssertionError("nothing was to be published")


def connect(
    case: ConnectorCase,
    *,
    simulator: Simulator | None = None,
    config: StrictModel | None = None,
    connector: type[Connector] | None = None,
) -> Connector:
    """The connector of a case, with its simulator or without a network."""
    return (connector or case.connector)(
        Port(
            channel_id="chn_contract",
            config=config or case.config(),
            publish=publish_nothing,
            bus=LocalBus(),
            http=httpx.AsyncClient(transport=simulator.transport() if simulator else NoNetwork()),
            clock=TickingClock(),
            files=OneFile(),
            dial=case.dial or outgoing_socket(private=True),
            place=Remembered(),
            hook_url="https://shop.example/hooks/any/chn_contract",
        )
    )


def connect_spied(case: ConnectorCase, *, config: StrictModel | None = None) -> tuple[Connector, list[Hook]]:
    """The connector, and the list of requests that reach its `parse`."""
    reached: list[Hook] = []

    def parse(self: Connector, hook: Hook) -> Sequence[InboundEvent]:
        reached.append(hook)
        return case.connector.parse(self, hook)

    spied: type[Connector] = type("Spied", (case.connector,), {"parse": parse})
    return connect(case, config=config, connector=spied), reached


async def outcome(awaitable: Awaitable[object]) -> object:
    """What it returned or the error that it raised, whichever it was."""
    try:
        return await awaitable
    except Exception as error:
        return error


def outcome_of(function: Callable[[Hook], object], hook: Hook) -> object:
    try:
        return function(hook)
    except Exception as error:
        return error


def shown(error: BaseException) -> str:
    """Everything that a log or a page could show of an error, its causes included."""
    return "\n".join([str(error), repr(error), *traceback.format_exception(error)])


def with_secrets(config: StrictModel, secret: str) -> StrictModel:
    """The configuration with other secrets, unless it refuses such ones (`ValidationError`)."""
    fields = {name: getattr(config, name) for name in type(config).model_fields}
    changed = {name: SecretStr(secret) for name, value in fields.items() if isinstance(value, SecretStr)}
    return type(config).model_validate({**fields, **changed})


def forgeries(hook: Hook, header: str, *, covers_body: bool) -> Iterator[tuple[str, Hook]]:
    """The request as someone would send it who does not know the secret."""
    signature = hook.headers[header]

    def signed(text: str) -> Hook:
        return replace(hook, headers={**hook.headers, header: text})

    yield "no headers", replace(hook, headers={})
    yield "no signature", replace(hook, headers={name: text for name, text in hook.headers.items() if name != header})
    for place in range(len(signature)):
        yield f"signature flipped at {place}", signed(flip(signature, place))
    yield "empty signature", signed("")
    yield "cut signature", signed(signature[:-1])
    yield "long signature", signed(signature + "0")
    yield "signature beyond ASCII", signed("é" * len(signature))  # compare_digest refuses such text with a TypeError
    if covers_body:
        step = max(len(hook.body) // 60, 1)
        for place in range(0, len(hook.body), step):
            changed = bytes([*hook.body[:place], hook.body[place] ^ 1, *hook.body[place + 1 :]])
            yield f"body flipped at {place}", replace(hook, body=changed)
        yield "longer body", replace(hook, body=hook.body + b" ")
        yield "shorter body", replace(hook, body=hook.body[:-1])
        yield "body that cannot be read", replace(hook, body=b"{\xff")
        yield "no body", replace(hook, body=b"")


def flip(text: str, place: int) -> str:
    return text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]


def level_of(capabilities: Capabilities, content: Content) -> Level:
    """What the channel declares for this content."""
    match content:
        case Media():
            return capabilities.media.get(content.media, MediaRule(level=Level.NONE)).level
        case _:
            return Level(getattr(capabilities, content.kind))


json_values: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=12)
    | st.sampled_from(["", "\x00", "\ud800", "0", "-1", "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@cache
def bodies(samples: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Bodies as nobody meant them: random bytes, random JSON, cut samples, samples with one or two places changed."""
    values = [json.loads(sample) for sample in samples if sample.startswith((b"{", b"["))]
    told = st.sampled_from(samples)
    changed = (
        [
            st.sampled_from(values).flatmap(mutated).map(to_bytes),
            st.sampled_from(values).flatmap(mutated).flatmap(mutated).map(to_bytes),
        ]
        if values
        else [told.flatmap(spoilt)]
    )
    return st.one_of(
        st.binary(max_size=40),
        json_values.map(to_bytes),
        told.flatmap(lambda body: st.integers(0, len(body)).map(lambda end: body[:end])),
        *changed,
    )


@st.composite
def spoilt(draw: st.DrawFn, body: bytes) -> bytes:
    """Bytes with some of them replaced by others."""
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)))
    return body[:start] + draw(st.binary(max_size=20)) + body[end:]


@st.composite
def mutated(draw: st.DrawFn, value: JsonValue) -> JsonValue:
    """The value with one place replaced, taken away or doubled."""
    return change(value, draw(st.sampled_from(list(places(value)))), draw)


def places(value: JsonValue, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from places(inner, (*path, step))


def change(value: JsonValue, path: tuple[Any, ...], draw: st.DrawFn) -> JsonValue:
    if not path or not isinstance(value, dict | list):
        return draw(json_values)
    step, *rest = path
    copy: Any = value.copy()
    if rest:
        copy[step] = change(copy[step], tuple(rest), draw)
        return copy  # type: ignore[no-any-return]
    match draw(st.sampled_from(["replace", "remove", "double"])):
        case "remove":
            del copy[step]
        case "double" if isinstance(copy, list):
            copy.append(copy[step])
        case _:
            copy[step] = draw(json_values)
    return copy  # type: ignore[no-any-return]


def to_bytes(value: JsonValue) -> bytes:
    return json.dumps(value).encode()
