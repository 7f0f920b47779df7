"""The contract of a sampler: a function of a denoiser.

Adding one is a file beside this one with a module-level `samplers` hook; `tests/test_variants.py` then covers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from modules.sampling.prediction import Prediction

if TYPE_CHECKING:
    from torch import Tensor

Denoise = Callable[["Tensor", float], "Tensor"]
"""(x, sigma) -> x0: the clean latent as guessed now; x is (B, C, h, w)."""

NoiseKind = Literal["none", "ancestral", "brownian"]


class StepNoise(Protocol):
    """What a sampler draws its noise from."""

    def __call__(self, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        """Return unit normal noise like `x` (shape, dtype, device) for the step from `sigma` to `sigma_next`.

        Each image of the batch has its own stream, so a picture does not depend on its batch.
        """
        ...


Run = Callable[["Denoise", "Tensor", Sequence[float], Prediction, StepNoise], "Tensor"]
"""(denoise, x, sigmas, prediction, noise) -> x at the last sigma; x starts at the first."""


@dataclass(frozen=True)
class Sampler:
    """A way from noise to a picture.

    `run` visits falling `sigmas` (the last is usually 0) and keeps its history in local variables only, so that an
    exception out of `denoise` leaves nothing behind. `schedule` is the label of the schedule meant by "Automatic".
    `order` counts network calls per step. `noise` says which `StepNoise` it wants. With `discard_penultimate` a
    schedule of one more step is made and its lowest positive sigma left out.
    """

    name: str
    run: Run
    aliases: tuple[str, ...] = ()
    schedule: str = "Uniform"
    order: int = 1
    noise: NoiseKind = "none"
    discard_penultimate: bool = False
