"""Payloads as nobody meant them: samples with one to six places changed; the same for the same number, always."""

import copy
import json
import random
from collections.abc import Sequence
from typing import Any, Final

STRANGE: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 0.5, -1e308, float("nan"), float("inf"), 2**31, 2**63, 2**64, -(2**63), 10**400,
    "", "\x00", "\ud800", "\udfff👍", "0", "-5", "private", "channel", "kicked", "2026-01-01", "9" * 400, "é" * 300,
    [], [[]], [None], {}, {"type": "hologram"}, {"id": 1}, {"": ""}, [{"type": []}],
)  # fmt: skip

Place = tuple[Any, ...]  # the steps that lead to it


class Mutations:
    """Of these samples, which are JSON values."""

    def __init__(self, samples: Sequence[Any]) -> None:
        self._samples = samples
        self._places = [[place for place in places(sample) if place] for sample in samples]
        self._parts = [(sample, place) for sample, found in zip(samples, self._places, strict=True) for place in found]

    def payload(self, number: int) -> bytes:
        chance = random.Random(number)
        which = chance.randrange(len(self._samples))
        value = copy.deepcopy(self._samples[which])
        for _ in range(chance.choice((1, 1, 2, 3, 6))):
            self._mutate(value, chance.choice(self._places[which]), chance)
        body = bytearray(json.dumps(value).encode())
        if chance.random() < 0.03:
            body[chance.randrange(len(body))] = chance.randrange(256)
        if chance.random() < 0.02:
            del body[chance.randrange(len(body)) :]
        return bytes(body)

    def _mutate(self, value: Any, place: Place, chance: random.Random) -> None:
        """Change one place, if earlier changes have left it there."""
        *way, last = place
        for step in way:
            if not is_there(value, step):
                return
            value = value[step]
        if not is_there(value, last):
            return
        match chance.randrange(5):
            case 0:
                del value[last]
            case 1:  # what belongs elsewhere
                value[last] = copy.deepcopy(part_of(*chance.choice(self._parts)))
            case 2:
                value[last] = [value[last], value[last]]
            case 3 if isinstance(value, dict):
                value[f"new_{last}"] = value.pop(last)
            case _:
                value[last] = chance.choice(STRANGE)


def is_there(value: Any, step: Any) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def places(value: Any, path: Place = ()) -> list[Place]:
    """Every place in a JSON value."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, inner in steps for place in places(inner, (*path, step)))]


def part_of(sample: Any, place: Place) -> Any:
    for step in place:
        sample = sample[step]
    return sample
