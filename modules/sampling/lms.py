"""The linear multistep method of k-diffusion: Adams-Bashforth of order four on uneven levels of noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, pairs, slope

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
            x = x + each * _weight(nodes, j, there.sigma)
    return x


def _weight(nodes: Sequence[float], j: int, end: float) -> float:
    """Integrate from nodes[0] to `end` the Lagrange polynomial that is 1 at nodes[j] and 0 at the other nodes.

    Simpson's rule, which is exact up to degree three, that is for four nodes.
    """

    def lagrange(sigma: float) -> float:
        value = 1.0
        for k, node in enumerate(nodes):
            if k != j:
                value *= (sigma - node) / (nodes[j] - node)
        return value

    start = nodes[0]
    return (end - start) / 6 * (lagrange(start) + 4 * lagrange((start + end) / 2) + lagrange(end))


@hookimpl
def samplers() -> list[Sampler]:
    """Offer LMS."""
    return [Sampler("LMS", lms, ("k_lms",))]
