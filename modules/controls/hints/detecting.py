"""A preprocessor at work: the picture at the resolution it looks at, and its hint."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from modules.controls.preprocessor import Pixels, Run

LEAST = 8  # pixels of the shorter side


def detect(picture: Pixels, run: Run, options: Mapping[str, float], resolution: int) -> Pixels:
    """Return what `run` makes of `picture` (H, W, 3), whose shorter side is brought to `resolution` pixels first.

    The hint is as large as that picture.
    """
    looked_at = at_resolution(picture, resolution)
    return np.ascontiguousarray(run(looked_at, options))


def at_resolution(picture: Pixels, resolution: int) -> Pixels:
    """Return `picture` with a shorter side of `resolution` pixels."""
    rows, columns = picture.shape[:2]
    scale = max(LEAST, resolution) / min(rows, columns)
    size = max(LEAST, round(columns * scale)), max(LEAST, round(rows * scale))
    if size == (columns, rows):
        return picture
    how = cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA
    return cv2.resize(picture, size, interpolation=how).astype(np.uint8)
