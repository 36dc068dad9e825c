"""How fast we may speak: what a provider allows an account and one partner, kept before it has to tell us."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.capabilities import Rate

PEERS_MAX: Final = 20_000  # remembered; whoever is forgotten has not been written to for long
BURST_S: Final = 1.0  # of the account's rate may leave at once


@dataclass(slots=True)
class Bucket:
    """Generic cell rate: `free_at` is when the next would be exactly on time."""

    free_at: float = 0.0

    def wait_s(self, now: float, rate: float, burst: float) -> float:
        return max(0.0, self.free_at - now - (burst - 1) / rate)

    def take(self, now: float, rate: float) -> None:
        self.free_at = max(now, self.free_at) + 1 / rate


class Pace:
    """One account's speed and that of each of its partners."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._account = Bucket()
        self._peers: OrderedDict[str, Bucket] = OrderedDict()
        self._held_until = 0.0

    def wait_s(self, peer: str) -> float:
        """Seconds until this partner may be written to; 0 takes the turn."""
        now = self._clock()
        bucket = self._peers.get(peer) or Bucket()
        wait = max(self._held_until - now, 0.0)
        if self._rate.per_second:
            burst = self._rate.burst or max(self._rate.per_second * BURST_S, 1.0)
            wait = max(wait, self._account.wait_s(now, self._rate.per_second, burst))
        if self._rate.per_peer_per_second:
            wait = max(wait, bucket.wait_s(now, self._rate.per_peer_per_second, self._rate.per_peer_burst))
        if wait > 0:
            return wait
        if self._rate.per_second:
            self._account.take(now, self._rate.per_second)
        if self._rate.per_peer_per_second:
            bucket.take(now, self._rate.per_peer_per_second)
            self._peers[peer] = bucket
            self._peers.move_to_end(peer)
            if len(self._peers) > PEERS_MAX:
                self._peers.popitem(last=False)
        return 0.0

    def hold(self, seconds: float) -> None:
        """The provider wants the whole account to be silent for so long."""
        self._held_until = max(self._held_until, self._clock() + seconds)
