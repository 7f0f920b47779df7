"""Euler's method, plain and ancestral (Karras et al. 2022, algorithm 1 and 2; k-diffusion)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import CHURN, Denoise, Sampler, StepNoise
from modules.sampling.steps import Churn, advance, churned, pairs, split

if TYPE_CHECKING:
    from torch import Tensor


def euler(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise, **own: float
) -> Tensor:
    """Follow the guess of each level to the next one; `own` numbers are those of a `Churn`."""
    churn = Churn(**own)
    for here, there in pairs(prediction, sigmas):
        x, here = churn.begin(x, here, there, len(sigmas) - 1, prediction, noise)
        x = advance(x, denoise(x, here.sigma), here, there)
    return x


def euler_ancestral(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise, eta: float = 1.0
) -> Tensor:
    """Step lower than the next level and come back up with fresh noise; `eta` 0..1 says how much."""
    for here, there in pairs(prediction, sigmas):
        down, up = split(here, there, eta)
        x = advance(x, denoise(x, here.sigma), here, down)
        if up:
            x = x + noise(x, here.sigma, there.sigma) * up
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer Euler and Euler a, whose step in these coordinates is DDPM's as well (Ho et al. 2020, eq. 7)."""
    names = ("k_euler_a", "k_euler_ancestral", "ddpm")
    return [
        Sampler("Euler a", euler_ancestral, names, noise="ancestral", takes=frozenset({"eta"})),
        Sampler("Euler", euler, ("k_euler",), takes=CHURN, levels=churned),
    ]
