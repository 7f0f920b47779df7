"""The heart: which callable is wrapped round which. The order of everything is here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.controls.control import Ring
from modules.engine.guidance import CallsAt, guided
from modules.engine.job import Job, Rings
from modules.engine.latents import Start
from modules.engine.masking import keeping
from modules.engine.memory import roomy
from modules.engine.report import Report, heeding
from modules.engine.watched import watched
from modules.errors import BrokenPicture
from modules.families.family import Model
from modules.plugins import onion


def denoise(
    job: Job,
    rings: Rings,
    model: Model,
    calls: CallsAt,
    begin: Start,
    report: Report,
    preview_every: int,
    controls: Sequence[Ring] = (),
) -> Tensor:
    """Return the clean latents (B, C, h, w) of a batch that starts from `begin`.

    Raises `BrokenPicture` when not-a-number comes out, `OutOfMemory`, and `Cancelled` when a person wants no more.
    """
    predict = heeding(roomy(model.predict, model.device, job), report)
    predict = roomy(onion(predict, controls), model.device, job)  # their own networks need room, too
    predict = onion(predict, rings.predict)
    step = guided(predict, calls, job.request.cfg_scale, job.image_scale)
    step = keeping(step, begin.kept) if begin.kept else step
    step = watched(step, job, begin.sigmas, model.latent, report, preview_every)
    step = onion(step, rings.denoise)
    clean = job.sampler.run(step, begin.latents, begin.sigmas, model.prediction, begin.noise)
    clean = begin.kept.blended(clean) if begin.kept else clean
    if not bool(torch.isfinite(clean).all()):
        raise BrokenPicture("broken_latents", dtype=str(model.dtype).removeprefix("torch."))
    return clean
