"""Classifier-free guidance (Ho and Salimans 2022): with the prompt and without it, in one network call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modules.controls.control import NEGATIVE
from modules.engine.conditioning import Encode, joined
from modules.families.family import Conditioning
from modules.request import Shot
from modules.sampling.sampler import Denoise

BESIDE = "beside"  # in `Conditioning.extra`: what the network reads beside the noisy latents
Predict = Callable[[Tensor, float, Conditioning], Tensor]


@dataclass(frozen=True)
class Call:
    """One network call of a step: which pictures of the batch, and their words.

    Each picture has `rows` rows of the conditioning: its prompt and, with guidance, its negative prompt after it; a
    third row, where a network follows a picture, is the negative prompt without that picture.
    """

    pictures: list[int]
    conditioning: Conditioning
    rows: int


def plan_calls(shots: Sequence[Shot], encode: Encode, scale: float, together: bool, rows: int = 0) -> list[Call]:
    """Return the network calls of a step, so that no picture's answer depends on the batch it is in.

    Guidance of 1 is the prompt's own answer: the negative prompt is neither encoded nor called, unless `rows` asks for
    more. Pictures share a call when they are `together` and their words fill equally many chunks; filling up a shorter
    prompt for the sake of another picture would change it.
    """
    rows = rows or (1 if scale == 1 else 2)
    groups: dict[int, list[tuple[int, Conditioning]]] = {}
    for place, shot in enumerate(shots):
        words = encode((shot.prompt, *[shot.negative_prompt] * (rows - 1)))
        groups.setdefault(words.context.shape[1] if together else place, []).append((place, words))
    return [
        Call([place for place, _ in group], _marked(joined([words for _, words in group]), rows), rows)
        for group in groups.values()
    ]


def _marked(conditioning: Conditioning, rows: int) -> Conditioning:
    """Return `conditioning` with the rows of negative prompts marked, which some controls leave alone."""
    negative = torch.arange(len(conditioning.context), device=conditioning.context.device) % rows
    return replace(conditioning, extra={**conditioning.extra, NEGATIVE: negative[:, None]})


def beside(calls: Sequence[Call], picture: Tensor) -> list[Call]:
    """Return the calls of a network that also reads `picture` (1, further, h, w); a third row is without it."""
    told = []
    for call in calls:
        rows = [picture, picture, torch.zeros_like(picture)][: call.rows]
        extra = {**call.conditioning.extra, BESIDE: torch.cat(rows).repeat(len(call.pictures), 1, 1, 1)}
        told.append(replace(call, conditioning=replace(call.conditioning, extra=extra)))
    return told


def guided(predict: Predict, calls: Sequence[Call], scale: float, image_scale: float = 1.0) -> Denoise:
    """Return the denoiser that answers `without + scale * (with - without)` for each picture of the batch.

    With three rows `image_scale` says how much the picture counts that is followed (Brooks et al. 2023, eq. 3).
    """

    def step(x: Tensor, sigma: float) -> Tensor:
        answer = torch.empty_like(x)
        for call in calls:
            said = predict(x[call.pictures].repeat_interleave(call.rows, dim=0), sigma, call.conditioning)
            if call.rows == 2:
                wanted, unwanted = said[0::2], said[1::2]
                said = unwanted + scale * (wanted - unwanted)
            elif call.rows == 3:
                wanted, seen, nothing = said[0::3], said[1::3], said[2::3]
                said = nothing + scale * (wanted - seen) + image_scale * (seen - nothing)
            answer[call.pictures] = said
        return answer

    return step
