"""Textual inversions in the pixels of a picture, where they outlive a host that strips text chunks.

A1111's web UI puts a strip of noise on either side of the picture, divided from it by a black column. The low four bits
of the left strip are the low halves of bytes, those of the right strip the high halves; a fixed random sequence hides
them in the noise. The bytes are JSON, compressed with zlib.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_PIXELS = 2**24
BEGIN = 0x78  # of what zlib compressed

Nibbles = NDArray[np.uint8]


def has_strips(picture: Image.Image) -> bool:
    """Return whether `picture` looks as if it carried data: cheap where it does not."""
    strips = _strips(picture)
    return strips is not None and bool(_joined(strips[0][:1, :1], strips[1][:1, :1])[:1] == bytes([BEGIN]))


def hidden_text(picture: Image.Image, most: int) -> bytes:
    """Return what the pixels of `picture` carry, at most so many bytes; raises `ValueError` when they carry nothing."""
    strips = _strips(picture)
    if strips is None:
        raise ValueError("no strips of data")
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(_joined(*strips), most)
    except zlib.error as error:
        raise ValueError("not compressed") from error
    if not reader.eof:
        raise ValueError("cut off, or too long")
    return text


def _strips(picture: Image.Image) -> tuple[Nibbles, Nibbles] | None:
    """Return the low bits (h, w, 3) of what lies left of the first black column, and right of the last one."""
    if picture.width * picture.height > MOST_PIXELS:
        return None
    pixels: Nibbles = np.asarray(picture.convert("RGB"))
    shown: NDArray[np.bool_] = np.asarray((pixels > 0).all(axis=2))
    if not shown.any():
        return None
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    nibbles: Nibbles = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & np.uint8(0x0F)
    black = np.flatnonzero(nibbles.max(axis=0).max(axis=1) == 0)
    if len(black) < 2:
        return None
    left, right = nibbles[:, : black[0]], nibbles[:, black[-1] + 1 :]
    return (left, right) if left.size and left.shape == right.shape else None


def _joined(low: Nibbles, high: Nibbles) -> bytes:
    """Take the random sequence off both halves and put the bytes together."""
    noise = np.fromiter(islice(_sequence(), low.size), np.uint8, low.size).reshape(low.shape) & 0x0F
    return (((high ^ noise) << 4) | (low ^ noise)).astype(np.uint8).tobytes()


def _sequence() -> Iterator[int]:
    """Yield the numbers of a linear congruential generator (Numerical Recipes' constants), each modulo 255."""
    state = 0
    while True:
        state = (1664525 * state + 1013904223) % 2**32
        yield state % 255
