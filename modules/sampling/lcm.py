"""The sampler of latent consistency models (Luo et al. 2023, algorithm 3): guess, then noise the guess again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import pairs

if TYPE_CHECKING:
    from torch import Tensor


def lcm(denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise) -> Tensor:
    """Take each guess as the picture and bring it to the next level with fresh noise."""
    for here, there in pairs(prediction, sigmas):
        x = denoise(x, here.sigma) * there.alpha
        if there.sigma > 0:
            x = x + noise(x, here.sigma, there.sigma) * there.sigma
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer LCM."""
    return [Sampler("LCM", lcm, ("k_lcm",), noise="ancestral")]
