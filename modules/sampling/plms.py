"""PLMS (Liu et al. 2022, pseudo linear multistep of order four), in the coordinates of sigma."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import ADAMS_BASHFORTH, advance, pairs, slope

if TYPE_CHECKING:
    from torch import Tensor


def plms(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Mix the last four slopes with Adams-Bashforth weights, as if the levels were evenly spaced.

    The first step is Heun's and calls the network twice. The step to 0, which the original leaves out (it ends at
    timestep 1), follows the last guess alone.
    """
    slopes: list[Tensor] = []
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        slopes = [slope(x, denoised, here.sigma), *slopes[:3]]
        ahead = advance(x, denoised, here, there)
        if there.sigma == 0:
            x = ahead
        elif len(slopes) == 1:
            there_too = slope(ahead, denoise(ahead, there.sigma), there.sigma)
            x = x + (slopes[0] + there_too) * ((there.sigma - here.sigma) / 2)
        else:
            for each, weight in zip(slopes, ADAMS_BASHFORTH[len(slopes) - 2], strict=True):
                x = x + each * (weight * (there.sigma - here.sigma))
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer PLMS."""
    return [Sampler("PLMS", plms, ("plms",), "DDIM")]
