"""What a provider allows is kept before it has to tell us."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.pace import PEERS_MAX, Pace
from shared.capabilities import Rate


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def paced(**rate: float) -> tuple[Pace, Hands]:
    clock = Hands()
    return Pace(Rate.model_validate(rate), clock), clock


def test_without_a_limit_nobody_waits() -> None:
    pace, _ = paced()
    assert [pace.wait_s("ann") for _ in range(1000)] == [0.0] * 1000


def test_one_partner_waits_and_another_does_not() -> None:
    pace, clock = paced(per_peer_per_second=1)
    assert pace.wait_s("ann") == 0
    assert pace.wait_s("ann") == 1
    assert pace.wait_s("bob") == 0
    clock.now += 1
    assert pace.wait_s("ann") == 0


def test_a_burst_is_allowed_and_then_paid_for() -> None:
    pace, clock = paced(per_peer_per_second=1 / 6, per_peer_burst=45)
    taken = 0
    while pace.wait_s("ann") == 0:
        taken += 1
    assert taken == 45
    clock.now += 60
    assert [pace.wait_s("ann") == 0 for _ in range(11)] == [True] * 10 + [False]


def test_a_held_account_is_silent_for_everyone_until_its_time() -> None:
    pace, clock = paced(per_second=10)
    pace.hold(5)
    assert pace.wait_s("ann") == 5
    clock.now += 5
    assert pace.wait_s("bob") == 0


def test_what_is_refused_takes_no_turn() -> None:
    pace, clock = paced(per_second=1, per_peer_per_second=0.1)
    assert pace.wait_s("ann") == 0
    for _ in range(50):
        assert pace.wait_s("ann") > 0
    clock.now += 1
    assert pace.wait_s("bob") == 0


def test_not_every_partner_is_remembered_for_ever() -> None:
    pace, _ = paced(per_peer_per_second=1)
    for number in range(PEERS_MAX + 10):
        assert pace.wait_s(f"peer {number}") == 0
    assert pace.wait_s("peer 0") == 0
    assert pace.wait_s(f"peer {PEERS_MAX + 9}") > 0


@given(
    rate=st.sampled_from([0.5, 1.0, 25.0, 80.0]),
    steps=st.lists(st.tuples(st.floats(0, 0.3), st.sampled_from("abc")), min_size=1, max_size=120),
)
def test_in_no_stretch_of_time_more_goes_out_than_is_allowed(rate: float, steps: list[tuple[float, str]]) -> None:
    pace, clock = paced(per_second=rate)
    sent = []
    for pause, peer in steps:
        clock.now += pause
        if pace.wait_s(peer) == 0:
            sent.append(clock.now)
    burst = max(rate, 1.0)
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= (sent[last] - start) * rate + burst + 1e-6
