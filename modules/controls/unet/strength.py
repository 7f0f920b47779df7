"""How strongly a control acts where: its weight, its mode, its mask, and the rows it leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.controls.control import NEGATIVE, Guide
from modules.families.family import Conditioning

Say = Callable[[Tensor, Conditioning], Sequence[Tensor]]


def scaled(values: Sequence[Tensor], weights: Sequence[float], guide: Guide) -> list[Tensor]:
    """Return what a control says, each times its weight and the unit's, and nothing where the mask is 0."""
    found = []
    for value, weight in zip(values, weights, strict=True):
        factor = weight * guide.weight
        said = value if factor == 1 else value * factor
        found.append(said if guide.mask is None else said * _shrunk(guide.mask, said))
    return found


def where_it_acts(say: Say, x: Tensor, conditioning: Conditioning, guide: Guide) -> list[Tensor]:
    """Return what `say` says for the rows of `x`; zeros for negative prompts when the control counts more.

    `say` is not asked for the rows that get zeros.
    """
    negative = conditioning.extra.get(NEGATIVE)
    if guide.mode != "control" or negative is None or not bool(negative.any()):
        return list(say(x, conditioning))
    rows = (negative.flatten() == 0).nonzero().flatten()
    said = say(x[rows], chosen(conditioning, rows))
    found = []
    for each in said:
        every = each.new_zeros((len(x), *each.shape[1:]))
        every[rows] = each
        found.append(every)
    return found


def chosen(conditioning: Conditioning, rows: Tensor) -> Conditioning:
    """Return some rows of a conditioning."""
    pooled = None if conditioning.pooled is None else conditioning.pooled[rows]
    return Conditioning(
        conditioning.context[rows], pooled, {key: each[rows] for key, each in conditioning.extra.items()}
    )


def _shrunk(mask: Tensor, value: Tensor) -> Tensor:
    """Return the mask in the size of `value`; of one that is a single cell, how much of the picture it covers."""
    with torch.no_grad():
        return F.interpolate(mask, value.shape[-2:], mode="area").to(value)
