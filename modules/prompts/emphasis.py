"""Weights on what the text encoder said. Tensors are handled by their own operators: torch is not imported here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def emphasise(encoded: Tensor, weights: Sequence[Sequence[float]]) -> Tensor:
    """Multiply each token's vector by its weight, then bring each chunk back to the mean it had ("Original").

    `encoded` is (chunks, tokens, width) and `weights` one row per chunk; a chunk whose weights are all 1 comes back bit
    for bit. The mean is each chunk's own, so a picture does not depend on its batch.
    """
    if all(weight == 1 for row in weights for weight in row):
        return encoded
    before = encoded.float()
    factors = before.new_tensor(weights).unsqueeze(-1)
    after = before * factors
    restored = after * (before.mean(dim=(-2, -1), keepdim=True) / after.mean(dim=(-2, -1), keepdim=True))
    plain = (factors == 1).all(dim=-2, keepdim=True)
    return restored.where(~plain, before).to(encoded.dtype)
