"""DPM++ 2M SDE: the multistep solver of the diffusion SDE (Lu et al. 2022, SDE-DPM-Solver++(2M); k-diffusion)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import pairs

if TYPE_CHECKING:
    from torch import Tensor


def dpmpp_2m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Correct each step with half of the last change of the guess (the midpoint rule).

    `eta` 0..1 says how much noise is fresh, `s_noise` is its deviation.
    """
    return _multistep(denoise, x, sigmas, prediction, noise, (eta, s_noise), lambda h: -math.expm1(-h) / 2)


def dpmpp_2m_sde_heun(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Correct each step by the exact integral of a guess that changes evenly.

    `eta` 0..1 says how much noise is fresh, `s_noise` is its deviation.
    """
    return _multistep(denoise, x, sigmas, prediction, noise, (eta, s_noise), lambda h: 1 + math.expm1(-h) / h)


def _multistep(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    fresh: tuple[float, float],
    correction: Callable[[float], float],
) -> Tensor:
    eta, s_noise = fresh
    old: Tensor | None = None
    h_last = 0.0
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        if there.sigma == 0:
            x = denoised * there.alpha
            continue
        h = there.log_snr - here.log_snr  # infinite in the step from nothing but noise
        decay = math.exp(-eta * h) if eta else 1.0
        drift = h + (eta * h if eta else 0.0)
        x = x * (there.sigma / here.sigma * decay) - denoised * (there.alpha * math.expm1(-drift))
        if old is not None:
            x = x + (denoised - old) * (there.alpha * correction(drift) * h / h_last)
        if eta:
            x = x + noise(x, here.sigma, there.sigma) * (there.sigma * math.sqrt(1 - decay * decay) * s_noise)
        old, h_last = denoised, h
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DPM++ 2M SDE and DPM++ 2M SDE Heun."""
    ways = (
        ("DPM++ 2M SDE", dpmpp_2m_sde, "k_dpmpp_2m_sde"),
        ("DPM++ 2M SDE Heun", dpmpp_2m_sde_heun, "k_dpmpp_2m_sde_heun"),
    )
    own = frozenset({"eta", "s_noise"})
    return [Sampler(name, run, (alias,), "Exponential", noise="brownian", takes=own) for name, run, alias in ways]
