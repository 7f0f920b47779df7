"""DEIS (Zhang and Chen 2022, "Fast Sampling of Diffusion Models with Exponential Integrator"), tAB of order three.

The slope is extrapolated as a polynomial in the time of the variance-preserving SDE of Song et al. 2021, and integrated
over sigma. As in zju-pi's diff-sampler, which others took it from, that time is of an SDE whose sigma goes from 0.002
at 0.001 to 80 at 1, whatever the network was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, pairs, slope

if TYPE_CHECKING:
    from torch import Tensor

ORDER = 3
POINTS = 32  # at which an integral is taken: beyond what a float can tell
_EARLY = 0.001
_GROWTH = tuple(float(np.log1p(sigma**2)) for sigma in (0.002, 80.0))  # log(1 + sigma^2) at _EARLY and at 1
BETA_D = 2 * (_GROWTH[0] / _EARLY - _GROWTH[1]) / (_EARLY - 1)
BETA_MIN = _GROWTH[1] - BETA_D / 2


def deis(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Extrapolate the last three slopes; the first step and the last one, to 0, are of first order."""
    slopes: list[Tensor] = []
    for i, (here, there) in enumerate(pairs(prediction, sigmas)):
        denoised = denoise(x, here.sigma)
        slopes = [slope(x, denoised, here.sigma), *slopes[: ORDER - 1]]
        if there.sigma == 0 or len(slopes) == 1:
            x = advance(x, denoised, here, there)
            continue
        weights = _weights([sigmas[i - j] for j in range(len(slopes))], there.sigma)
        for each, weight in zip(slopes, weights, strict=True):
            x = x + each * weight
    return x


def _weights(nodes: Sequence[float], end: float) -> list[float]:
    """Integrate from nodes[0] to `end` each Lagrange polynomial in time, 1 at one node and 0 at the others."""
    places, shares = leggauss(POINTS)
    start = nodes[0]
    times = _time((start + end) / 2 + places * (end - start) / 2)
    own = _time(np.asarray(nodes))
    weights = []
    for j in range(len(nodes)):
        others = np.delete(own, j)
        polynomial = np.prod((times[:, None] - others) / (own[j] - others), axis=1)
        weights.append(float((shares * polynomial).sum() * (end - start) / 2))
    return weights


def _time(sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return when the SDE is at these levels: log(1 + sigma^2) = BETA_D t^2 / 2 + BETA_MIN t."""
    found: NDArray[np.float64] = (np.sqrt(BETA_MIN**2 + 2 * BETA_D * np.log1p(sigmas**2)) - BETA_MIN) / BETA_D
    return found


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DEIS."""
    return [Sampler("DEIS", deis, ("deis",))]
