"""The frame of the simulators: the same faults in process and on the wire, and a ledger that tells the truth."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.connector import ASGIApp, Hook
from shared.simulator import (
    BROKEN,
    STATUS,
    TAKING,
    Answer,
    Fact,
    Fault,
    FaultPlan,
    HookPlan,
    Request,
    Scope,
    Simulator,
    Taken,
    serve,
)

BROKEN_ON_THE_WIRE = {
    **BROKEN,
    **dict.fromkeys((Fault.REFUSED, Fault.CONNECT_TIMEOUT), httpx.RemoteProtocolError),
    Fault.TAKEN_THEN_RESET: httpx.RemoteProtocolError,
}


class Post(Simulator):
    """Takes every text under /letters."""

    async def answer(self, request: Request) -> Answer:
        if request.url.path != "/letters":
            return Answer.json({"error": "no such address"}, status=404)
        text = (await request.body()).decode()
        return Answer.json({"id": f"l{len(self.taken) + 1}"}, taken=[Taken(text, f"l{len(self.taken) + 1}")])

    def spares(self, request: Request) -> bool:
        return request.url.path == "/token"

    def hook(self, facts: Sequence[Fact]) -> Hook:
        return Hook("POST", {"x-count": str(len(facts))}, {"a": "b"}, repr([fact["n"] for fact in facts]).encode())


@pytest.fixture
async def post() -> Post:
    return Post()


@pytest.fixture
async def http(post: Post) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=post.transport(), base_url="http://post.test") as client:
        yield client


@pytest.fixture
async def wire(post: Post) -> AsyncIterator[httpx.AsyncClient]:
    # Long enough for a busy machine: whatever else is slower than this would be taken for a fault too.
    async with serve(post) as url, httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(10, read=1)) as client:
        yield client


async def send(client: httpx.AsyncClient) -> httpx.Response | type[Exception]:
    try:
        return await client.post("/letters", content=b"dear ann")
    except httpx.TransportError as error:
        return type(error)


# Faults


@pytest.mark.parametrize("fault", Fault)
async def test_each_fault_is_met_by_the_client_and_told_truly_by_the_ledger(
    fault: Fault, post: Post, http: httpx.AsyncClient
) -> None:
    post.script([fault])
    assert_met(fault, await send(http), BROKEN)
    assert [(entry.fault, bool(entry.taken)) for entry in post.ledger] == [(fault, fault in TAKING)]


async def test_each_fault_is_met_on_the_wire_and_told_truly_by_the_ledger(post: Post, wire: httpx.AsyncClient) -> None:
    post.script(Fault)
    for fault in Fault:
        assert_met(fault, await send(wire), BROKEN_ON_THE_WIRE)
    assert [(entry.fault, bool(entry.taken)) for entry in post.ledger] == [(fault, fault in TAKING) for fault in Fault]


def assert_met(
    fault: Fault, met: httpx.Response | type[Exception], broken: Mapping[Fault, type[httpx.TransportError]]
) -> None:
    if fault in broken:
        assert met is broken[fault], fault
    else:
        assert isinstance(met, httpx.Response), fault
        assert met.status_code == STATUS.get(fault, 200), fault


async def test_answers_look_as_they_do_at_a_provider(post: Post, http: httpx.AsyncClient) -> None:
    post.script([Fault.OK, Fault.SLOW, Fault.THROTTLED, Fault.BAD_GATEWAY, Fault.TAKEN_THEN_GARBAGE])
    answers = [await http.post("/letters", content=str(number)) for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 502, 200]
    assert [answer.json() for answer in answers[:2]] == [{"id": "l1"}, {"id": "l2"}]
    assert answers[2].headers["retry-after"] == "2"
    assert answers[3].text.startswith("<html>")
    with pytest.raises(ValueError):
        answers[4].json()


async def test_a_slow_answer_comes_in_pieces(post: Post, wire: httpx.AsyncClient) -> None:
    post.script([Fault.SLOW])
    async with wire.stream("POST", "/letters", content=b"dear ann") as response:
        assert b"".join([piece async for piece in response.aiter_bytes()]) == b'{"id": "l1"}'


async def test_a_port_that_nobody_serves_any_more_refuses(post: Post) -> None:
    async with serve(post) as url:
        pass
    async with httpx.AsyncClient(base_url=url) as client:
        assert await send(client) is httpx.ConnectError
    assert not post.ledger


async def test_a_planned_break_is_no_complaint_of_the_server(
    post: Post, wire: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    post.script([Fault.TAKEN_THEN_RESET, Fault.DROPPED])
    await send(wire)
    await send(wire)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_the_plan_spares_uses_up_nothing_of_the_script(post: Post, http: httpx.AsyncClient) -> None:
    post.script([Fault.TIMEOUT])
    assert (await http.get("/token")).status_code == 404
    assert await send(http) is httpx.ReadTimeout


async def test_a_refusal_of_the_provider_itself_takes_nothing(post: Post, http: httpx.AsyncClient) -> None:
    assert (await http.post("/parcels")).status_code == 404
    assert not post.taken


# Chance


@given(st.integers(), st.lists(st.sampled_from(Fault), max_size=5))
def test_a_plan_is_its_script_and_then_its_seed(seed: int, script: list[Fault]) -> None:
    def decisions() -> list[Fault]:
        plan = FaultPlan(seed=seed, rates={Fault.TIMEOUT: 0.3, Fault.SERVER_ERROR: 0.3})
        plan.script.extend(script)
        return [plan.decide(number) for number in range(20)]

    assert decisions() == decisions()
    assert decisions()[: len(script)] == script


def test_rates_are_kept_and_seeds_differ() -> None:
    plan = FaultPlan(seed=7, rates={Fault.TIMEOUT: 0.2, Fault.THROTTLED: 0.1})
    decided = [plan.decide(number) for number in range(3000)]
    counts = Counter(decided)
    assert counts[Fault.TIMEOUT] / 3000 == pytest.approx(0.2, abs=0.03)
    assert counts[Fault.THROTTLED] / 3000 == pytest.approx(0.1, abs=0.03)
    assert set(counts) == {Fault.OK, Fault.TIMEOUT, Fault.THROTTLED}
    assert decided != [FaultPlan(seed=8, rates=plan.rates).decide(number) for number in range(3000)]


def test_without_a_plan_all_is_well() -> None:
    assert {FaultPlan().decide(number) for number in range(100)} == {Fault.OK}


# Ground truth


async def test_what_was_taken_twice_is_said(post: Post, http: httpx.AsyncClient) -> None:
    await http.post("/letters", content="one")
    await http.post("/letters", content="two")
    post.assert_nothing_taken_twice()
    await http.post("/letters", content="one")
    with pytest.raises(AssertionError, match="one"):
        post.assert_nothing_taken_twice()


async def test_a_message_repeated_after_a_lost_answer_was_taken_twice(post: Post, http: httpx.AsyncClient) -> None:
    post.script([Fault.TAKEN_THEN_TIMEOUT, Fault.OK])
    await send(http)
    await send(http)
    with pytest.raises(AssertionError, match="dear ann"):
        post.assert_nothing_taken_twice()


async def test_the_ledger_keeps_the_words_of_each_request(post: Post, http: httpx.AsyncClient) -> None:
    await http.post("/letters?a=%C3%A9", content=b"dear \xc3\xa9mile", headers={"X-From": "us"})
    request = post.ledger[0].request
    assert (request.method, request.url.path, request.query_params["a"]) == ("POST", "/letters", "é")
    assert await request.body() == "dear émile".encode()
    assert request.headers["x-from"] == "us"


# Telling us


facts = st.integers(0, 12).map(lambda count: [{"n": number} for number in range(count)])
rates = st.floats(0, 1)


@given(facts, st.integers(), rates, rates, st.integers(1, 5))
def test_every_fact_is_told_and_none_is_made_up(
    facts: list[Fact], seed: int, duplicate: float, reorder: float, batch: int
) -> None:
    plan = HookPlan(seed=seed, duplicate=duplicate, reorder=reorder, batch=batch)
    batches = list(plan.batches(facts))
    told = [fact["n"] for one in batches for fact in one]
    assert set(told) == {fact["n"] for fact in facts}
    assert all(1 <= len(one) <= batch for one in batches)
    assert batches == list(plan.batches(facts))
    if not duplicate:
        assert len(told) == len(facts)


def test_without_a_plan_facts_are_told_one_by_one_in_order() -> None:
    facts: list[Fact] = [{"n": number} for number in range(5)]
    assert list(HookPlan().batches(facts)) == [[fact] for fact in facts]


def test_a_bad_plan_repeats_reorders_and_batches() -> None:
    facts: list[Fact] = [{"n": number} for number in range(50)]
    batches = list(HookPlan(seed=3, duplicate=0.3, reorder=0.3, batch=5).batches(facts))
    told = [fact["n"] for batch in batches for fact in batch]
    assert len(told) > 50
    assert list(dict.fromkeys(told)) != list(range(50))
    assert {len(batch) for batch in batches} == {1, 2, 3, 4, 5}


def ingress(answers: Sequence[int], got: list[tuple[str, bytes]]) -> ASGIApp:
    """An ingress of ours that answers in turn; 0 breaks off."""
    left = list(answers)

    async def app(scope: Scope, receive: ASGIApp, send: ASGIApp) -> None:
        request = Request(scope, receive)
        got.append((str(request.url.query), await request.body()))
        status = left.pop(0) if left else 200
        if not status:
            raise httpx.ReadError("gone")
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


async def test_a_request_to_us_is_repeated_until_it_is_taken(post: Post) -> None:
    got: list[tuple[str, bytes]] = []
    transport = httpx.ASGITransport(app=ingress([503, 0, 200, 200], got))
    async with httpx.AsyncClient(transport=transport) as client:
        deliveries = await post.deliver(client, "http://us.test/hooks", [{"n": 1}, {"n": 2}])
    assert [delivery.statuses for delivery in deliveries] == [(503, None, 200), (200,)]
    assert got == [("a=b", b"[1]")] * 3 + [("a=b", b"[2]")]


async def test_a_request_to_us_is_given_up_after_its_tries(post: Post) -> None:
    transport = httpx.ASGITransport(app=ingress([503] * 9, []))
    async with httpx.AsyncClient(transport=transport) as client:
        deliveries = await post.deliver(client, "http://us.test/hooks", [{"n": 1}], tries=4)
    assert [delivery.statuses for delivery in deliveries] == [(503,) * 4]


async def test_requests_at_the_same_time_are_each_in_the_ledger(post: Post, wire: httpx.AsyncClient) -> None:
    post.script([Fault.OK, Fault.SERVER_ERROR] * 10)
    await asyncio.gather(*(wire.post("/letters", content=str(number)) for number in range(20)))
    assert len(post.ledger) == 20
    assert len(post.taken) == 10
    post.assert_nothing_taken_twice()
