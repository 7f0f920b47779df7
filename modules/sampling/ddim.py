"""DDIM (Song et al. 2020, eq. 12), in the coordinates of sigma."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, pairs, split

if TYPE_CHECKING:
    from torch import Tensor


def ddim(
    denoise: Denoise, x: Tensor, sigmas: Sequence[float], prediction: Prediction, noise: StepNoise, eta: float = 0.0
) -> Tensor:
    """Step along the guess; `eta` 0..1 goes from deterministic to DDPM's noise.

    In these coordinates the paper's sigma(eta) is the ancestral split. Where the original ends at timestep 1 after
    one step less than asked for, this goes on to sigma 0 in the asked number of steps (see the DDIM schedule).
    """
    for here, there in pairs(prediction, sigmas):
        down, up = split(here, there, eta)
        x = advance(x, denoise(x, here.sigma), here, down)
        if up:
            x = x + noise(x, here.sigma, there.sigma) * up
    return x


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DDIM."""
    return [Sampler("DDIM", ddim, ("ddim",), "DDIM", noise="ancestral")]
