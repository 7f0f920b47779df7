"""The midpoint method in log sigma, plain and ancestral (DPM-Solver-2, Lu et al. 2022, as k-diffusion has it)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import CHURN, Denoise, Sampler, StepNoise
from modules.sampling.steps import Churn, Level, advance, churned, level, middle, pairs, slope, split

if TYPE_CHECKING:
    from torch import Tensor


def dpm2(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise, **own: float
) -> Tensor:
    """Take the whole step with the slope found at its geometric middle; `own` numbers are those of a `Churn`."""
    churn = Churn(**own)
    for here, there in pairs(prediction, sigmas):
        x, here = churn.begin(x, here, there, len(sigmas) - 1, prediction, noise)
        denoised = denoise(x, here.sigma)
        if there.sigma == 0:
            x = advance(x, denoised, here, there)
        else:
            half = level(prediction, math.sqrt(here.sigma * there.sigma))
            between = advance(x, denoised, here, half)
            x = x + slope(between, denoise(between, half.sigma), half.sigma) * (there.sigma - here.sigma)
    return x


def dpm2_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Take the midpoint step to below the next level and come back up with fresh noise.

    `eta` 0..1 says how much of it, `s_noise` is its deviation.
    """
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        down, up = split(here, there, eta)
        if down.sigma == 0 or here.alpha == 0:
            x = advance(x, denoised, here, down)
        else:
            half = middle(prediction, here, down)
            between = advance(x, denoised, here, half)
            x = _midpoint(x, between, denoise(between, half.sigma), here, half, down)
        if up:
            x = x + noise(x, here.sigma, there.sigma) * (up * s_noise)
    return x


def _midpoint(x: Tensor, between: Tensor, denoised: Tensor, here: Level, half: Level, down: Level) -> Tensor:
    """Step by the slope d(x / alpha) / d(sigma / alpha) of the middle: both paths look alike in these coordinates."""
    slope_there = (between - denoised * half.alpha) / half.sigma
    distance = down.sigma - here.sigma * down.alpha / here.alpha
    return x * (down.alpha / here.alpha) + slope_there * distance


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DPM2 and DPM2 a."""
    return [
        Sampler("DPM2", dpm2, ("k_dpm_2",), "Karras", 2, discard_penultimate=True, takes=CHURN, levels=churned),
        Sampler(
            "DPM2 a",
            dpm2_ancestral,
            ("k_dpm_2_a",),
            "Karras",
            2,
            "ancestral",
            discard_penultimate=True,
            takes=frozenset({"eta", "s_noise"}),
        ),
    ]
