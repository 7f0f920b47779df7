"""Attention that looks at a tile at a time (tfernd's HyperTile, 2023), cut otherwise from call to call.

What lies far apart does not see each other at such a layer, and the work grows with the picture, not with its square.
"""

from __future__ import annotations

import math

from torch import Tensor

SMALLEST = 16  # latent cells: 128 pixels


def tile_side(height: int, width: int, most: int) -> int:
    """Return the least side of a tile in cells, for latents of that size: at `most` the largest power of 2 in both."""
    common = math.gcd(height, width)
    return max(SMALLEST, min(common & -common, most))


def tile_counts(side: int, least: int, choices: int) -> list[int]:
    """Return into how many equal tiles a `side` may be cut, most first: at most `choices` numbers, at least one.

    No tile is smaller than `least`, unless the side is.
    """
    least = max(1, min(least, side))
    sides = [each for each in range(least, side + 1) if side % each == 0]
    return [side // each for each in sides[: max(1, choices)]]


def cut(x: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """Return the tokens `x` (B, height * width, C) as (B * rows * columns, tokens of a tile, C)."""
    high, wide = height // rows, width // columns
    tiles = x.reshape(len(x), rows, high, columns, wide, -1).permute(0, 1, 3, 2, 4, 5)
    return tiles.reshape(len(x) * rows * columns, high * wide, -1)


def uncut(tiles: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """Return the tokens (B, height * width, C) of `tiles`, as `cut` made them."""
    high, wide = height // rows, width // columns
    x = tiles.reshape(-1, rows, columns, high, wide, tiles.shape[-1]).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(len(tiles) // (rows * columns), height * width, -1)
