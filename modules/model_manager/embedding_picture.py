"""Textual inversions inside pictures, as A1111's web UI makes them: JSON with plain numbers.

It stands in a text chunk, as base64; where that was stripped, in the pixels.
"""

from __future__ import annotations

import base64
import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from modules.errors import BrokenFile
from modules.model_manager.embedding_pixels import has_strips, hidden_text

SUFFIXES = frozenset({".png", ".webp", ".avif", ".jxl"})
CHUNK = "sd-ti-embedding"
LARGEST = 2**25  # bytes of the JSON; 75 vectors of 2048 numbers are a tenth of that
# What a picture that is none, or a text that says something else, makes Pillow, zlib and JSON raise.
UNREADABLE = (
    *(OSError, SyntaxError, Image.DecompressionBombError),
    *(AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Vectors:
    """Numbers that were written out, as rows; `values` is float32, row by row."""

    shape: tuple[int, ...]
    values: bytes
    dtype: str = "F32"


def read_picture(path: Path) -> Vectors:
    """Return the vectors that the picture at `path` carries; raises `BrokenFile` when it carries none."""
    try:
        with Image.open(path) as picture:
            text = picture.info.get(CHUNK)
            written = base64.b64decode(text) if text else hidden_text(picture, LARGEST)
        params = json.loads(written)["string_to_param"]
        (tensor,) = params.values()
        rows = [array("f", _numbers(row)) for row in tensor["TORCHTENSOR"]]
    except UNREADABLE as error:
        raise BrokenFile("no_picture_embedding", file=path.name) from error
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise BrokenFile("no_picture_embedding", file=path.name)
    return Vectors((len(rows), len(rows[0])), b"".join(row.tobytes() for row in rows))


def carries_embedding(path: Path) -> bool:
    """Return whether the picture at `path` carries a textual inversion; most pictures beside models are previews."""
    try:
        with Image.open(path) as picture:
            return CHUNK in picture.info or has_strips(picture)
    except UNREADABLE:
        return False


def _numbers(row: Any) -> Iterator[float]:
    for value in row:
        if not math.isfinite(value):
            raise ValueError(f"{value} is not finite")
        yield float(value)
