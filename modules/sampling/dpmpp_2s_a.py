"""DPM-Solver++(2S) with ancestral noise (Lu et al. 2022, algorithm 1, r = 1/2; k-diffusion)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, middle, pairs, split

if TYPE_CHECKING:
    from torch import Tensor


def dpmpp_2s_ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Take the step with the guess from its middle in log-SNR, then add fresh noise.

    `eta` 0..1 says how much of it, `s_noise` is its deviation.
    """
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        down, up = split(here, there, eta)
        if down.sigma > 0 and here.alpha > 0:
            half = middle(prediction, here, down)
            denoised = denoise(advance(x, denoised, here, half), half.sigma)
        x = advance(x, denoised, here, down)
        if up:
            x = x + noise(x, here.sigma, there.sigma) * (up * s_noise)
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DPM++ 2S a."""
    own = frozenset({"eta", "s_noise"})
    return [Sampler("DPM++ 2S a", dpmpp_2s_ancestral, ("k_dpmpp_2s_a",), "Karras", 2, "ancestral", takes=own)]
