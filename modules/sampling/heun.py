"""Heun's method (Karras et al. 2022, algorithm 1 and 2): each step is taken twice, with the mean of both slopes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import CHURN, Denoise, Sampler, StepNoise
from modules.sampling.steps import Churn, churned, heun_step, pairs

if TYPE_CHECKING:
    from torch import Tensor


def heun(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise, **own: float
) -> Tensor:
    """Take Heun's step from each level to the next; `own` numbers are those of a `Churn`."""
    churn = Churn(**own)
    for here, there in pairs(prediction, sigmas):
        x, here = churn.begin(x, here, there, len(sigmas) - 1, prediction, noise)
        x = heun_step(denoise, x, here, there)
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer Heun."""
    return [Sampler("Heun", heun, ("k_heun",), order=2, takes=CHURN, levels=churned)]
