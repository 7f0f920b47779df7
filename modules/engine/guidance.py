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

Predict = Callable[[Tensor, float, Conditioning], Tensor]


@dataclass(frozen=True)
class Call:
    """One network call of a step: which pictures of the batch, and their words.

    Each picture has `rows` rows of the conditioning: its prompt and, with guidance, its negative prompt after it.
    """

    pictures: list[int]
    conditioning: Conditioning
    rows: int


def plan_calls(shots: Sequence[Shot], encode: Encode, scale: float, together: bool) -> list[Call]:
    """Return the network calls of a step, so that no picture's answer depends on the batch it is in.

    Guidance of 1 is the prompt's own answer: the negative prompt is neither encoded nor called. Pictures share a call
    when they are `together` and their words fill equally many chunks; filling up a shorter prompt for the sake of
    another picture would change it.
    """
    groups: dict[int, list[tuple[int, Conditioning]]] = {}
    for place, shot in enumerate(shots):
        words = encode((shot.prompt,) if scale == 1 else (shot.prompt, shot.negative_prompt))
        groups.setdefault(words.context.shape[1] if together else place, []).append((place, words))
    rows = 1 if scale == 1 else 2
    return [
        Call([place for place, _ in group], _marked(joined([words for _, words in group]), rows), rows)
        for group in groups.values()
    ]


def _marked(conditioning: Conditioning, rows: int) -> Conditioning:
    """Return `conditioning` with the rows of negative prompts marked, which some controls leave alone."""
    negative = torch.arange(len(conditioning.context), device=conditioning.context.device) % rows
    return replace(conditioning, extra={**conditioning.extra, NEGATIVE: negative[:, None]})


def guided(predict: Predict, calls: Sequence[Call], scale: float) -> Denoise:
    """Return the denoiser that answers `without + scale * (with - without)` for each picture of the batch."""

    def step(x: Tensor, sigma: float) -> Tensor:
        answer = torch.empty_like(x)
        for call in calls:
            said = predict(x[call.pictures].repeat_interleave(call.rows, dim=0), sigma, call.conditioning)
            if call.rows == 2:
                wanted, unwanted = said[0::2], said[1::2]
                said = unwanted + scale * (wanted - unwanted)
            answer[call.pictures] = said
        return answer

    return step
