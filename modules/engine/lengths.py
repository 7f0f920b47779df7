"""Prompts and negative prompts of unequal length, as A1111 has them: each read as long as it is, or brought to one.

In Easel empty chunks fill up what is shorter (`guidance.spoken`), which is A1111's "Pad conds".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from modules.engine.conditioning import LENGTH, Encode, joined, rows_of
from modules.engine.guidance import filled
from modules.engine.wording import Wording
from modules.families.family import Conditioning


def spoken_apart(
    said: Iterable[Wording], encode: Encode, scale: float, negatives: int = 0, one_length: bool = False
) -> dict[Wording, Conditioning]:
    """Return the rows for each wording of a picture, as `guidance.spoken` does, its negative prompt at its own length.

    Empty chunks fill up what is said at other steps, and the last vector of shorter prompts is repeated where AND joins
    them. How many tokens a row really is stands in `Conditioning.extra[LENGTH]`; what is behind them is to be read by
    nobody. For `one_length` (A1111's "Pad conds v0") the negative prompt is made as long as the prompts instead: its
    last vector is repeated, or its end cut off.
    """
    wordings = list(dict.fromkeys(said))
    columns = [[wording.texts[place] for wording in wordings] for place in range(len(wordings[0].texts))]
    prompts = [_of_one_length([encode((text,)) for text in column], encode) for column in columns]
    length = max(rows[0].context.shape[1] for rows in prompts)
    without = max((each.negative for each in wordings), key=lambda text: encode((text,)).context.shape[1])
    found = {}
    for place, wording in enumerate(wordings):
        rows = [_repeated(each[place], length) for each in prompts]
        asked = [wording.negative] * (negatives or wording.contrasted(scale))
        if asked:
            beneath = rows_of(encode(("", without, *asked)), slice(2, None))
            rows.append(_repeated(beneath, length) if one_length else beneath)
        found[wording] = joined(rows) if one_length else _side_by_side(rows)
    return found


def _of_one_length(rows: Sequence[Conditioning], encode: Encode) -> list[Conditioning]:
    """Return what is said at one place of the prompt at different steps, filled up to the longest of it."""
    longest = max(each.context.shape[1] for each in rows)
    return [filled(each, longest, encode) for each in rows]


def _repeated(words: Conditioning, length: int) -> Conditioning:
    """Return `words` as `length` tokens: the last one once more as often as that takes, or without the end."""
    missing = max(length - words.context.shape[1], 0)
    longer = torch.cat([words.context, words.context[:, -1:].expand(-1, missing, -1)], dim=1)
    return replace(words, context=longer[:, :length])


def _side_by_side(parts: Sequence[Conditioning]) -> Conditioning:
    """Return the rows of `parts` below each other, each with its length, and zeros behind those that are shorter."""
    longest = max(part.context.shape[1] for part in parts)
    told = []
    for part in parts:
        rows, length, width = part.context.shape
        context = torch.cat([part.context, part.context.new_zeros(rows, longest - length, width)], dim=1)
        lengths = torch.full((rows, 1), length, device=context.device)
        told.append(replace(part, context=context, extra={**part.extra, LENGTH: lengths}))
    return joined(told)
