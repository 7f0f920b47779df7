"""A large picture in tiles: where they lie, how much each counts where they overlap, how large it may become."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modules.errors import BadRequest
from modules.images.resize import scaled_size

LARGEST = 4096  # pixels of a side of what is made in tiles
STEP = 8  # pixels that sides divide by


@dataclass(frozen=True)
class Span:
    """One row or column of tiles, from `start` to before `end`; `share` says how much it counts along that."""

    start: int
    end: int
    share: NDArray[np.float32]


def tiled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return width and height of a picture of `size` made `scale` times as large, in steps of 8 pixels.

    Raises `BadRequest` when a side would be longer than 4096.
    """
    wide, high = scaled_size(*size, scale, least=64, most=LARGEST * 8, step=STEP)
    if max(wide, high) > LARGEST:
        raise BadRequest("tiles_size", width=wide, height=high, most=LARGEST)
    return wide, high


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Cut `length` into spans of `tile`, evenly spaced, that overlap by at least `overlap`, half a tile at most.

    Where they overlap one fades linearly into the other: the shares at any place sum to 1.
    """
    tile = min(tile, length)
    overlap = min(overlap, tile // 2)
    count = math.ceil((length - overlap) / (tile - overlap)) if tile < length else 1
    starts = [round(place * (length - tile) / (count - 1)) for place in range(count)] if count > 1 else [0]
    ramps = []
    for place, start in enumerate(starts):
        ramp = np.ones(tile, np.float32)
        if place > 0:
            ramp = np.minimum(ramp, _rising(tile, starts[place - 1] + tile - start))
        if place < count - 1:
            ramp = np.minimum(ramp, _rising(tile, start + tile - starts[place + 1])[::-1])
        ramps.append(ramp)
    total = np.zeros(length, np.float32)
    for start, ramp in zip(starts, ramps, strict=True):
        total[start : start + tile] += ramp
    return [
        Span(start, start + tile, ramp / total[start : start + tile]) for start, ramp in zip(starts, ramps, strict=True)
    ]


def _rising(tile: int, overlap: int) -> NDArray[np.float32]:
    """Return a ramp that rises over the first `overlap` of `tile` places and is 1 beyond."""
    ramp: NDArray[np.float32] = np.minimum((np.arange(tile, dtype=np.float32) + 0.5) / max(overlap, 0.5), 1)
    return ramp
