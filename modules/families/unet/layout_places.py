"""Where a module's tensors lie in an original file: under which key, as which part, in which form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from modules.families.family import Entry
from modules.families.unet.layout_names import Pair

THIRDS = "qkv"


@dataclass(frozen=True)
class Place:
    """One of diffusers' tensors in the original layout.

    `third` counts it among the three that share a tensor; `matrix`: it is a 1x1 convolution there; `turned`: its
    transpose is stored.
    """

    key: str
    third: int | None = None
    matrix: bool = False
    turned: bool = False

    def read(self, entry: Entry) -> Entry:
        """Return where diffusers' tensor lies, given where the original's lies."""
        if self.third is None and not self.matrix and not self.turned:
            return entry
        shape, start, size = entry.shape, entry.start, entry.size
        if self.third is not None and shape and shape[0] % len(THIRDS) == 0:
            size //= len(THIRDS)
            start, shape = start + self.third * size, (shape[0] // len(THIRDS), *shape[1:])
        if self.matrix and shape[2:] == (1, 1):
            shape = shape[:2]
        if self.turned:
            return replace(entry, shape=shape[::-1], transposed=not entry.transposed)
        return replace(entry, shape=shape, start=start, size=size)

    def written(self, entry: Entry) -> Entry:
        """Return how diffusers' tensor is read into what the original stores (a third of it, where it shares)."""
        if self.matrix and len(entry.shape) == 2:
            return replace(entry, shape=(*entry.shape, 1, 1))
        if self.turned:
            return replace(entry, shape=entry.shape[::-1], transposed=not entry.transposed)
        return entry


def places(pairs: Iterable[Pair]) -> Iterator[tuple[str, Place]]:
    """Yield (diffusers' key, its place) for weight and bias of every pair of modules."""
    for own, theirs in pairs:
        if theirs.endswith("attn.in_proj"):
            third = THIRDS.index(own.rpartition(".")[2][0])
            yield f"{own}.weight", Place(f"{theirs}_weight", third)
            yield f"{own}.bias", Place(f"{theirs}_bias", third)
        elif theirs in ("positional_embedding", "text_projection"):  # bare parameters, not modules
            yield f"{own}.weight", Place(theirs, turned=theirs == "text_projection")
        else:
            matrix = ".attn_1." in theirs and not theirs.endswith(".norm")
            yield f"{own}.weight", Place(f"{theirs}.weight", matrix=matrix)
            yield f"{own}.bias", Place(f"{theirs}.bias")
