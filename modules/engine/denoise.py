"""The heart: which callable is wrapped round which. The order of everything is here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.controls.control import Ring
from modules.engine.guidance import Call, guided
from modules.engine.job import Job, Rings
from modules.engine.memory import roomy
from modules.engine.report import Report, heeding
from modules.engine.watched import watched
from modules.errors import BrokenPicture
from modules.families.family import Model
from modules.plugins import onion
from modules.sampling.sampler import StepNoise


def denoise(
    job: Job,
    rings: Rings,
    model: Model,
    calls: Sequence[Call],
    latents: Tensor,
    sigmas: Sequence[float],
    noise: StepNoise,
    report: Report,
    preview_every: int,
    controls: Sequence[Ring] = (),
) -> Tensor:
    """Return the clean latents (B, C, h, w) of a batch that starts from `latents` at `sigmas[0]`.

    Raises `BrokenPicture` when not-a-number comes out, `OutOfMemory`, and `Cancelled` when a person wants no more.
    """
    predict = heeding(roomy(model.predict, model.device, job), report)
    predict = roomy(onion(predict, controls), model.device, job)  # their own networks need room, too
    predict = onion(predict, rings.predict)
    step = guided(predict, calls, job.request.cfg_scale)
    step = watched(step, job, sigmas, model.latent, report, preview_every)
    step = onion(step, rings.denoise)
    clean = job.sampler.run(step, latents, sigmas, model.prediction, noise)
    if not bool(torch.isfinite(clean).all()):
        raise BrokenPicture("broken_latents", dtype=str(model.dtype).removeprefix("torch."))
    return clean
