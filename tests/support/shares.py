"""Long work over numbers, shared out to all cores: the function has to be one of a module, since others import it."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final

SHARES: Final = 8


def outcomes(work: Callable[[int], str], numbers: int) -> Counter[str]:
    """How often each outcome came of the numbers below `numbers`. Raises what any of them raised."""
    context = multiprocessing.get_context("spawn")  # a fork would take the threads' locks along
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        found: Counter[str] = Counter()
        for counted in pool.map(partial(share_of, work, numbers), range(SHARES)):
            found += counted
        return found


def share_of(work: Callable[[int], str], numbers: int, share: int) -> Counter[str]:
    return Counter(work(number) for number in range(share, numbers, SHARES))
