"""When another model takes over, and how (A1111's "refiner").

The same denoising goes on, and only who is asked is another: the sampler notices nothing, and what it remembers of
earlier steps stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from modules.engine.job import Job
from modules.engine.timeline import step_of
from modules.request import Refiner
from modules.sampling.prediction import Prediction
from modules.sampling.sampler import Denoise

LEVELS = 1000  # of noise, by which A1111 counts how much is done

IsTime = Callable[[float], bool]
"""sigma -> whether the other model answers from this call on."""


@dataclass(frozen=True)
class Handover:
    """When another takes over from the one before, and what makes it answer."""

    is_time: IsTime
    take: Callable[[], Denoise]


def taking_over(refiner: Refiner, sigmas: Sequence[float], prediction: Prediction) -> IsTime:
    """Return what says whether so much is done that `refiner` takes over, given the levels of a run.

    By "timesteps" a level is as far as the network's timestep says: (999 - t) / 1000. By "steps" it is as far as the
    steps before the one it lies in.
    """
    if refiner.switch_by == "steps":
        step = step_of(sigmas)
        steps = max(1, len(sigmas) - 1)
        return lambda sigma: (step(sigma) - 1) / steps >= refiner.switch_at
    return lambda sigma: (LEVELS - 1 - round(prediction.timestep(sigma))) / LEVELS >= refiner.switch_at


def takes_part(job: Job, second: bool) -> bool:
    """Return whether the refiner of `job` may take over in its second pass, or in its first."""
    refiner = job.request.refiner
    if refiner is None:
        return False
    return job.request.hires is None or refiner.passes in ("both", "second" if second else "first")


def handed_on(take: Callable[[], Denoise], then: Handover | None) -> Denoise:
    """Return the denoiser of `take`, which `then` takes the place of from its time on.

    The one before is let go of first: what it held may have to go for the other. It does not come back in this run,
    whatever noise a sampler adds.
    """
    step: Denoise | None = take()
    waiting = then

    def asked(x: Tensor, sigma: float) -> Tensor:
        nonlocal step, waiting
        if waiting is not None and waiting.is_time(sigma):
            step = None
            step = waiting.take()
            waiting = None
        assert step is not None
        return step(x, sigma)

    return asked
