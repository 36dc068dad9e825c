"""Waiting for what happens elsewhere: look again until a deadline, never for a fixed time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    look: Callable[[], Awaitable[T]], until: Callable[[T], object] = bool, *, timeout_s: float = 10
) -> T:
    """What `look` sees once `until` holds of it; an AssertionError with the last sight after the deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        seen = await look()
        if until(seen):
            return seen
        assert loop.time() < deadline, f"after {timeout_s} s it is still {seen!r}"
        await asyncio.sleep(0.01)
