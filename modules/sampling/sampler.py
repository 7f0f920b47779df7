"""The contract of a sampler: a function of a denoiser.

Adding one is a file beside this one with a module-level `samplers` hook; `tests/test_variants.py` then covers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, Protocol

from modules.request import Sampling
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


Run = Callable[..., "Tensor"]
"""(denoise, x, sigmas, prediction, noise) -> x at the last sigma; x starts at the first.

What it `takes` besides, it takes by name, with defaults that are the published algorithm.
"""

Levels = Callable[..., Sequence[float]]
"""(sigmas, prediction) -> n + 1 levels: where each of the n steps begins, in the order they are taken, and the end."""

Guidance = Callable[..., Callable[[float], float]]
"""(sigmas, prediction) -> (sigma -> by what the scale of guidance is multiplied there)."""

CHURN = frozenset({"s_churn", "s_tmin", "s_tmax", "s_noise"})  # of Karras et al. 2022, algorithm 2


def as_scheduled(sigmas: Sequence[float], prediction: Prediction, **own: float | str) -> Sequence[float]:
    """Return `sigmas`: the steps of most samplers are those of the schedule."""
    return sigmas


@dataclass(frozen=True)
class Sampler:
    """A way from noise to a picture.

    `run` visits falling `sigmas` (the last is usually 0) and keeps its history in local variables only, so that an
    exception out of `denoise` leaves nothing behind. `schedule` is the label of the schedule meant by "Automatic".
    `order` counts network calls per step. `noise` says which `StepNoise` it wants. With `discard_penultimate` a
    schedule of one more step is made and its lowest positive sigma left out.

    `takes` names the numbers of `request.Sampling` that `run`, `levels` and `guidance` take by name. `levels` are for
    what is told and said from step to step; they may go up again. An `adaptive` sampler chooses its steps by the
    picture it sees, so it sees one at a time, and its levels say no more than how far it is. `guidance` is for a
    sampler that follows the prompt more at one level than at another.

    `spaced_by` names a choice of `request.Sampling` that says which schedule "Automatic" means; `spacings` are the
    labels by that.
    """

    name: str
    run: Run
    aliases: tuple[str, ...] = ()
    schedule: str = "Uniform"
    order: int = 1
    noise: NoiseKind = "none"
    discard_penultimate: bool = False
    takes: frozenset[str] = frozenset()
    levels: Levels = as_scheduled
    guidance: Guidance | None = None
    adaptive: bool = False
    spaced_by: str = ""
    spacings: Mapping[str, str] = field(default_factory=dict, hash=False)

    def tuned(self, asked: Sampling | None) -> Sampler:
        """Return the sampler with the numbers that are `asked` for, as far as it takes them."""
        if asked is None:
            return self
        own = {name: value for name, value in asked.numbers.items() if name in self.takes}
        return replace(
            self,
            run=partial(self.run, **own),
            levels=partial(self.levels, **own),
            guidance=partial(self.guidance, **own) if self.guidance is not None else None,
            noise="ancestral" if self.noise == "none" and own.get("s_churn") else self.noise,
            discard_penultimate=self.discard_penultimate or asked.discard_penultimate,
            schedule=self.spacings.get(getattr(asked, self.spaced_by, ""), self.schedule),
        )
