"""Heun's method (Karras et al. 2022, algorithm 1): each step is taken twice, with the mean of both slopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, pairs, slope

if TYPE_CHECKING:
    from torch import Tensor


def heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Take a step, look at the slope there, and take it again with the mean; the last step to 0 is Euler's."""
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        ahead = advance(x, denoised, here, there)
        if there.sigma == 0:
            x = ahead
        else:
            slopes = slope(x, denoised, here.sigma) + slope(ahead, denoise(ahead, there.sigma), there.sigma)
            x = x + slopes * ((there.sigma - here.sigma) / 2)
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer Heun."""
    return [Sampler("Heun", heun, ("k_heun",), order=2)]
