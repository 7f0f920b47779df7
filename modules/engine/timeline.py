"""Which step a noise level lies in. A sampler may call several times within a step, at levels in between."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence


def step_of(sigmas: Sequence[float]) -> Callable[[float], int]:
    """Return what says in which step, from 1 to n, a level lies, given the n + 1 falling levels of a run.

    A level at which a step ends and the next begins is the next one's.
    """
    rising = [-sigma for sigma in sigmas]

    def step(sigma: float) -> int:
        # A level a sampler worked out itself may differ from the schedule's in the last bits.
        return min(max(bisect_right(rising, -sigma * (1 - 1e-6)), 1), len(rising) - 1)

    return step
