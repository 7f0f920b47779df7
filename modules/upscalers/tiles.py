"""A large image in pieces: tiles that overlap, seams that fade, and never more of the result at hand than a band.

A network sees one tile at a time. Neighbours overlap by at least `overlap` pixels; across the middle half of that the
one fades into the other, and the outer quarters, which a network knows least about, are thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modules.errors import OutOfMemory
from modules.upscalers.upscaler import Size, Tell

Pixels = NDArray[np.uint8]
"""Height, width, 3 channels, 0 to 255."""

Run = Callable[[Pixels], Pixels]
"""One call of a network: a tile in, the same one `scale` times as large out."""

SMALLEST = 48  # pixels of a tile's side; below that there is more overlap than tile
PASSES = 3  # times a network is applied at most, as in A1111
LANCZOS = Image.Resampling.LANCZOS
_REACH = 3  # source pixels that Lanczos looks at on either side, times the ratio


@dataclass(frozen=True)
class Cut:
    """One side of a row or column of tiles, in source pixels, and the seams where its neighbours fade into it."""

    start: int
    end: int
    before: tuple[int, int]  # the seam with the one before, from its first to after its last pixel
    after: tuple[int, int]  # the seam with the one after


def cuts(length: int, tile: int, overlap: int) -> list[Cut]:
    """Cut `length` pixels into tiles of `tile` (0: one for all) that overlap by at least `overlap`.

    `overlap` is made no more than a quarter of a tile, so that no pixel is in two seams.
    """
    if not 0 < tile < length:
        return [Cut(0, length, (0, 0), (length, length))]
    overlap = min(overlap, tile // 4)
    count = math.ceil((length - overlap) / (tile - overlap))
    starts = [round(place * (length - tile) / (count - 1)) for place in range(count)]
    seams = [(0, 0)]
    for left, right in pairwise(starts):
        middle = (right + left + tile) // 2
        seams.append((middle - overlap // 4, middle - overlap // 4 + overlap // 2))
    seams.append((length, length))
    return [Cut(start, start + tile, *pair) for start, pair in zip(starts, pairwise(seams), strict=True)]


def count(size: Size, tile: int, overlap: int) -> int:
    """Return how many tiles an image of `size` is cut into."""
    return len(cuts(size[0], tile, overlap)) * len(cuts(size[1], tile, overlap))


def bands(
    source: Pixels, run: Run, scale: int, tile: int, overlap: int, tell: Callable[[], None] = lambda: None
) -> Iterator[Pixels]:
    """Yield the rows of `source` enlarged `scale` times by `run`, from top to bottom, some at a time.

    `tell` hears of every tile. Raises what `run` and `tell` raise.
    """
    height, width, channels = source.shape
    columns = cuts(width, tile, overlap)
    carried: Pixels = np.empty((0, width * scale, channels), np.uint8)
    for row in cuts(height, tile, overlap):
        top = row.start * scale
        band = np.empty(((row.end - row.start) * scale, width * scale, channels), np.uint8)
        for column in columns:
            made = run(np.ascontiguousarray(source[row.start : row.end, column.start : column.end]))
            _join(band, made, column, scale)
            tell()
        first, last = (each * scale - top for each in row.before)
        band[first:last] = _faded(carried, band[first:last], 0)
        ends, after = (each * scale - top for each in row.after)
        carried = band[ends:after].copy()
        yield band[first:ends]


def _join(band: Pixels, made: Pixels, column: Cut, scale: int) -> None:
    """Put a tile into its band, fading over from the tile to its left."""
    left = column.start * scale
    first, last = (each * scale for each in column.before)
    end = column.after[1] * scale
    band[:, first:last] = _faded(band[:, first:last], made[:, first - left : last - left], 1)
    band[:, last:end] = made[:, last - left : end - left]


def _faded(old: Pixels, new: Pixels, axis: int) -> Pixels:
    """Return pixels that go from `old` to `new` along an axis."""
    length = new.shape[axis]
    ramp = (np.arange(length, dtype=np.float32) + 0.5) / max(1, length)
    weight = ramp.reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    faded: Pixels = (old * (1 - weight) + new * weight + 0.5).astype(np.uint8)
    return faded


def gathered(coming: Iterator[Pixels], full: Size, size: Size) -> Image.Image:
    """Return the RGB image of `full` size whose rows are `coming`, brought to `size`.

    One that is larger than `size` is shrunk (Lanczos) as it comes, and never there as a whole.
    """
    if full != size and full[0] >= size[0] and full[1] >= size[1]:
        return _shrunk(coming, full, size)
    image = Image.new("RGB", full)
    row = 0
    for band in coming:
        image.paste(Image.fromarray(band), (0, row))
        row += len(band)
    return image if full == size else image.resize(size, LANCZOS)


def _shrunk(coming: Iterator[Pixels], full: Size, size: Size) -> Image.Image:
    ratio = full[1] / size[1]
    reach = math.ceil(_REACH * ratio) + 1
    image = Image.new("RGB", size)
    window: Pixels = np.empty((0, full[0], 3), np.uint8)
    top = made = 0
    for band in coming:
        window = np.concatenate([window, band])
        bottom = top + len(window)
        until = size[1] if bottom == full[1] else min(size[1], math.floor((bottom - reach) / ratio))
        if until <= made:
            continue
        box = (0, made * ratio - top, full[0], min(until * ratio - top, len(window)))
        image.paste(Image.fromarray(window).resize((size[0], until - made), LANCZOS, box), (0, made))
        made = until
        kept = max(top, math.floor(made * ratio) - reach)
        window, top = window[kept - top :], kept
    return image


def passes(source: Size, size: Size, scale: int) -> list[Size]:
    """Return the sizes of what a network that enlarges `scale` times is applied to, on the way from `source` to `size`.

    It is applied at least once, until both sides are long enough, and no more than three times.
    """
    sizes = [source]
    while (
        scale > 1
        and len(sizes) < PASSES
        and any(side * scale < wanted for side, wanted in zip(sizes[-1], size, strict=True))
    ):
        sizes.append((sizes[-1][0] * scale, sizes[-1][1] * scale))
    return sizes


def enlarge(
    image: Image.Image,
    size: Size,
    run: Run,
    scale: int,
    tell: Tell,
    tile: int = 0,
    overlap: int = 16,
    smaller: Callable[[int], None] = lambda tile: None,
) -> Image.Image:
    """Return an RGB or RGBA `image` at exactly `size`, enlarged by a network as often as needed, then by Lanczos.

    When `run` finds no room the tiles become smaller, which `smaller` hears; transparency is resampled. Raises
    `OutOfMemory` when there is no room even for the smallest, and what `run` and `tell` raise.
    """
    todo = passes(image.size, size, scale)
    meter = _Meter(todo, overlap, tell)
    made = image.convert("RGB")
    for place, source in enumerate(todo):
        full = (source[0] * scale, source[1] * scale)
        wanted = size if place == len(todo) - 1 else full
        enlarged: Image.Image | None = None
        while enlarged is None:
            meter.begin(place, tile)
            try:
                enlarged = gathered(bands(np.asarray(made), run, scale, tile, overlap, meter.step), full, wanted)
            except OutOfMemory:
                tile = _half(tile or max(source))
                if tile < SMALLEST:
                    raise
            if enlarged is None:
                smaller(tile)
        made = enlarged
    if image.mode == "RGBA":
        made.putalpha(image.getchannel("A").resize(size, LANCZOS))
    return made


def _half(tile: int) -> int:
    return max(SMALLEST, tile // 2) if tile > SMALLEST else 0


class _Meter:
    """Counts tiles over all passes; those of passes to come are known beforehand."""

    def __init__(self, sources: Sequence[Size], overlap: int, tell: Tell) -> None:
        self._sources = sources
        self._overlap = overlap
        self._tell = tell
        self._before = self._done = self._coming = 0

    def begin(self, place: int, tile: int) -> None:
        """Begin with a pass, or again with smaller tiles."""
        counts = [count(each, tile, self._overlap) for each in self._sources]
        self._before, self._coming, self._done = sum(counts[:place]), sum(counts[place:]), 0

    def step(self) -> None:
        """Tell of one tile more."""
        self._done += 1
        self._tell(self._before + self._done, self._before + self._coming)


def pixels_of(image: Image.Image) -> Pixels:
    """Return the RGB pixels of an image, to be written to."""
    found: Any = np.array(image.convert("RGB"))
    return np.asarray(found, np.uint8)
