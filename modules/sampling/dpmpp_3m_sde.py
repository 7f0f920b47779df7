"""DPM++ 3M SDE: third order with one network call a step (k-diffusion, after SDE-DPM-Solver++)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import pairs

if TYPE_CHECKING:
    from torch import Tensor


def dpmpp_3m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Correct each step by the first and second differences of the last three guesses.

    `eta` 0..1 says how much noise is fresh, `s_noise` is its deviation.
    """
    past: list[tuple[Tensor, float]] = []  # (guess, h of the step it began), newest first
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        if there.sigma == 0:
            x = denoised * there.alpha
            continue
        h = there.log_snr - here.log_snr  # infinite in the step from nothing but noise
        decay = math.exp(-eta * h) if eta else 1.0
        drift = h + (eta * h if eta else 0.0)
        x = x * (there.sigma / here.sigma * decay) - denoised * (there.alpha * math.expm1(-drift))
        if past:
            x = x + _correction(denoised, past, h, drift) * there.alpha
        if eta:
            x = x + noise(x, here.sigma, there.sigma) * (there.sigma * math.sqrt(1 - decay * decay) * s_noise)
        past = [(denoised, h), *past[:1]]
    return x


def _correction(denoised: Tensor, past: Sequence[tuple[Tensor, float]], h: float, drift: float) -> Tensor:
    """Return what the changing guess adds to a step; a ratio that is infinite drops the difference over it."""
    phi_2 = math.expm1(-drift) / drift + 1
    newer, h_1 = past[0]
    r_0 = h_1 / h
    first = (denoised - newer) / r_0
    if len(past) == 1:
        return first * phi_2
    older, h_2 = past[1]
    r_1 = h_2 / h
    bend = first - (newer - older) / r_1
    phi_3 = phi_2 / drift - 0.5
    return (first + bend * (r_0 / (r_0 + r_1))) * phi_2 - bend * (phi_3 / (r_0 + r_1))


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DPM++ 3M SDE."""
    return [
        Sampler(
            "DPM++ 3M SDE",
            dpmpp_3m_sde,
            ("k_dpmpp_3m_sde",),
            "Exponential",
            noise="brownian",
            discard_penultimate=True,
            takes=frozenset({"eta", "s_noise"}),
        )
    ]
