"""The ways emphasis is read and applied. Tensors are handled by their own operators: torch is not imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from modules.prompts.syntax import Part, Weighted, attention

if TYPE_CHECKING:
    from torch import Tensor

Read = Callable[[str], list[Part]]
Apply = Callable[["Tensor", Sequence[Sequence[float]]], "Tensor"]
"""(what the text encoder said of chunks (chunks, tokens, width), a row of weights for each) -> the same, weighted."""


@dataclass(frozen=True)
class Emphasis:
    """One way, by the name A1111's setting has for it: how a prompt is read, and what its weights do."""

    name: str
    read: Read
    apply: Apply


def emphasise(encoded: Tensor, weights: Sequence[Sequence[float]]) -> Tensor:
    """Multiply each token's vector by its weight, then bring each chunk back to the mean it had ("Original").

    `encoded` is (chunks, tokens, width) and `weights` one row per chunk; a chunk whose weights are all 1 comes back bit
    for bit. The mean is each chunk's own, so a picture does not depend on its batch.
    """
    if _plain(weights):
        return encoded
    before = encoded.float()
    factors = before.new_tensor(weights).unsqueeze(-1)
    after = before * factors
    restored = after * (before.mean(dim=(-2, -1), keepdim=True) / after.mean(dim=(-2, -1), keepdim=True))
    plain = (factors == 1).all(dim=-2, keepdim=True)
    return restored.where(~plain, before).to(encoded.dtype)


def multiply(encoded: Tensor, weights: Sequence[Sequence[float]]) -> Tensor:
    """Multiply each token's vector by its weight and leave it at that ("No norm"); shapes as for `emphasise`."""
    if _plain(weights):
        return encoded
    before = encoded.float()
    return (before * before.new_tensor(weights).unsqueeze(-1)).to(encoded.dtype)


def literal(prompt: str) -> list[Part]:
    """Return `prompt` as it is, brackets and BREAK included ("None")."""
    return [Weighted(prompt)]


def even(prompt: str) -> list[Part]:
    """Return the parts of `prompt`, all at weight 1 ("Ignore")."""
    return [replace(part, weight=1.0) if isinstance(part, Weighted) else part for part in attention(prompt)]


def _plain(weights: Sequence[Sequence[float]]) -> bool:
    return all(weight == 1 for row in weights for weight in row)


ORIGINAL = Emphasis("Original", attention, emphasise)
EMPHASES = MappingProxyType(
    {
        each.name: each
        for each in (
            ORIGINAL,
            Emphasis("None", literal, multiply),
            Emphasis("Ignore", even, multiply),
            Emphasis("No norm", attention, multiply),
        )
    }
)
