"""Classifier-free guidance (Ho and Salimans 2022): with the prompt and without it, in one network call.

A picture may follow several prompts at once (Liu et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modules.controls.control import NEGATIVE
from modules.engine.conditioning import LENGTH, Encode, joined, picked, rows_of
from modules.engine.timeline import step_of
from modules.engine.wording import Wording
from modules.families.family import Conditioning
from modules.sampling.sampler import Denoise

BESIDE = "beside"  # in `Conditioning.extra`: what the network reads beside the noisy latents
ROWS = 8  # of one picture that share a network call at most: there may be thousands of prompts
Predict = Callable[[Tensor, float, Conditioning], Tensor]


@dataclass(frozen=True)
class Call:
    """One network call of a step: which pictures of the batch, and their words.

    Each picture has `rows` rows of the conditioning: one for each prompt it follows, whose `weights` are theirs, and,
    with guidance, its negative prompt after them; another row, where a network follows a picture, is the negative
    prompt without that picture.
    """

    pictures: list[int]
    conditioning: Conditioning
    rows: int
    weights: tuple[float, ...] = (1.0,)
    lengths: tuple[int, ...] = ()  # how many tokens of each row are read; none: all of them


CallsAt = Callable[[float], Sequence[Call]]
"""sigma -> the network calls at that level."""

Temper = Callable[[Tensor, float, Tensor, Tensor], Tensor]
"""(x, sigma, the answer without guidance, the guided answer) -> the answer."""


def spoken(said: Iterable[Wording], encode: Encode, scale: float, negatives: int = 0) -> dict[Wording, Conditioning]:
    """Return the rows for each wording of a picture: its prompts, and the negative prompt where that counts.

    Guidance of 1 is the prompt's own answer: the negative prompt is not encoded then, unless there are weights, or
    `negatives` asks for so many rows of it. All that is said of a picture fills equally many chunks: behind a shorter
    text there are empty ones.
    """
    rows = {wording: [wording.negative] * (negatives or wording.contrasted(scale)) for wording in said}
    (first, without), *more = rows.items()
    if not more and len(first.prompts) == 1:
        return {first: encode((*first.texts, *without))}
    read = [text for wording, without in rows.items() for text in (*wording.texts, *without)]
    alone = {text: encode((text,)) for text in read}
    longest = max(alone, key=lambda text: alone[text].context.shape[1])
    length = alone[longest].context.shape[1]
    found = {}
    for wording, without in rows.items():
        prompts = [filled(alone[text], length, encode) for text in wording.texts]
        beneath = rows_of(encode((longest, *without)), slice(1, None))
        found[wording] = joined([*prompts, beneath] if without else prompts)
    return found


def filled(words: Conditioning, length: int, encode: Encode) -> Conditioning:
    """Return the row of a prompt with empty chunks behind it, so that it is `length` tokens."""
    if words.context.shape[1] == length:
        return words
    empty = encode(("",)).context
    missing = (length - words.context.shape[1]) // empty.shape[1]
    return replace(words, context=torch.cat([words.context, *[empty] * missing], dim=1))


def plan_calls(said: Sequence[Wording], words: Sequence[Conditioning], together: bool) -> list[Call]:
    """Return the network calls of a step, so that no picture's answer depends on the batch it is in.

    `said` and `words` are of one picture each. Pictures share a call when they are `together`, their words fill equally
    many chunks and their weights are the same; filling up a shorter prompt for the sake of another picture would change
    it.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, (wording, each) in enumerate(zip(said, words, strict=True)):
        key = (each.context.shape[1], wording.weights) if together else (place,)
        groups.setdefault(key, []).append(place)
    calls = []
    for places in groups.values():
        weights, rows = said[places[0]].weights, len(words[places[0]].context)
        whole, lengths = _measured(joined([words[place] for place in places]))
        calls.append(Call(places, _marked(whole, rows, len(weights)), rows, weights, lengths))
    return calls


def _measured(conditioning: Conditioning) -> tuple[Conditioning, tuple[int, ...]]:
    """Return `conditioning`, and how many tokens of each row are read, where that is not all of them."""
    extra = dict(conditioning.extra)
    lengths = extra.pop(LENGTH, None)
    read = () if lengths is None else tuple(int(each) for each in lengths.flatten().tolist())
    return replace(conditioning, extra=extra), read if len(set(read)) > 1 else ()


def _marked(conditioning: Conditioning, rows: int, prompts: int) -> Conditioning:
    """Return `conditioning` with the rows of negative prompts marked, which some controls leave alone."""
    place = torch.arange(len(conditioning.context), device=conditioning.context.device) % rows
    negative = (place - prompts + 1).clamp(min=0)
    return replace(conditioning, extra={**conditioning.extra, NEGATIVE: negative[:, None]})


def following(plans: Sequence[Sequence[Call]], sigmas: Sequence[float]) -> CallsAt:
    """Return the calls at each level: one plan for each step of `sigmas`, however often a sampler calls within it."""
    step = step_of(sigmas)
    return lambda sigma: plans[step(sigma) - 1]


def beside(calls: Sequence[Call], picture: Tensor) -> list[Call]:
    """Return the calls of a network that also reads `picture` (1, further, h, w); the last of three rows is without."""
    told = []
    for call in calls:
        rows = [picture] * call.rows
        if call.rows - len(call.weights) == 2:
            rows[-1] = torch.zeros_like(picture)
        extra = {**call.conditioning.extra, BESIDE: torch.cat(rows).repeat(len(call.pictures), 1, 1, 1)}
        told.append(replace(call, conditioning=replace(call.conditioning, extra=extra)))
    return told


def steady(sigma: float) -> float:
    """Return 1: the prompt counts as much at one level as at another."""
    return 1.0


def guided(
    predict: Predict,
    calls: CallsAt,
    scale: float,
    image_scale: float = 1.0,
    stretch: Callable[[float], float] = steady,
    temper: Temper | None = None,
) -> Denoise:
    """Return the denoiser that answers `without + sum of weight * scale * (with - without)` for each picture.

    The sum is over the prompts it follows (the conjunction of Liu et al. 2022). Where the network follows a picture,
    too, `image_scale` says how much that counts (Brooks et al. 2023, eq. 3). `stretch` is by what `scale` is multiplied
    at a level; `temper` has the last word.
    """

    def step(x: Tensor, sigma: float) -> Tensor:
        answer = torch.empty_like(x)
        strength = scale * stretch(sigma)
        for call in calls(sigma):
            said = _said(predict, x[call.pictures].repeat_interleave(call.rows, dim=0), sigma, call)
            rows = [said[place :: call.rows] for place in range(call.rows)]
            prompts, others = rows[: len(call.weights)], rows[len(call.weights) :]
            found = _combined(prompts, others, call.weights, strength, image_scale)
            if temper is not None and others:
                plain = _combined(prompts, others, call.weights, 1.0, 1.0)
                found = temper(x[call.pictures], sigma, plain, found)
            answer[call.pictures] = found
        return answer

    return step


def _combined(
    prompts: Sequence[Tensor], others: Sequence[Tensor], weights: Sequence[float], scale: float, image_scale: float
) -> Tensor:
    """Return one answer (B, C, h, w) of what was said of prompts, and of the negative prompt where that was asked.

    Where it was not, the first prompt stands for it, and there is no guidance (as A1111 has it).
    """
    if not others:
        first, *more = prompts
        found = first
        for wanted, weight in zip(more, weights[1:], strict=True):
            found = found + weight * (wanted - first)
        return found
    found = others[-1]
    for wanted, weight in zip(prompts, weights, strict=True):
        found = found + scale * weight * (wanted - others[0])
    if len(others) == 2:
        found = found + image_scale * (others[0] - others[1])
    return found


def _said(predict: Predict, x: Tensor, sigma: float, call: Call) -> Tensor:
    """Return what the network says of each row: in one call, or in several for a picture that follows many prompts.

    Rows of different lengths cannot share one.
    """
    if call.lengths:
        answer = torch.empty_like(x)
        for length in sorted(set(call.lengths)):
            places = [place for place, each in enumerate(call.lengths) if each == length]
            words = picked(call.conditioning, places)
            one = replace(call, conditioning=replace(words, context=words.context[:, :length]), lengths=())
            answer[places] = _said(predict, x[places], sigma, one)
        return answer
    if call.rows <= ROWS:
        return predict(x, sigma, call.conditioning)
    pieces = [slice(start, start + ROWS) for start in range(0, len(x), ROWS)]
    return torch.cat([predict(x[piece], sigma, rows_of(call.conditioning, piece)) for piece in pieces])
