"""What stands out in a picture, and the part of it around that (what A1111 calls auto focal point crop).

Three measures each name a point: faces, edges, and how much there is to see (entropy). The focus is their mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modules.images.mask import Box

Point = tuple[float, float]
"""From the left and from the top, as shares of width and height."""

FACES, ENTROPY, EDGES = 0.9, 0.15, 0.5  # how much each measure counts: A1111's defaults
_LOOKED_AT = 192  # pixels of the longer side
_LEVELS = 16  # of grey that entropy tells apart: noise alone is no content
_AROUND = 9  # pixels across that it is counted in
_USUAL = 0.6  # quantile below which an edge, or a part of the picture, is nothing special


def focal_point(image: Image.Image, faces: Sequence[Point] = ()) -> Point:
    """Return the point of `image` to look at; `faces` are the middles of those in it. The middle, if nothing is."""
    small = image.convert("RGB")
    small.thumbnail((_LOOKED_AT, _LOOKED_AT), Image.Resampling.BILINEAR)
    levels = np.asarray(small, np.float32)
    points = [(point, FACES / len(faces)) for point in faces]
    for weights, counts in ((_edges(levels), EDGES), (_entropy(levels), ENTROPY)):
        if (point := _middle(weights)) is not None:
            points.append((point, counts))
    if not points:
        return 0.5, 0.5
    total = sum(counts for _, counts in points)
    across, down = (sum(point[axis] * counts for point, counts in points) / total for axis in (0, 1))
    return across, down


def around(whole: tuple[int, int], cut: tuple[int, int], point: Point = (0.5, 0.5)) -> Box:
    """Return the part of size `cut` of a picture of size `whole` whose middle is as near to `point` as can be."""
    left, top = (
        min(max(0, round(share * side - length / 2)), side - length)
        for share, side, length in zip(point, whole, cut, strict=True)
    )
    return left, top, left + cut[0], top + cut[1]


def _edges(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how steep the picture is at each place, in the colour where it is steepest."""
    smooth = cv2.GaussianBlur(levels, (0, 0), 1)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    steep: NDArray[np.float32] = np.hypot(across, down).max(-1)
    return steep


def _entropy(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the entropy in bits of the grey levels around each place (Shannon 1948)."""
    grey = np.minimum(levels.mean(-1) * (_LEVELS / 256), _LEVELS - 1).astype(int)
    bits = np.zeros(grey.shape, np.float32)
    for level in range(_LEVELS):
        share = cv2.blur((grey == level).astype(np.float32), (_AROUND, _AROUND))
        bits -= np.where(share > 0, share * np.log2(np.maximum(share, 1e-9)), 0).astype(np.float32)
    return bits


def _middle(weights: NDArray[np.float32]) -> Point | None:
    """Return the centre of mass of what is more than usual, None when everything is alike."""
    above = np.clip(weights - np.quantile(weights, _USUAL), 0, None)
    if above.max() <= 1e-3:
        return None
    above = np.where(above > above.max() / 4, above, 0)
    rows, columns = np.mgrid[: above.shape[0], : above.shape[1]] + 0.5
    total = above.sum()
    return float((columns * above).sum() / total / above.shape[1]), float((rows * above).sum() / total / above.shape[0])
