"""DPM++ SDE: the stochastic DPM-Solver++ with a middle evaluation (k-diffusion, r = 1/2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, middle, pairs, split

if TYPE_CHECKING:
    from torch import Tensor


def dpmpp_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Take an ancestral step to the middle in log-SNR, then the whole step with the guess found there.

    With r = 1/2 the guess of the middle stands alone: the weight of the first one, 1 - 1 / (2 r), is 0. `eta` 0..1 says
    how much noise is fresh, `s_noise` is its deviation.
    """
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        if there.sigma > 0 and here.alpha > 0:
            half = middle(prediction, here, there)
            down, up = split(here, half, eta)
            between = advance(x, denoised, here, down)
            if up:
                between = between + noise(x, here.sigma, half.sigma) * (up * s_noise)
            denoised = denoise(between, half.sigma)
        down, up = split(here, there, eta)
        x = advance(x, denoised, here, down)
        if up:
            x = x + noise(x, here.sigma, there.sigma) * (up * s_noise)
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DPM++ SDE."""
    return [
        Sampler("DPM++ SDE", dpmpp_sde, ("k_dpmpp_sde",), "Karras", 2, "brownian", takes=frozenset({"eta", "s_noise"}))
    ]
