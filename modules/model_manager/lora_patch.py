"""What several networks together make of one weight: everything in float32, cast once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modules.model_manager.lora_formats import bias_change, change, low_rank

MISFIT = (RuntimeError, ValueError, TypeError, KeyError, IndexError)  # what tensors of other shapes end in


@dataclass(frozen=True)
class Change:
    """What one network does to one module: its tensors by role, how strongly, and with how many ranks (None: all).

    `source` says which of the wanted networks it comes from.
    """

    roles: Mapping[str, Tensor]
    strength: float
    dim: int | None = None
    source: int = 0

    def on(self, device: torch.device) -> Mapping[str, Tensor]:
        """Return the tensors on `device`, in float32 where they are no whole numbers."""
        return {
            role: tensor.to(device, torch.float32 if tensor.is_floating_point() else tensor.dtype)
            for role, tensor in self.roles.items()
        }


def patch_weight(original: Tensor, changes: Sequence[Change], out: Tensor) -> list[Change]:
    """Write `original` with `changes`, one after another, into `out` (of the same layout; it may be the original).

    Returns those that do not fit and were left out. Plain low-rank changes, however many, are one matrix product.
    """
    ranks = [_ranks(each, original) for each in changes]
    found = [each for each in ranks if each is not None]
    if len(found) == len(ranks):
        up, down, scale = found[0] if len(found) == 1 else _joined(found)
        rows = _rows(original)
        if original.dtype == torch.float32:
            torch.addmm(rows, up, down, alpha=scale, out=_rows(out))
        else:
            _rows(out).copy_(torch.addmm(rows.float(), up, down, alpha=scale))
        return []
    left_out: list[Change] = []
    work = original.to(torch.float32, copy=True)
    for each in changes:
        try:
            added = change(each.on(work.device), work, each.dim)
        except MISFIT:
            added = None
        if added is None:
            left_out.append(each)
        else:
            work.add_(added, alpha=each.strength)
    out.copy_(work)
    return left_out


def patch_bias(original: Tensor, changes: Sequence[Change], out: Tensor) -> list[Change]:
    """Write `original` with what `changes` say of the bias into `out`; return those that do not fit."""
    left_out: list[Change] = []
    work = original.to(torch.float32, copy=True)
    for each in changes:
        try:
            added = bias_change(each.on(work.device))
        except MISFIT:
            added = None
        if added is None or added.numel() != work.numel():
            left_out.append(each)
        else:
            work.add_(added.reshape(work.shape), alpha=each.strength)
    out.copy_(work)
    return left_out


Ranks = tuple[Tensor, Tensor, float]  # (up, down, scale)


def _joined(found: Sequence[Ranks]) -> Ranks:
    """Return several low-rank changes as one of the sum of their ranks."""
    return torch.cat([up * scale for up, _, scale in found], dim=1), torch.cat([down for _, down, _ in found]), 1.0


def _ranks(wanted: Change, weight: Tensor) -> Ranks | None:
    """Return a plain low-rank change in the order `weight` lies in memory, its strength in the scale, or None."""
    if weight.ndim < 2 or not (weight.is_contiguous() or _is_channels_last(weight)):
        return None
    try:
        found = low_rank(wanted.on(weight.device), wanted.dim)
    except MISFIT:
        return None
    if found is None:
        return None
    up, down, scale = found
    if up.shape[0] != weight.shape[0] or down.shape[1] != weight[0].numel() or up.shape[1] != down.shape[0]:
        return None
    if _is_channels_last(weight):
        down = down.reshape(-1, *weight.shape[1:]).permute(0, 2, 3, 1).reshape(down.shape)
    return up, down, scale * wanted.strength


def _rows(weight: Tensor) -> Tensor:
    """Return a view of `weight` as a matrix: one row for each output, in the order it lies in memory."""
    plain = weight.permute(0, 2, 3, 1) if _is_channels_last(weight) else weight
    return plain.view(weight.shape[0], -1)


def _is_channels_last(weight: Tensor) -> bool:
    return weight.ndim == 4 and not weight.is_contiguous() and weight.is_contiguous(memory_format=torch.channels_last)
