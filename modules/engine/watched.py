"""The ring that tells how far a batch is, and shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from modules.engine.job import Job
from modules.engine.preview import preview
from modules.engine.report import Report
from modules.engine.timeline import step_of
from modules.events import Preview, Step
from modules.families.family import LatentFormat
from modules.sampling.sampler import Denoise

SECONDS_BETWEEN = 0.25  # a page asks twice a second; on a small model each preview would cost a twentieth of a step


def _itself(guess: Tensor) -> Tensor:
    return guess


@dataclass(frozen=True)
class Part:
    """What is watched of a batch: the part `place` of `parts`; `whole` makes of a guess of it one of all.

    `before` and `after` are steps of other passes over the picture.
    """

    place: int = 0
    parts: int = 1
    before: int = 0
    after: int = 0
    whole: Callable[[Tensor], Tensor] = _itself


ALL = Part()


def watched(
    denoise: Denoise,
    job: Job,
    sigmas: Sequence[float],
    latent: LatentFormat,
    report: Report,
    preview_every: int,
    part: Part = ALL,
    clock: Callable[[], float] = time.monotonic,
) -> Denoise:
    """Return `denoise` that tells `Step` once for each step, and `Preview` every `preview_every` of them (0: never).

    A sampler may call several times within a step, at levels in between: the step is the one its `sigma` lies in. Where
    this is but a `part` of the work, the steps of all parts are counted.
    """
    steps = len(sigmas) - 1
    place = step_of(sigmas)
    told = 0
    shown = -SECONDS_BETWEEN + clock()

    def step(x: Tensor, sigma: float) -> Tensor:
        nonlocal told, shown
        answer = denoise(x, sigma)
        done = place(sigma)
        if done <= told:
            return answer
        told = done
        first = job.shots[0].index
        at, of = part.before + part.place * steps + done, part.before + part.parts * steps + part.after
        report.tell(Step(image=first, batch=len(job.shots), images=job.images, step=at, steps=of))
        if preview_every and done % preview_every == 0 and clock() - shown >= SECONDS_BETWEEN:
            for shot, guess in zip(job.shots, part.whole(answer), strict=True):
                report.tell(Preview(image=shot.index, webp=preview(guess, latent)))
            shown = clock()
        return answer

    return step
