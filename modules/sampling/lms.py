"""The linear multistep method of k-diffusion: Adams-Bashforth of order four on uneven levels of noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, lagrange_weight, pairs, slope

if TYPE_CHECKING:
    from torch import Tensor


def lms(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise, order: int = 4
) -> Tensor:
    """Integrate the polynomial through the last `order` (1..4) slopes; the last step to 0 included."""
    slopes: list[Tensor] = []
    for i, (here, there) in enumerate(pairs(prediction, sigmas)):
        denoised = denoise(x, here.sigma)
        slopes = [slope(x, denoised, here.sigma), *slopes[: order - 1]]
        if len(slopes) == 1:
            x = advance(x, denoised, here, there)
            continue
        nodes = [sigmas[i - j] for j in range(len(slopes))]
        for j, each in enumerate(slopes):
            x = x + each * lagrange_weight(nodes, j, there.sigma)
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer LMS."""
    return [Sampler("LMS", lms, ("k_lms",))]
