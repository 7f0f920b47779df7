"""What tempers guidance: steps that go without the negative prompt, and contrast brought back to the prompt's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from modules.engine.conditioning import picked
from modules.engine.guidance import Call, CallsAt, Temper
from modules.request import Guidance
from modules.sampling.prediction import Prediction


def sparing(calls: CallsAt, asked: Guidance, total: int, counter: Iterator[int]) -> CallsAt:
    """Return `calls` without their negative prompts where `asked` says so: those rows are not computed at all.

    `counter` counts the sampler's calls, from 0, of `total` in a pass, as A1111 does, whoever answers them. Spared are
    the first ones up to the share `skip_early`, that share included, and, below the noise level `s_min_uncond`, every
    other one or all of them (negative guidance minimum sigma). A network that follows a picture is always asked
    everything.
    """
    if not asked.skip_early and not asked.s_min_uncond:
        return calls

    def at(sigma: float) -> Sequence[Call]:
        count = next(counter)
        early = asked.skip_early > 0 and count <= asked.skip_early * total
        below = sigma < asked.s_min_uncond and (asked.s_min_uncond_all or count % 2 == 1)
        return [_spared(call) for call in calls(sigma)] if early or below else calls(sigma)

    return at


def _spared(call: Call) -> Call:
    """Return `call` with the rows of its prompts alone."""
    prompts = len(call.weights)
    if call.rows != prompts + 1:
        return call
    places = [place for place in range(len(call.pictures) * call.rows) if place % call.rows < prompts]
    lengths = tuple(call.lengths[place] for place in places) if call.lengths else ()
    return replace(call, conditioning=picked(call.conditioning, places), rows=prompts, lengths=lengths)


def rescaling(asked: Guidance, prediction: Prediction) -> Temper | None:
    """Return what brings the contrast that guidance adds back, by the share `rescale`; None where nothing is asked.

    The guided velocity is made to deviate as much as the unguided one, in each picture by itself, and mixed with
    itself as it was (Lin et al. 2023, eq. 15 and 16; phi is the share). A network that says something else than the
    velocity is taken at what that would be.
    """
    phi = asked.rescale
    if not phi:
        return None

    def temper(x: Tensor, sigma: float, plain: Tensor, found: Tensor) -> Tensor:
        alpha = prediction.alpha(sigma)
        middle = x * (alpha / (alpha * alpha + sigma * sigma))  # the clean latent that a velocity of 0 means
        ratio = _deviation(middle - plain) / _deviation(middle - found)
        return torch.lerp(found, middle + ratio * (found - middle), phi)

    return temper


def _deviation(latents: Tensor) -> Tensor:
    return latents.std(dim=(1, 2, 3), keepdim=True)
