"""DPM-Solver++(2M): second order with one network call a step (Lu et al. 2022, algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, pairs

if TYPE_CHECKING:
    from torch import Tensor


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Extrapolate the guess from the last two levels; the first step and the last to 0 are of first order."""
    old: Tensor | None = None
    h_last = 0.0
    for here, there in pairs(prediction, sigmas):
        denoised = guess = denoise(x, here.sigma)
        h = there.log_snr - here.log_snr
        if old is not None and there.sigma > 0:
            half = h / h_last / 2  # 0 after a step from nothing but noise, whose h is infinite
            guess = denoised * (1 + half) - old * half
        x = advance(x, guess, here, there)
        old, h_last = denoised, h
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DPM++ 2M."""
    return [Sampler("DPM++ 2M", dpmpp_2m, ("k_dpmpp_2m",), "Karras")]
