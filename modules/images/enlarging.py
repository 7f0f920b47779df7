"""How large a picture becomes: arithmetic on sizes, for the estimate beforehand and for the work itself."""

from __future__ import annotations

import math

from modules.errors import BadRequest
from modules.images.mask import Box
from modules.tasks import LARGEST_SIDE, MOST_PIECES, AutoCrop, Extras

MOST_PIXELS = 2**27  # of one picture that is made larger: 8192 x 16384
STEP = 64  # pixels between the sides that are chosen from
Size = tuple[int, int]
"""Width and height in pixels."""


def enlarged(size: Size, task: Extras) -> tuple[Size, Size]:
    """Return what a picture of `size` is enlarged to, and what is then cut from the middle of that.

    Where only one of width and height is asked for, the other follows. The two sizes are the same unless it is cut; one
    that is split stays whole until it is.
    """
    if not task.enlarges:
        return size, size
    if task.width is None and task.height is None:
        scale = task.scale
        if task.longest:
            scale = min(scale, task.longest / max(size))
        whole = _times(size, scale)
        return whole, whole
    width, height = task.width or 0, task.height or 0
    whole = covering(size, (width, height))
    cut = width and height and task.crop and pieces_of(size, task) == 1
    return whole, (width, height) if cut else whole


def checked_size(size: Size, task: Extras) -> int:
    """Return how many pixels a picture of `size` becomes; raise `BadRequest` when those are too many."""
    (width, height), _ = enlarged(size, task)
    if pieces_of(size, task) > 1:
        width, height = covering(size, (task.width or 0, task.height or 0))
    if width * height > MOST_PIXELS or max(width, height) > LARGEST_SIDE:
        raise BadRequest("extras_size", width=width, height=height, most=MOST_PIXELS // 10**6, side=LARGEST_SIDE)
    return width * height


def chosen_size(size: Size, crop: AutoCrop) -> Size | None:
    """Return the size that a picture of `size` is cut to, None when no allowed one is near enough to its shape."""
    shape = size[0] / size[1]
    sides = range(crop.least, crop.most + 1, STEP)
    allowed = [
        (width, height, 1 - min(shape * height / width, width / (shape * height)))
        for width in sides
        for height in sides
        if crop.least_area <= width * height <= crop.most_area
    ]
    near = [each for each in allowed if each[2] <= crop.error]
    if not near:
        return None
    if crop.objective == "area":
        width, height, _ = max(near, key=lambda each: (each[0] * each[1], -each[2]))
    else:
        width, height, _ = min(near, key=lambda each: (each[2], -each[0] * each[1]))
    return width, height


def pieces_of(size: Size, task: Extras) -> int:
    """Return how many pieces of width x height a picture of `size` is split into; 1 when it is not.

    Raises `BadRequest` when they would be too many.
    """
    if task.split is None or not task.width or not task.height:
        return 1
    ratio = (size[0] * task.height) / (size[1] * task.width)
    if min(ratio, 1 / ratio) > task.split.split_at or ratio == 1:
        return 1
    whole = covering(size, (task.width, task.height))
    length, side = max(zip(whole, (task.width, task.height), strict=True), key=lambda pair: pair[0] / pair[1])
    common = side * task.split.split_overlap
    pieces = max(1, math.ceil((length - common) / (side - common)))
    if pieces > MOST_PIECES:
        raise BadRequest("split_pieces", pieces=pieces, most=MOST_PIECES)
    return pieces


def piece_boxes(size: Size, piece: Size, count: int) -> list[Box]:
    """Return the `count` parts of size `piece` that a picture of `size`, as wide or as high as that, is cut into.

    They lie in even steps from one end to the other.
    """
    (width, height), last = piece, max(1, count - 1)
    starts = (((size[0] - width) * place // last, (size[1] - height) * place // last) for place in range(count))
    return [(left, top, left + width, top + height) for left, top in starts]


def covering(size: Size, wanted: Size) -> Size:
    """Return the least size of the shape of `size` that `wanted` can be cut from."""
    whole = _times(size, max(wanted[0] / size[0], wanted[1] / size[1]))
    return max(whole[0], wanted[0]), max(whole[1], wanted[1])


def _times(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
