"""Heun++ 2: Heun's method that looks two levels ahead (Carzit's samplers for A1111, 2023; in Forge and ComfyUI)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, level, slope

if TYPE_CHECKING:
    from torch import Tensor

AHEAD = 2  # levels


def heunpp2(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Mix the slope here with those at the next levels, which count the less the lower they are; none is at 0.

    A slope at sigma counts sigma / (n * the first sigma), where n are looked at; the one here counts the rest.
    """
    for i, there in enumerate(sigmas[1:]):
        path = [sigma for sigma in sigmas[i : i + 1 + AHEAD] if sigma > 0]
        ahead, slopes = x, list["Tensor"]()
        for place, sigma in enumerate(path):
            denoised = denoise(ahead, sigma)
            slopes.append(slope(ahead, denoised, sigma))
            if place + 1 < len(path):
                ahead = advance(ahead, denoised, level(prediction, sigma), level(prediction, path[place + 1]))
        shares = [sigma / (len(path) * sigmas[0]) for sigma in path[1:]]
        mixed = slopes[0] * (1 - sum(shares))
        for each, share in zip(slopes[1:], shares, strict=True):
            mixed = mixed + each * share
        x = x + mixed * (there - sigmas[i])
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer HeunPP2."""
    return [Sampler("HeunPP2", heunpp2, ("heunpp2",), order=3)]
