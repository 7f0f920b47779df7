"""Arithmetic that samplers share: the exact step between two levels, ancestral noise, and the slope of the path.

With the guess D of the clean latent held, the probability-flow ODE has the exact step
`x' = x * (t / s) + D * (alpha_t - alpha_s * t / s)`, on the diffusion path and the flow path alike; nothing is divided
by alpha, so it holds at the start of a flow too (DPM-Solver++, Lu et al. 2022, eq. 9, with its exponentials resolved).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, StepNoise

if TYPE_CHECKING:
    from torch import Tensor


class Level(NamedTuple):
    """A level of noise: x = alpha * x0 + sigma * noise."""

    alpha: float
    sigma: float

    @property
    def log_snr(self) -> float:
        """log(alpha / sigma), the papers' lambda: -inf for nothing but noise, inf for a clean latent."""
        if self.alpha <= 0:
            return -math.inf
        if self.sigma <= 0:
            return math.inf
        return math.log(self.alpha) - math.log(self.sigma)


def level(prediction: Prediction, sigma: float) -> Level:
    """Return the level at `sigma`."""
    return Level(prediction.alpha(sigma), sigma)


def pairs(prediction: Prediction, sigmas: Sequence[float]) -> Iterator[tuple[Level, Level]]:
    """Yield (from, to) for every step of `sigmas`."""
    for sigma, sigma_next in pairwise(sigmas):
        yield level(prediction, sigma), level(prediction, sigma_next)


def advance(x: Tensor, denoised: Tensor, here: Level, there: Level) -> Tensor:
    """Return `x` taken from `here` to `there` while the guess `denoised` is held: the exact first-order step."""
    ratio = there.sigma / here.sigma
    return x * ratio + denoised * (there.alpha - here.alpha * ratio)


def slope(x: Tensor, denoised: Tensor, sigma: float) -> Tensor:
    """Return dx/dsigma of the probability-flow ODE, which is (x - D) / sigma for alpha = 1 and for alpha = 1 - sigma.

    Karras et al. 2022, eq. 3; for the flow path it is the velocity.
    """
    return (x - denoised) / sigma


# Of the slopes at the last two, three and four levels, as if these were evenly spaced; the newest is first.
ADAMS_BASHFORTH = ((3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def lagrange_weight(nodes: Sequence[float], j: int, end: float) -> float:
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


def middle(prediction: Prediction, here: Level, there: Level, part: float = 0.5) -> Level:
    """Return the level `part` of the way from `here` to `there` in log-SNR; neither may be an end of the path."""
    log_snr = here.log_snr + part * (there.log_snr - here.log_snr)
    return level(prediction, prediction.sigma_at(log_snr))


def split(here: Level, there: Level, eta: float) -> tuple[Level, float]:
    """Split a step into a deterministic part and fresh noise: return the level to step down to, and the noise's sigma.

    For `eta` 1 it is the ancestral step (Karras' k-diffusion; DDPM's posterior), for 0 there is no noise. It is stated
    in sigma / alpha, so it is the same step on both paths; from nothing but noise all of the old noise is replaced.
    """
    if not eta or there.sigma == 0:
        return there, 0.0
    kept = here.alpha * there.sigma / (there.alpha * here.sigma)  # ratio of the two sigma / alpha; 0 where alpha is 0
    fresh = min(1.0, eta * math.sqrt(max(0.0, 1 - kept * kept)))
    rest = math.sqrt(max(0.0, 1 - eta * eta + eta * eta * kept * kept))  # sqrt(1 - fresh^2), without its cancellation
    return Level(there.alpha, there.sigma * rest), there.sigma * fresh


def raised(x: Tensor, here: Level, there: Level, fresh: Tensor) -> Tensor:
    """Return `x` brought from `here` up to the noisier level `there` with `fresh` unit normal noise."""
    kept = there.alpha / here.alpha
    return x * kept + fresh * math.sqrt(max(0.0, there.sigma**2 - (here.sigma * kept) ** 2))


def heun_step(denoise: Denoise, x: Tensor, here: Level, there: Level) -> Tensor:
    """Take a step, look at the slope there, and take it again with the mean; a step to 0 is Euler's."""
    denoised = denoise(x, here.sigma)
    ahead = advance(x, denoised, here, there)
    if there.sigma == 0:
        return ahead
    slopes = slope(x, denoised, here.sigma) + slope(ahead, denoise(ahead, there.sigma), there.sigma)
    return x + slopes * ((there.sigma - here.sigma) / 2)


@dataclass(frozen=True)
class Churn:
    """Noise added before a step (Karras et al. 2022, algorithm 2), at levels of `s_tmin` to `s_tmax`.

    `s_churn` is spread over the steps, `s_noise` is the deviation of what is added. From nothing but noise there is no
    way up.
    """

    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0

    def begin(
        self, x: Tensor, here: Level, there: Level, steps: int, prediction: Prediction, noise: StepNoise
    ) -> tuple[Tensor, Level]:
        """Return where the step from `here` to `there`, one of so many, begins instead.

        As in k-diffusion noise is drawn at every step, used or not, so that its pictures come out again.
        """
        if not self.s_churn:
            return x, here
        fresh = noise(x, here.sigma, there.sigma) * self.s_noise
        begun = self._level(here, steps, prediction)
        return (x, here) if begun is here else (raised(x, here, begun, fresh), begun)

    def levels(self, sigmas: Sequence[float], prediction: Prediction) -> list[float]:
        """Return where each step begins, and the end."""
        steps = len(sigmas) - 1
        return [*(self._level(here, steps, prediction).sigma for here, _ in pairs(prediction, sigmas)), sigmas[-1]]

    def _level(self, here: Level, steps: int, prediction: Prediction) -> Level:
        if not self.s_churn or not self.s_tmin <= here.sigma <= self.s_tmax or here.alpha == 0:
            return here
        gamma = min(self.s_churn / steps, math.sqrt(2) - 1)
        return level(prediction, prediction.sigma_at(here.log_snr - math.log1p(gamma)))


def churned(sigmas: Sequence[float], prediction: Prediction, **own: float) -> list[float]:
    """Return where the steps of a sampler begin that churns: the `levels` of its offer."""
    return Churn(**own).levels(sigmas, prediction)
