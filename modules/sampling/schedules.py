"""Which levels of noise are visited: functions of the number of steps and of what the network was trained on.

Each returns n + 1 falling sigmas that begin at or near the network's highest level and end at 0. "Automatic" is no
schedule: it means the one its sampler names (`Sampler.schedule`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scipy.special import betaincinv

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Sampler

Sigmas = Callable[[int, Prediction], list[float]]


@dataclass(frozen=True)
class Schedule:
    """A named way to choose levels: `sigmas(n, prediction)` returns n + 1 falling floats that end at 0, for n >= 1."""

    name: str
    label: str
    sigmas: Sigmas
    aliases: tuple[str, ...] = ()


def sigmas_for(sampler: Sampler, schedule: Schedule, steps: int, prediction: Prediction) -> list[float]:
    """Return the `steps` + 1 levels that `sampler` visits under `schedule`.

    Raises `ValueError` when the schedule does not give `steps` different levels falling to 0: a table of 1000 levels
    has no 1001 of them.
    """
    if steps < 1:
        raise ValueError(f"at least one step is needed, not {steps}")
    if sampler.discard_penultimate:
        sigmas = schedule.sigmas(steps + 1, prediction)
        del sigmas[-2]
    else:
        sigmas = schedule.sigmas(steps, prediction)
    falling = all(a > b for a, b in pairwise(sigmas))
    if len(sigmas) != steps + 1 or not falling or sigmas[-1] != 0:
        raise ValueError(f"the schedule {schedule.label} has no {steps} falling levels for this model")
    return sigmas


def _ramp(n: int) -> list[float]:
    """Return n even numbers from 0 to 1; the single one is 0."""
    return [i / (n - 1) for i in range(n)] if n > 1 else [0.0]


def _whole(prediction: Prediction, sigmas: Sequence[float]) -> list[float]:
    """Return `sigmas` with 0 after them, and with their first exactly the highest level.

    Rounding must not leave a flow a trace of the picture at its start: alpha is 0 there, not 1e-16.
    """
    return [prediction.sigma_max, *sigmas[1:], 0.0]


def uniform(n: int, prediction: Prediction) -> list[float]:
    """Space training time evenly, from the highest level to the lowest one (k-diffusion `get_sigmas`)."""
    top = prediction.levels - 1
    return [*(prediction.level(top * (1 - part)) for part in _ramp(n)), 0.0]


def sgm_uniform(n: int, prediction: Prediction) -> list[float]:
    """Space training time evenly with the end left out, so no step is spent on the lowest level (Stability's sgm)."""
    top = prediction.levels - 1
    return [*(prediction.level(top * (1 - i / n)) for i in range(n)), 0.0]


def simple(n: int, prediction: Prediction) -> list[float]:
    """Take every (levels / n)-th trained level from the top; levels between them when there are too few."""
    if n > prediction.levels:
        return sgm_uniform(n, prediction)
    places = [int(i * prediction.levels / n) for i in range(n)]
    return [*(prediction.level(prediction.levels - 1 - place) for place in places), 0.0]


def ddim(n: int, prediction: Prediction) -> list[float]:
    """Take n evenly spaced trained levels from index 1 up (DDIM's timesteps); one step alone starts at the top.

    The original rounds the stride down, so for n that do not divide 1000 it takes another number of steps than asked
    for and may begin far below the top, and it ends at index 1. Here the number of steps is the one asked for.
    """
    if n == 1 or n > prediction.levels // 2:
        return sgm_uniform(n, prediction)
    places = [1 + int(i * prediction.levels / n) for i in range(n)]
    return [*(prediction.level(place) for place in reversed(places)), 0.0]


def karras(n: int, prediction: Prediction, rho: float = 7.0) -> list[float]:
    """Space sigma^(1 / rho) evenly (Karras et al. 2022, eq. 5)."""
    high, low = prediction.sigma_max ** (1 / rho), prediction.sigma_min ** (1 / rho)
    return _whole(prediction, [(high + part * (low - high)) ** rho for part in _ramp(n)])


def polyexponential(n: int, prediction: Prediction, rho: float = 1.0) -> list[float]:
    """Space a power `rho` of log sigma evenly (k-diffusion); with rho 1 it is exponential."""
    high, low = math.log(prediction.sigma_max), math.log(prediction.sigma_min)
    return _whole(prediction, [math.exp((1 - part) ** rho * (high - low) + low) for part in _ramp(n)])


def exponential(n: int, prediction: Prediction) -> list[float]:
    """Space log sigma evenly."""
    return polyexponential(n, prediction)


def kl_optimal(n: int, prediction: Prediction) -> list[float]:
    """Space arctan sigma evenly (Sabour et al. 2024, eq. 22); the last level, the lowest, gives way to 0."""
    high, low = math.atan(prediction.sigma_max), math.atan(prediction.sigma_min)
    return _whole(prediction, [math.tan(i / n * low + (1 - i / n) * high) for i in range(n)])


def align_your_steps(n: int, prediction: Prediction) -> list[float]:
    """Interpolate the levels found best for the network in log sigma (Sabour et al. 2024)."""
    logs = [math.log(sigma) for sigma in prediction.aligned]
    sigmas: list[float] = []
    for part in _ramp(n):
        place = part * (len(logs) - 1)
        low = min(int(place), len(logs) - 2)
        sigmas.append(math.exp(logs[low] + (place - low) * (logs[low + 1] - logs[low])))
    return [*sigmas, 0.0]


def beta(n: int, prediction: Prediction, a: float = 0.6, b: float = 0.6) -> list[float]:
    """Place sigmas at even quantiles of the Beta(a, b) distribution (Lee et al. 2024), dense at both ends."""
    low, high = prediction.sigma_min, prediction.sigma_max
    return _whole(prediction, [low + float(betaincinv(a, b, 1 - part)) * (high - low) for part in _ramp(n)])


@hookimpl
def schedules() -> Sequence[Schedule]:
    """Offer the schedule types by A1111's names."""
    return [
        Schedule("uniform", "Uniform", uniform),
        Schedule("karras", "Karras", karras),
        Schedule("exponential", "Exponential", exponential),
        Schedule("polyexponential", "Polyexponential", polyexponential),
        Schedule("sgm_uniform", "SGM Uniform", sgm_uniform, ("SGMUniform",)),
        Schedule("kl_optimal", "KL Optimal", kl_optimal),
        Schedule("align_your_steps", "Align Your Steps", align_your_steps),
        Schedule("simple", "Simple", simple),
        Schedule("normal", "Normal", uniform),
        Schedule("ddim", "DDIM", ddim),
        Schedule("beta", "Beta", beta),
    ]
