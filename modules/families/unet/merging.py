"""Token merging: what is alike in a picture is looked at once (Bolya and Hoffman 2023).

"Token Merging for Fast Stable Diffusion": of each square of two by two tokens the first is a destination, the others
are sources. The sources that are most like a destination are merged into it by their mean before attention, and get its
answer after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

STRIDE = 2  # tokens: the side of a square with one destination


@dataclass(frozen=True)
class Matching:
    """Which tokens are merged, for each of B pictures.

    `kept` (B, K) are the places of sources that stay, `sources` (B, R) of those that go, `into` (B, R) which of the
    `targets` (T) each goes into, and `found` (B, L) is where each token's answer is among the K + T.
    """

    kept: Tensor
    sources: Tensor
    into: Tensor
    targets: Tensor
    found: Tensor

    def merged(self, x: Tensor) -> Tensor:
        """Return the K + T tokens of `x` (B, L, C), the destinations last.

        The mean is a product of matrices: on a GPU adding at places would come out a little different each time.
        """
        own = x[:, self.targets]
        belongs = x.new_zeros((*self.into.shape, own.shape[1])).scatter_(2, self.into[:, :, None], 1)  # (B, R, T)
        counts = 1 + belongs.sum(dim=1)
        gone = belongs.transpose(1, 2) @ _at(x, self.sources)
        return torch.cat([_at(x, self.kept), (own + gone) / counts[:, :, None]], dim=1)

    def parted(self, answers: Tensor) -> Tensor:
        """Return (B, L, C): what was said of K + T tokens, to each that was merged."""
        return _at(answers, self.found)


def matched(x: Tensor, height: int, width: int, ratio: float) -> Matching | None:
    """Return which of the tokens `x` (B, height * width, C) to merge: `ratio` of them, if that is one or more.

    Three of four can be merged at most.
    """
    places = torch.arange(height * width, device=x.device).view(height, width)
    targets = places[: height // STRIDE * STRIDE : STRIDE, : width // STRIDE * STRIDE : STRIDE].flatten()
    is_source = torch.ones(height * width, dtype=torch.bool, device=x.device)
    is_source[targets] = False
    sources = places.flatten()[is_source]
    count = min(len(sources), int(height * width * ratio))
    if not count or not len(targets):
        return None
    unit = x / x.norm(dim=-1, keepdim=True)
    best, into = (unit[:, sources] @ unit[:, targets].transpose(1, 2)).max(dim=-1)
    order = best.argsort(dim=-1, descending=True, stable=True)
    gone, stay = order[:, :count], order[:, count:]
    into = into.gather(1, gone)
    left = stay.shape[1]
    found = torch.empty(x.shape[:2], dtype=torch.long, device=x.device)
    found[:, targets] = left + torch.arange(len(targets), device=x.device)
    found.scatter_(1, sources[stay], torch.arange(left, device=x.device).expand_as(stay))
    found.scatter_(1, sources[gone], left + into)
    return Matching(sources[stay], sources[gone], into, targets, found)


def _at(x: Tensor, places: Tensor) -> Tensor:
    """Return the tokens of `x` (B, L, C) at `places` (B, N)."""
    return x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2]))
