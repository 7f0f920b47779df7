"""Which levels of noise are visited: functions of the number of steps and of what the network was trained on.

Each returns n + 1 falling sigmas that begin at or near the network's highest level and end at 0. "Automatic" is no
schedule: it means the one its sampler names (`Sampler.schedule`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise

from scipy.special import betaincinv

from modules.hooks import hookimpl
from modules.request import Sampling
from modules.sampling.aligned import ALIGNED_32, GITS
from modules.sampling.prediction import ALIGNED_SD1, Prediction
from modules.sampling.sampler import Sampler

Sigmas = Callable[..., list[float]]
ENDS = frozenset({"sigma_min", "sigma_max"})


@dataclass(frozen=True)
class Schedule:
    """A named way to choose levels: `sigmas(n, prediction)` returns n + 1 falling floats that end at 0, for n >= 1.

    `takes` names the numbers of `request.Sampling` that `sigmas` takes by name: other ends than the network's, rho, and
    what else a schedule may be bent by.
    """

    name: str
    label: str
    sigmas: Sigmas
    aliases: tuple[str, ...] = ()
    takes: frozenset[str] = frozenset()

    def tuned(self, asked: Sampling | None) -> Schedule:
        """Return the schedule with the numbers that are `asked` for, as far as it takes them."""
        own = {} if asked is None else {name: value for name, value in asked.numbers.items() if name in self.takes}
        return replace(self, sigmas=partial(self.sigmas, **own)) if own else self


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


def _whole(high: float, sigmas: Sequence[float]) -> list[float]:
    """Return `sigmas` with 0 after them, and with their first exactly the highest level.

    Rounding must not leave a flow a trace of the picture at its start: alpha is 0 there, not 1e-16.
    """
    return [high, *sigmas[1:], 0.0]


def _ends(prediction: Prediction, sigma_min: float, sigma_max: float) -> tuple[float, float]:
    """Return the lowest and the highest level: those asked for, or for 0 the network's.

    Above the level where nothing of the picture is left there is none.
    """
    high = sigma_max if sigma_max and prediction.alpha(sigma_max) >= 0 else prediction.sigma_max
    return sigma_min or prediction.sigma_min, high


def _index(prediction: Prediction, sigma: float) -> float:
    """Return the index of the level `sigma`, held within the levels; it is found by halving."""
    low, high = 0.0, prediction.levels - 1.0
    if sigma <= prediction.level(low) or sigma >= prediction.level(high):
        return low if sigma <= prediction.level(low) else high
    for _ in range(60):
        half = (low + high) / 2
        low, high = (half, high) if prediction.level(half) < sigma else (low, half)
    return high


def uniform(n: int, prediction: Prediction) -> list[float]:
    """Space training time evenly, from the highest level to the lowest one (k-diffusion `get_sigmas`)."""
    top = prediction.levels - 1
    return [*(prediction.level(top * (1 - part)) for part in _ramp(n)), 0.0]


def normal(n: int, prediction: Prediction, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    """Space training time evenly between the ends."""
    low, high = (_index(prediction, end) for end in _ends(prediction, sigma_min, sigma_max))
    return [*(prediction.level(low + (high - low) * (1 - part)) for part in _ramp(n)), 0.0]


def sgm_uniform(n: int, prediction: Prediction, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    """Space training time evenly with the end left out, so no step is spent on the lowest level (Stability's sgm)."""
    low, high = (_index(prediction, end) for end in _ends(prediction, sigma_min, sigma_max))
    return [*(prediction.level(low + (high - low) * (1 - i / n)) for i in range(n)), 0.0]


def simple(n: int, prediction: Prediction) -> list[float]:
    """Take every (levels / n)-th trained level from the top; levels between them when there are too few."""
    if n > prediction.levels:
        return sgm_uniform(n, prediction)
    places = [int(i * prediction.levels / n) for i in range(n)]
    return [*(prediction.level(prediction.levels - 1 - place) for place in places), 0.0]


def ddim(n: int, prediction: Prediction, ddim_discretize: str = "uniform") -> list[float]:
    """Take n evenly spaced trained levels from index 1 up (DDIM's timesteps); one step alone starts at the top.

    The original rounds the stride down, so for n that do not divide 1000 it takes another number of steps than asked
    for and may begin far below the top, and it ends at index 1. Here the number of steps is the one asked for.

    With "quad" the square roots of the indices are evenly spaced, up to 0.8 of the levels (Song et al. 2020, D.2);
    where two would be the same, the later is the next one.
    """
    if n == 1 or n > prediction.levels // 2:
        return sgm_uniform(n, prediction)
    if ddim_discretize == "quad":
        stride = math.sqrt(0.8 * prediction.levels) / (n - 1)
        wanted = [*(1 + int((i * stride) ** 2) for i in range(n - 1)), 1 + int(0.8 * prediction.levels)]
        places = [*accumulate(wanted, lambda before, place: max(before + 1, place))]
    else:
        places = [1 + int(i * prediction.levels / n) for i in range(n)]
    return [*(prediction.level(place) for place in reversed(places)), 0.0]


def quadratic(n: int, prediction: Prediction, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    """Space the square root of training time evenly with the end left out (UniPC's "time_quadratic")."""
    low, high = (
        math.sqrt((_index(prediction, end) + 1) / prediction.levels) for end in _ends(prediction, sigma_min, sigma_max)
    )
    times = [(high + (low - high) * i / n) ** 2 for i in range(n)]
    return [*(prediction.level(prediction.levels * time - 1) for time in times), 0.0]


def log_snr(n: int, prediction: Prediction, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    """Space log sigma evenly with the end left out: on the diffusion path the log-SNR (UniPC's "logSNR").

    At the start of a flow that is minus infinity; log sigma is not.
    """
    return [*exponential(n + 1, prediction, sigma_min, sigma_max)[:-2], 0.0]


def karras(
    n: int, prediction: Prediction, rho: float = 7.0, sigma_min: float = 0.0, sigma_max: float = 0.0
) -> list[float]:
    """Space sigma^(1 / rho) evenly (Karras et al. 2022, eq. 5)."""
    last, first = _ends(prediction, sigma_min, sigma_max)
    high, low = first ** (1 / rho), last ** (1 / rho)
    return _whole(first, [(high + part * (low - high)) ** rho for part in _ramp(n)])


def polyexponential(
    n: int, prediction: Prediction, rho: float = 1.0, sigma_min: float = 0.0, sigma_max: float = 0.0
) -> list[float]:
    """Space a power `rho` of log sigma evenly (k-diffusion); with rho 1 it is exponential."""
    last, first = _ends(prediction, sigma_min, sigma_max)
    high, low = math.log(first), math.log(last)
    return _whole(first, [math.exp((1 - part) ** rho * (high - low) + low) for part in _ramp(n)])


def exponential(n: int, prediction: Prediction, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    """Space log sigma evenly."""
    return polyexponential(n, prediction, 1.0, sigma_min, sigma_max)


def kl_optimal(n: int, prediction: Prediction, sigma_min: float = 0.0, sigma_max: float = 0.0) -> list[float]:
    """Space arctan sigma evenly (Sabour et al. 2024, eq. 22); the last level, the lowest, gives way to 0."""
    last, first = _ends(prediction, sigma_min, sigma_max)
    high, low = math.atan(first), math.atan(last)
    return _whole(first, [math.tan(i / n * low + (1 - i / n) * high) for i in range(n)])


def turbo(n: int, prediction: Prediction) -> list[float]:
    """Take n evenly spaced trained levels from the top down, rounded to the nearest (Forge's "turbo")."""
    if n > prediction.levels:
        return sgm_uniform(n, prediction)
    places = [round(i * prediction.levels / n) - 1 for i in range(n, 0, -1)]
    return [*(prediction.level(place) for place in places), 0.0]


def align_your_steps(n: int, prediction: Prediction) -> list[float]:
    """Interpolate the levels found best for the network in log sigma (Sabour et al. 2024)."""
    return _interpolated(n, prediction.aligned)


def align_your_steps_gits(n: int, prediction: Prediction) -> list[float]:
    """Interpolate the levels that GITS finds best (Chen et al. 2024, "On the Trajectory Regularity of …")."""
    return _interpolated(n, _suiting(prediction, GITS))


def align_your_steps_32(n: int, prediction: Prediction) -> list[float]:
    """Interpolate 32 levels in place of the eleven of Sabour et al. (Forge's); they end below the lowest trained."""
    return _interpolated(n, _suiting(prediction, ALIGNED_32))


def _suiting(prediction: Prediction, tables: Mapping[tuple[float, ...], Sequence[float]]) -> Sequence[float]:
    """Return the levels of `tables`, which name networks by their aligned levels, for a network.

    One that is in none of them, as a flow, takes those of Stable Diffusion 1 at the same ratio of noise to picture.
    """
    known = tables.get(tuple(prediction.aligned))
    if known is not None:
        return known
    return [prediction.sigma_max, *(prediction.sigma_at(-math.log(sigma)) for sigma in tables[ALIGNED_SD1][1:])]


def _interpolated(n: int, levels: Sequence[float]) -> list[float]:
    logs = [math.log(sigma) for sigma in levels]
    sigmas: list[float] = []
    for part in _ramp(n):
        place = part * (len(logs) - 1)
        low = min(int(place), len(logs) - 2)
        sigmas.append(math.exp(logs[low] + (place - low) * (logs[low + 1] - logs[low])))
    return [*sigmas, 0.0]


def beta(
    n: int,
    prediction: Prediction,
    beta_dist_alpha: float = 0.6,
    beta_dist_beta: float = 0.6,
    sigma_min: float = 0.0,
    sigma_max: float = 0.0,
) -> list[float]:
    """Place sigmas at even quantiles of the Beta distribution (Lee et al. 2024), dense at both ends.

    The smaller alpha is, the denser they are at the end, and the smaller beta is, at the beginning; at 1 they are even.
    """
    low, high = _ends(prediction, sigma_min, sigma_max)
    places = (float(betaincinv(beta_dist_alpha, beta_dist_beta, 1 - part)) for part in _ramp(n))
    return _whole(high, [low + place * (high - low) for place in places])


@hookimpl
def schedules() -> Sequence[Schedule]:
    """Offer the schedule types by A1111's names."""
    bent = ENDS | {"rho"}
    return [
        Schedule("uniform", "Uniform", uniform),
        Schedule("karras", "Karras", karras, takes=bent),
        Schedule("exponential", "Exponential", exponential, takes=ENDS),
        Schedule("polyexponential", "Polyexponential", polyexponential, takes=bent),
        Schedule("sgm_uniform", "SGM Uniform", sgm_uniform, ("SGMUniform",), ENDS),
        Schedule("kl_optimal", "KL Optimal", kl_optimal, takes=ENDS),
        Schedule(
            "align_your_steps",
            "Align Your Steps",
            align_your_steps,
            ("align_your_steps_11", "Align Your Steps 11"),
        ),
        Schedule("align_your_steps_GITS", "Align Your Steps GITS", align_your_steps_gits),
        Schedule("align_your_steps_32", "Align Your Steps 32", align_your_steps_32),
        Schedule("turbo", "Turbo", turbo),
        Schedule("simple", "Simple", simple),
        Schedule("normal", "Normal", normal, takes=ENDS),
        Schedule("ddim", "DDIM", ddim, takes=frozenset({"ddim_discretize"})),
        Schedule("beta", "Beta", beta, takes=ENDS | {"beta_dist_alpha", "beta_dist_beta"}),
        Schedule("quadratic", "Quadratic", quadratic, ("time_quadratic",), ENDS),
        Schedule("log_snr", "Log SNR", log_snr, ("logSNR",), ENDS),
    ]
