"""A data distribution whose perfect denoiser and exact answer are known: every element is normal.

For x0 ~ N(mean, deviation^2) the posterior mean is linear in x, and along the probability-flow ODE the distance from
the mean in units of the deviation stays what it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from modules.sampling.prediction import Eps, Flow, Prediction
from modules.sampling.sampler import Denoise

PATHS: dict[str, Prediction] = {"diffusion": Eps(), "flow": Flow(), "flow, shifted": Flow(shift=3.0)}


@dataclass(frozen=True)
class Gaussian:
    mean: float = 0.3
    deviation: float = 0.7

    def denoiser(self, prediction: Prediction) -> Denoise:
        """The perfect guess of x0: its posterior mean."""

        def denoise(x: Tensor, sigma: float) -> Tensor:
            alpha, variance = prediction.alpha(sigma), self.deviation**2
            gain = alpha * variance / (alpha**2 * variance + sigma**2)
            return self.mean + (x - alpha * self.mean) * gain

        return denoise

    def consistent(self, prediction: Prediction) -> Denoise:
        """What a consistency model says: the end of the path through x."""
        return lambda x, sigma: self.follow(prediction, x, sigma, 0.0)

    def follow(self, prediction: Prediction, x: Tensor, sigma: float, sigma_end: float) -> Tensor:
        """The exact solution of the ODE from `sigma` to `sigma_end`."""
        alpha, alpha_end = prediction.alpha(sigma), prediction.alpha(sigma_end)
        distance = (x - alpha * self.mean) / math.hypot(alpha * self.deviation, sigma)
        return alpha_end * self.mean + distance * math.hypot(alpha_end * self.deviation, sigma_end)
