"""Which process listens to a channel: the lease on the real database, whoever asks and however late."""

import asyncio

import pytest

from gateway.channels.listeners import reclaim
from shared.ids import CHANNEL, new_id
from shared.model import Notes
from shared.subjects import LISTEN, PLACE, ListenAnswer, ListenRequest, PlaceRequest
from tests.support.customer import fresh
from tests.support.eventually import eventually
from tests.support.product import Running, Shop

LONG_S, SHORT_S = 60.0, 0.001


class Line:
    """The way of a process to the gateway, about one channel."""

    def __init__(self, running: Running, channel: str) -> None:
        self._running = running
        self.channel = channel

    async def claim(self, holder: str, ttl_s: float = LONG_S) -> ListenAnswer:
        request = ListenRequest(channel_id=self.channel, holder=holder, ttl_s=ttl_s)
        return await self._running.core.bus.request(LISTEN, request)

    async def token(self, holder: str, ttl_s: float = LONG_S) -> int | None:
        return (await self.claim(holder, ttl_s)).token

    async def give_back(self, holder: str) -> None:
        assert await self.token(holder, 0) is None

    async def keep(self, token: int | None, place: Notes) -> bool:
        assert token is not None
        request = PlaceRequest(channel_id=self.channel, token=token, place=place)
        return (await self._running.core.bus.request(PLACE, request)).kept


@pytest.fixture
def line(running: Running, shop: Shop) -> Line:
    return Line(running, shop.channel)


async def test_one_process_listens_at_a_time(line: Line) -> None:
    assert await line.token("one") == 1
    assert await line.token("other") is None
    assert await line.token("one") == 1, "it is renewed"
    assert await line.token("other") is None


async def test_of_many_who_ask_at_once_one_listens(line: Line) -> None:
    answers = await asyncio.gather(*(line.token(f"process {n}") for n in range(16)))
    assert sorted(answers, key=str) == [1, *[None] * 15]


async def test_the_place_goes_from_holder_to_holder(line: Line) -> None:
    first = await line.claim("one")
    assert first.place == {}
    assert await line.keep(first.token, {"uid": 7, "words": ["à", None]})
    assert (await line.claim("one")).place == {"uid": 7, "words": ["à", None]}
    await line.give_back("one")
    second = await line.claim("other")
    assert (second.token, second.place) == (2, {"uid": 7, "words": ["à", None]})


async def test_a_lease_that_ran_out_goes_to_whoever_asks_and_its_token_counts_no_more(line: Line) -> None:
    assert await line.token("one", SHORT_S) == 1
    assert await eventually(lambda: line.token("other")) == 2
    assert not await line.keep(1, {"uid": 1})
    assert await line.keep(2, {"uid": 2})
    assert await line.token("one") is None
    assert (await line.claim("other")).place == {"uid": 2}


async def test_a_process_that_overslept_its_own_lease_begins_anew_although_nobody_took_it(line: Line) -> None:
    assert await line.token("one", SHORT_S) == 1
    await eventually(lambda: kept_in_vain(line, 1))
    assert await line.token("one") == 2
    assert (await line.keep(1, {"uid": 1}), await line.keep(2, {"uid": 2})) == (False, True)


async def kept_in_vain(line: Line, token: int) -> bool:
    return not await line.keep(token, {"uid": 0})


async def test_what_was_given_back_is_free_at_once_and_keeps_nothing(line: Line) -> None:
    assert await line.token("one") == 1
    await line.give_back("one")
    assert not await line.keep(1, {"uid": 1})
    assert await line.token("other") == 2
    await line.give_back("one")  # told late: it is not theirs any more
    assert await line.token("third") is None
    assert await line.keep(2, {"uid": 2})


async def test_a_process_that_knows_itself_alone_ends_what_one_before_it_left(running: Running, line: Line) -> None:
    assert await line.token("one") == 1
    assert await line.keep(1, {"uid": 1})
    await reclaim(running.core.db)
    assert not await line.keep(1, {"uid": 9})
    assert (await line.claim("other")).place == {"uid": 1}
    assert await line.token("one") is None


@pytest.mark.parametrize("channel", [new_id(CHANNEL), "no id at all", ""], ids=["unknown", "malformed", "empty"])
async def test_to_what_is_no_channel_nobody_listens(running: Running, channel: str) -> None:
    line = Line(running, channel)
    assert await line.token("one") is None
    await line.give_back("one")
    assert not await line.keep(1, {})


async def test_channels_have_nothing_to_do_with_each_other(running: Running, shop: Shop, line: Line) -> None:
    other = Line(running, (await shop.client.channels.create(type="webchat", name="Another")).id)
    assert (await line.token("one"), await other.token("two")) == (1, 1)
    assert (await line.keep(1, {"uid": 1}), await other.keep(1, {"uid": 2})) == (True, True)
    await line.give_back("one")
    await other.give_back("one")  # not theirs
    assert (await line.claim("two")).place == {"uid": 1}
    assert await other.token("one") is None


TAKEOVERS = 1000


async def test_of_a_thousand_takeovers_none_leaves_two_valid_tokens(line: Line) -> None:
    """Sixteen processes with leases of a millisecond: each token is one's alone, and none writes after a later one."""
    granted: list[tuple[int, str, Notes]] = []

    async def compete(holder: str) -> None:
        while len(granted) < TAKEOVERS:
            answer = await line.claim(holder, SHORT_S)
            if answer.token is None:
                continue
            granted.append((answer.token, holder, answer.place))
            if answer.token % 5:  # some are too late for it
                await line.keep(answer.token, {"token": answer.token})
            if answer.token % 3 == 0:
                await line.give_back(holder)

    await asyncio.gather(*(compete(fresh("process")) for _ in range(16)))
    tokens = sorted({token for token, _, _ in granted})
    assert tokens == list(range(1, len(tokens) + 1)), "each takeover has the next number"
    assert len({(token, holder) for token, holder, _ in granted}) == len(tokens), "each number is one's alone"
    seen = 0
    for token, _, place in sorted(granted, key=lambda one: one[0]):
        last = place.get("token", 0)
        assert isinstance(last, int)
        assert seen <= last <= token, "what was kept is of the last who could"
        seen = last
