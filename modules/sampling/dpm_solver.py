"""DPM-Solver (Lu et al. 2022) as k-diffusion has it: in a number of network calls, or with steps of its own choice.

Both end at the lowest level the network knows, as published, and not at 0. Of the schedule they take where it begins,
and how many steps it has. A step from nothing but noise, the start of a flow, is the schedule's own, of first order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import Level, advance, level, middle, pairs, split

if TYPE_CHECKING:
    from torch import Tensor

RELATIVE, ABSOLUTE = 0.05, 0.0078  # how far apart two orders may be: times the latent, and at least
FIRST = 0.05  # in log-SNR, the step that is tried first
ACCEPTED = 0.81  # a step is taken unless the next should be shorter than this share of it
TINY = 1e-5  # in log-SNR: what is left is nothing


def dpm_fast(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Go down in n network calls for n steps of the schedule, evenly in log-SNR and in the third order where it fits.

    `eta` 0..1 says how much noise is fresh, `s_noise` is its deviation.
    """
    end = level(prediction, prediction.sigma_min)
    x, lead = _led(denoise, x, sigmas, prediction)
    for here, there, order in _strides(sigmas[lead:], prediction):
        down, up = _split(here, there, end, eta)
        x, _ = _solved(denoise, x, here, down, order, prediction)
        if up:
            x = x + noise(x, here.sigma, there.sigma) * (up * s_noise)
    return x


def called(sigmas: Sequence[float], prediction: Prediction, **own: float) -> list[float]:
    """Return where `dpm_fast` calls the network, as it would without fresh noise: a step for each call; and the end."""
    lead = _lead(sigmas, prediction)
    visited = [*sigmas[:lead]]
    for here, there, order in _strides(sigmas[lead:], prediction):
        visited += [here.sigma, *(middle(prediction, here, there, part / order).sigma for part in range(1, order))]
    return [*visited, sigmas[-1]]


def dpm_adaptive(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise, eta: float = 1.0
) -> Tensor:
    """Take steps of the third order as long as the second agrees, however many of them the schedule has.

    `eta` 0..1 says how much noise is fresh. The pictures of a batch share their steps: that which agrees least counts.
    """
    end = level(prediction, prediction.sigma_min)
    x, lead = _led(denoise, x, sigmas, prediction)
    if lead == len(sigmas) - 1:
        return x
    at, before, h = level(prediction, sigmas[lead]).log_snr, x, FIRST
    while at < end.log_snr - TINY:
        aim = min(at + h, end.log_snr)
        here, there = (level(prediction, prediction.sigma_at(log_snr)) for log_snr in (at, aim))
        down, up = _split(here, there, end, eta)
        high, difference = _solved(denoise, x, here, down, 3, prediction)
        low = high + difference
        allowed = (low.abs().maximum(before.abs()) * RELATIVE).clamp(min=ABSOLUTE)
        error = float((difference / allowed).square().flatten(1).mean(1).sqrt().max())
        if not math.isfinite(error):
            return high  # what is no number becomes none by a shorter step
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / (1.5 if eta else 3)) - 1)
        if factor >= ACCEPTED:
            before, x, at = low, high, aim
            if up:
                x = x + noise(x, here.sigma, there.sigma) * up
        h *= factor
    return x


def even(sigmas: Sequence[float], prediction: Prediction, **own: float) -> list[float]:
    """Return n levels that lie evenly in log-SNR, and the end: how far `dpm_adaptive` is on its way."""
    lead, end = _lead(sigmas, prediction), level(prediction, prediction.sigma_min)
    left, start = len(sigmas) - 1 - lead, level(prediction, sigmas[lead])
    return [*sigmas[:lead], *(middle(prediction, start, end, place / left).sigma for place in range(left)), sigmas[-1]]


def _lead(sigmas: Sequence[float], prediction: Prediction) -> int:
    """Return how many steps of the schedule come first: those from nothing but noise, or from below the end."""
    known = (prediction.alpha(sigma) > 0 and sigma > prediction.sigma_min for sigma in sigmas[:-1])
    return next((place for place, known_there in enumerate(known) if known_there), len(sigmas) - 1)


def _led(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction) -> tuple[Tensor, int]:
    """Return `x` after the steps that come first, each exact in first order, and how many these are."""
    lead = _lead(sigmas, prediction)
    for here, there in pairs(prediction, sigmas[: lead + 1]):
        x = advance(x, denoise(x, here.sigma), here, there)
    return x, lead


def _strides(sigmas: Sequence[float], prediction: Prediction) -> Iterator[tuple[Level, Level, int]]:
    """Yield (from, to, order) of the steps that take as many network calls together as the schedule has steps."""
    calls = len(sigmas) - 1
    if not calls:
        return
    start, end, count = level(prediction, sigmas[0]), level(prediction, prediction.sigma_min), calls // 3 + 1
    orders = [3] * (count - 2) + [2, 1] if calls % 3 == 0 else [3] * (count - 1) + [calls % 3]
    marks = [start, *(middle(prediction, start, end, place / count) for place in range(1, count)), end]
    for (here, there), order in zip(pairwise(marks), orders, strict=True):
        yield here, there, order


def _split(here: Level, there: Level, end: Level, eta: float) -> tuple[Level, float]:
    """Return the level to step down to, not below `end`, and the sigma of the fresh noise that leads back up."""
    down, up = split(here, there, eta)
    if there.log_snr >= end.log_snr:
        return there, 0.0
    if down.log_snr <= end.log_snr:
        return down, up
    lowest = there.alpha * end.sigma / end.alpha
    return Level(there.alpha, lowest), math.sqrt(max(0.0, there.sigma**2 - lowest**2))


def _solved(
    denoise: Denoise, x: Tensor, here: Level, there: Level, order: int, prediction: Prediction
) -> tuple[Tensor, Tensor]:
    """Return `x` at `there` by the step of `order` 1, 2 or 3, and how that of one order less would differ from it."""

    def noise_in(x: Tensor, at: Level) -> Tensor:
        return (x - denoise(x, at.sigma) * at.alpha) / at.sigma

    first = noise_in(x, here)
    plain = _along(x, first, here, there)
    if order == 1:
        return plain, plain * 0
    h = there.log_snr - here.log_snr
    part = 1 / order
    between = middle(prediction, here, there, part)
    change = noise_in(_along(x, first, here, between), between) - first
    bent = change * (there.sigma * math.expm1(h) / (2 * part))
    if order == 2:
        return plain - bent, bent
    later = middle(prediction, here, there, 2 / 3)
    rest = math.expm1(2 / 3 * h) / (2 / 3 * h) - 1
    ahead = _along(x, first, here, later) - change * (later.sigma * 2 * rest)
    bend = noise_in(ahead, later) - first
    bend = bend * (there.sigma * 1.5 * (math.expm1(h) / h - 1))
    return plain - bend, bend - bent


def _along(x: Tensor, noise: Tensor, here: Level, there: Level) -> Tensor:
    """Return `x` taken from `here` to `there` while the noise in it is held."""
    h = there.log_snr - here.log_snr
    return x * (there.alpha / here.alpha) - noise * (there.sigma * math.expm1(h))


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DPM fast and DPM adaptive."""
    own = frozenset({"eta", "s_noise"})
    return [
        Sampler("DPM fast", dpm_fast, ("k_dpm_fast",), noise="ancestral", takes=own, levels=called),
        Sampler(
            "DPM adaptive",
            dpm_adaptive,
            ("k_dpm_ad",),
            noise="ancestral",
            takes=frozenset({"eta"}),
            levels=even,
            adaptive=True,
        ),
    ]
