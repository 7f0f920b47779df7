"""Which step a noise level lies in. A sampler may call several times within a step, at levels in between."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

EXACT = 1 - 1e-6  # a level a sampler worked out itself may differ from the schedule's in the last bits


def step_of(levels: Sequence[float]) -> Callable[[float], int]:
    """Return what says in which step, from 1 to n, a level lies, given the n + 1 levels of a run (`Sampler.levels`).

    A level at which a step ends and the next begins is the next one's. Where the levels go up again, which of their
    falls it is depends on those asked about before: a run goes through them in order, and may begin anew.
    """
    falls = _falls(levels[:-1])
    fall, last = 0, float("inf")

    def step(sigma: float) -> int:
        nonlocal fall, last
        after = (fall + 1) % len(falls)
        if sigma > last and sigma >= -falls[after][1][0] * EXACT:
            fall = after
        last = sigma
        before, rising = falls[fall]
        return before + min(max(bisect_right(rising, -sigma * EXACT), 1), len(rising))

    return step


def _falls(starts: Sequence[float]) -> list[tuple[int, list[float]]]:
    """Return the falling stretches of `starts`, negated, each with how many steps lie before it."""
    falls: list[tuple[int, list[float]]] = []
    for place, start in enumerate(starts):
        if not place or start > starts[place - 1]:
            falls.append((place, []))
        falls[-1][1].append(-start)
    return falls
