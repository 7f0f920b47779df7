"""iPNDM (Zhang and Chen 2022): Adams-Bashforth of order four on the slope, with a step of Euler's to begin.

"IPNDM" weighs as if the levels were evenly spaced; "IPNDM_V" as they are. Both end with the last guess alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import ADAMS_BASHFORTH, advance, lagrange_weight, pairs, slope

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 4


def ipndm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Mix the last four slopes with weights for even steps."""
    slopes: list[Tensor] = []
    for here, there in pairs(prediction, sigmas):
        denoised = denoise(x, here.sigma)
        slopes = [slope(x, denoised, here.sigma), *slopes[: ORDER - 1]]
        if there.sigma == 0 or len(slopes) == 1:
            x = advance(x, denoised, here, there)
            continue
        for each, weight in zip(slopes, ADAMS_BASHFORTH[len(slopes) - 2], strict=True):
            x = x + each * (weight * (there.sigma - here.sigma))
    return x


def ipndm_v(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Integrate the polynomial through the last four slopes: LMS, but for its last step."""
    slopes: list[Tensor] = []
    for i, (here, there) in enumerate(pairs(prediction, sigmas)):
        denoised = denoise(x, here.sigma)
        slopes = [slope(x, denoised, here.sigma), *slopes[: ORDER - 1]]
        if there.sigma == 0 or len(slopes) == 1:
            x = advance(x, denoised, here, there)
            continue
        nodes = [sigmas[i - j] for j in range(len(slopes))]
        for j, each in enumerate(slopes):
            x = x + each * lagrange_weight(nodes, j, there.sigma)
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer IPNDM and IPNDM_V."""
    return [Sampler("IPNDM", ipndm, ("ipndm",)), Sampler("IPNDM_V", ipndm_v, ("ipndm_v",))]
