"""Restart sampling (Xu et al. 2023): now and then back up under fresh noise, and down again, by Heun's steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import heun_step, level, raised

if TYPE_CHECKING:
    from torch import Tensor

FEW, MANY = 20, 36  # steps: fewer than FEW leave none for a restart, from MANY on there are two restarts
BOTTOM, TOP = 0.1, 2.0  # where a restart begins and what it goes back up to: sigma / alpha
RHO = 7.0


def restart(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Take Heun's steps; where one begins above the end of the one before, bring the latent up with fresh noise."""
    reached = sigmas[0]
    for here, there in _steps(sigmas, prediction):
        if here > reached:
            fresh = noise(x, here, reached)
            x = raised(x, level(prediction, reached), level(prediction, here), fresh)
        x = heun_step(denoise, x, level(prediction, here), level(prediction, there))
        reached = there
    return x


def begun(sigmas: Sequence[float], prediction: Prediction) -> list[float]:
    """Return where each step begins, and the end."""
    return [*(here for here, _ in _steps(sigmas, prediction)), sigmas[-1]]


def _steps(sigmas: Sequence[float], prediction: Prediction) -> list[tuple[float, float]]:
    """Return (from, to) of each step, as many as the schedule has (A1111's choice of restarts).

    Where there are restarts the levels of the schedule give way to Karras' between its ends.
    """
    steps = len(sigmas) - 1
    if steps < FEW:
        return [*pairwise(sigmas)]
    again, times = (steps // 4, 2) if steps >= MANY else (9, 1)
    plain = [*_spaced(steps - again * times, sigmas[0], sigmas[-2]), sigmas[-1]]
    bottom, top = (_nearest(plain, ratio, prediction) for ratio in (BOTTOM, TOP))
    taken = [*pairwise(plain)]
    if top >= bottom:  # it began below: there is nothing to go back up to
        return taken
    back = [*pairwise(_spaced(again + 1, plain[top], plain[bottom]))] * times
    return [*taken[:bottom], *back, *taken[bottom:]]


def _nearest(levels: Sequence[float], ratio: float, prediction: Prediction) -> int:
    """Return which of the levels is nearest to where sigma / alpha is `ratio`."""

    def distance(place: int) -> float:
        here = level(prediction, levels[place])
        return abs(here.sigma / here.alpha - ratio) if here.alpha else float("inf")

    return min(range(len(levels)), key=distance)


def _spaced(count: int, high: float, low: float) -> list[float]:
    """Return `count` levels from `high` to `low`, both of them exactly, whose 1 / RHO-th powers are evenly spaced."""
    a, b = high ** (1 / RHO), low ** (1 / RHO)
    between = [(a + place / (count - 1) * (b - a)) ** RHO for place in range(1, count - 1)]
    return [high, *between, low]


@hookimpl
def samplers() -> list[Sampler]:
    """Offer Restart."""
    return [Sampler("Restart", restart, ("restart",), "Karras", 2, "ancestral", levels=begun)]
