"""The heart: which callable is wrapped round which. The order of everything is here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

import torch
from torch import Tensor

from modules.controls.control import Ring
from modules.engine.guidance import CallsAt, Predict, guided, steady
from modules.engine.incomplete import Last
from modules.engine.job import Job, Rings
from modules.engine.latents import Start
from modules.engine.masking import keeping
from modules.engine.memory import roomy
from modules.engine.refining import Handover, IsTime, handed_on
from modules.engine.relay import Relay
from modules.engine.report import Report, heeding
from modules.engine.tempering import rescaling, sparing
from modules.engine.tiling import Mosaic, Window, gathered, joined, seeing
from modules.engine.watched import ALL, Part, watched
from modules.errors import BrokenPicture
from modules.plugins import onion
from modules.request import Guidance
from modules.sampling.sampler import Denoise


@dataclass(frozen=True)
class Turn:
    """Who answers: a network, the calls it gets at each level, and the controls of each tile, or of the whole."""

    predict: Predict
    calls: CallsAt
    controls: Sequence[Sequence[Ring]] = ((),)


Take = Callable[[], Turn]
"""Borrows who answers from now on."""


def denoise(
    job: Job,
    rings: Rings,
    relay: Relay,
    take: Take,
    begin: Start,
    report: Report,
    preview_every: int,
    windows: Sequence[Window] = (),
    counted: Part = ALL,
    then: tuple[IsTime, Take] | None = None,
    last: Last | None = None,
) -> Tensor:
    """Return the clean latents (B, C, h, w) of a batch that starts from `begin`.

    `take` has `relay` borrow the model that answers; `then` says when another does in its place. With `windows` each
    network call sees one of these tiles; they become one at every step or at the end, as the job says. `counted` says
    what of the work it is, and `last` remembers how far it came.

    Raises `BrokenPicture` when not-a-number comes out, `OutOfMemory`, and `Cancelled` when a person wants no more.
    """
    device = begin.latents.device
    asked = job.request.guidance or Guidance()

    def answering(take: Take, place: int | None, counter: Iterator[int]) -> Denoise:
        turn = take()
        network = heeding(roomy(turn.predict, device, job), report)
        # The controls' own networks need room, too.
        predicts = [roomy(onion(network, each), device, job) for each in turn.controls]
        if place is not None:
            predict = seeing(predicts[place], windows[place])
        else:
            predict = joined(predicts, windows) if windows else predicts[0]
        predict = onion(predict, rings.predict)
        told, prediction = job.sampler.guidance, relay.model.prediction
        calls = turn.calls
        stretch: Callable[[float], float] = steady
        if told is None:
            calls = sparing(calls, asked, job.sampler.order * (len(begin.sigmas) - 1), counter)
        else:  # such a sampler needs both answers at every level
            stretch = told(begin.sigmas, prediction)
        temper = rescaling(asked, prediction)
        return guided(predict, calls, job.request.cfg_scale, job.image_scale, stretch, temper)

    def solved(begin: Start, part: Part = counted, place: int | None = None) -> Tensor:
        counter = count()
        later = None if then is None else Handover(then[0], partial(answering, then[1], place, counter))
        step = handed_on(partial(answering, take, place, counter), later)
        model = relay.model
        prediction, latent = model.prediction, model.latent
        del model
        step = keeping(step, begin.kept) if begin.kept else step
        levels = job.sampler.levels(begin.sigmas, prediction)
        step = watched(step, job, levels, latent, report, preview_every, part)
        step = last.noting(step, levels, part) if last else step
        step = onion(step, rings.denoise)
        return job.sampler.run(step, begin.latents, begin.sigmas, prediction, begin.noise)

    if job.one_by_one:
        mosaic = Mosaic(begin.latents if begin.clean is None else begin.clean)
        parts = [Part(place, len(windows), whole=mosaic.put(window)) for place, window in enumerate(windows)]
        tiles = [solved(begin.within(windows[part.place]), part, part.place) for part in parts]
        clean = gathered(tiles, windows, begin.latents)
    else:
        clean = solved(begin)
    clean = begin.kept.blended(clean) if begin.kept else clean
    if not bool(torch.isfinite(clean).all()):
        raise BrokenPicture("broken_latents", dtype=str(relay.model.dtype).removeprefix("torch."))
    return clean
