"""How many forms are taken: from one address, so that nobody floods a shop, and of one channel in all.

An office behind one address must get through, so the limits are wide; what is sent by machines is kept out otherwise.
"""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 600.0
PER_CALLER: Final = 10
PER_CHANNEL: Final = 100
CALLERS_MAX: Final = 10_000  # remembered; whoever is forgotten has not sent one for long
NETWORK_V6: Final = 64  # bits: what one customer of a provider has for themselves
HOPS_MAX: Final = 20


class Window:
    """So many within the last while."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: deque[float] = deque()

    def wait_s(self, now: float) -> float:
        """Seconds until there is room; 0 if there is."""
        while self._times and self._times[0] <= now - WINDOW_S:
            self._times.popleft()
        return self._times[0] + WINDOW_S - now if len(self._times) >= self._most else 0.0

    def take(self, now: float) -> None:
        self._times.append(now)

    def give_back(self) -> None:
        if self._times:
            self._times.pop()


class FormLimits:
    """The limits of one channel in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._callers: OrderedDict[str, Window] = OrderedDict()
        self._channel = Window(PER_CHANNEL)

    def take(self, caller: str, *, by_machine: bool = False) -> float:
        """Seconds to wait; 0 takes the turn. What a machine filled in uses up nobody else's room."""
        now = self._clock()
        windows = [self._of(caller)] if by_machine else [self._of(caller), self._channel]
        wait_s = max(window.wait_s(now) for window in windows)
        if wait_s <= 0:
            for window in windows:
                window.take(now)
        return wait_s

    def give_back(self, caller: str) -> None:
        """The form was not kept after all."""
        self._of(caller).give_back()
        self._channel.give_back()

    def _of(self, caller: str) -> Window:
        window = self._callers.setdefault(caller, Window(PER_CALLER))
        self._callers.move_to_end(caller)
        if len(self._callers) > CALLERS_MAX:
            self._callers.popitem(last=False)
        return window


def caller_of(peer: str | None, forwarded: str) -> str:
    """Who is to be counted as one: the address that connected, or whom a proxy of ours connected for.

    A proxy stands on a private address and adds whom it heard to the end of `X-Forwarded-For`. What anybody says who
    connects from a public address is not believed.
    """
    at = network_of(peer or "")
    if at is not None and at.is_global:
        return str(at)
    hops = [network_of(hop) for hop in forwarded.split(",")[-HOPS_MAX:]]
    return str(next((hop for hop in reversed(hops) if hop is not None and hop.is_global), at))


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """None for what is no address."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        return ipaddress.IPv4Network(address)
    return ipaddress.IPv6Network((int(address), NETWORK_V6), strict=False)
