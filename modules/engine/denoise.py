"""The heart: which callable is wrapped round which. The order of everything is here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modules.controls.control import Ring
from modules.engine.guidance import CallsAt, Predict, guided
from modules.engine.job import Job, Rings
from modules.engine.latents import Start
from modules.engine.masking import keeping
from modules.engine.memory import roomy
from modules.engine.report import Report, heeding
from modules.engine.tempering import rescaling, sparing
from modules.engine.tiling import Mosaic, Window, gathered, joined, seeing
from modules.engine.watched import ALL, Part, watched
from modules.errors import BrokenPicture
from modules.families.family import Model
from modules.plugins import onion
from modules.request import Guidance


def denoise(
    job: Job,
    rings: Rings,
    model: Model,
    calls: CallsAt,
    begin: Start,
    report: Report,
    preview_every: int,
    controls: Sequence[Sequence[Ring]] = ((),),
    windows: Sequence[Window] = (),
    counted: Part = ALL,
) -> Tensor:
    """Return the clean latents (B, C, h, w) of a batch that starts from `begin`.

    With `windows` each network call sees one of these tiles; they become one at every step or at the end, as the job
    says. `controls` are those of each tile, or of the whole. `counted` says what of the work it is.

    Raises `BrokenPicture` when not-a-number comes out, `OutOfMemory`, and `Cancelled` when a person wants no more.
    """
    asked = job.request.guidance or Guidance()
    network = heeding(roomy(model.predict, model.device, job), report)
    # The controls' own networks need room, too.
    predicts = [roomy(onion(network, each), model.device, job) for each in controls]

    def solved(predict: Predict, begin: Start, part: Part = counted) -> Tensor:
        predict = onion(predict, rings.predict)
        spared = sparing(calls, asked, job.sampler.order * (len(begin.sigmas) - 1))
        step = guided(predict, spared, job.request.cfg_scale, job.image_scale, rescaling(asked, model.prediction))
        step = keeping(step, begin.kept) if begin.kept else step
        step = watched(step, job, begin.sigmas, model.latent, report, preview_every, part)
        step = onion(step, rings.denoise)
        return job.sampler.run(step, begin.latents, begin.sigmas, model.prediction, begin.noise)

    if job.one_by_one:
        mosaic = Mosaic(begin.latents if begin.clean is None else begin.clean)
        parts = [Part(place, len(windows), whole=mosaic.put(window)) for place, window in enumerate(windows)]
        each = zip(predicts, windows, parts, strict=True)
        tiles = [solved(seeing(way, window), begin.within(window), part) for way, window, part in each]
        clean = gathered(tiles, windows, begin.latents)
    else:
        clean = solved(joined(predicts, windows) if windows else predicts[0], begin)
    clean = begin.kept.blended(clean) if begin.kept else clean
    if not bool(torch.isfinite(clean).all()):
        raise BrokenPicture("broken_latents", dtype=str(model.dtype).removeprefix("torch."))
    return clean
