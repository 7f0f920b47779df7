"""DDIM (Song et al. 2020, eq. 12) and DDIM CFG++ (Chung et al. 2024, algorithm 2), in the coordinates of sigma."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from modules.hooks import hookimpl
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise, Sampler, StepNoise
from modules.sampling.steps import advance, pairs, split

if TYPE_CHECKING:
    from torch import Tensor

FULL = 12.5  # the scale of guidance that is the paper's lambda of 1, as A1111 has it


def ddim(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    prediction: Prediction,
    noise: StepNoise,
    eta_ddim: float = 0.0,
) -> Tensor:
    """Step along the guess; `eta_ddim` 0..1 goes from deterministic to DDPM's noise.

    In these coordinates the paper's sigma(eta) is the ancestral split. Where the original ends at timestep 1 after
    one step less than asked for, this goes on to sigma 0 in the asked number of steps (see the DDIM schedule).
    """
    for here, there in pairs(prediction, sigmas):
        down, up = split(here, there, eta_ddim)
        x = advance(x, denoise(x, here.sigma), here, down)
        if up:
            x = x + noise(x, here.sigma, there.sigma) * up
    return x


def plus(sigmas: Sequence[float], prediction: Prediction, eta_ddim: float = 0.0) -> Callable[[float], float]:
    """Return by what the scale of guidance is multiplied at each level, so that DDIM under it is CFG++.

    CFG++ takes the picture from the guess with guidance, U + lambda (C - U), but the noise from the one without, U:
    x' = alpha' (U + lambda (C - U)) + sigma' (x - alpha U) / sigma. That is DDIM's step with the scale
    lambda / (1 - alpha sigma' / (alpha' sigma)), so no sampler needs to know of two guesses.
    """
    strengths = {}
    for here, there in pairs(prediction, sigmas):
        down, _ = split(here, there, eta_ddim)
        strengths[here.sigma] = 1 / FULL / (1 - here.alpha * down.sigma / (down.alpha * here.sigma))
    return lambda sigma: strengths[min(strengths, key=lambda known: abs(known - sigma))]


@hookimpl
def samplers() -> list[Sampler]:
    """Offer DDIM and DDIM CFG++."""
    own = frozenset({"eta_ddim"})
    return [
        Sampler("DDIM", ddim, ("ddim",), "DDIM", noise="ancestral", takes=own),
        Sampler("DDIM CFG++", ddim, ("ddim_cfgpp",), "DDIM", noise="ancestral", takes=own, guidance=plus),
    ]
