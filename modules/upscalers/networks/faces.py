"""Faces: found, cut out as the networks that restore them expect, and put back without a seam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from skimage import data
from skimage.feature import Cascade

from modules.upscalers.tiles import LANCZOS, Pixels

SIDE = 512  # pixels of a face as a network takes it
LOOKED_AT = 640  # pixels of the longer side in which faces are looked for
SMALLEST = 24  # pixels of a face there; the detector's own
GROWN = 1.6  # of the box around a face: eyes and mouth then lie where they do in the pictures networks learnt from
RAISED = 0.37  # of the box, how far above its upper edge the square begins
AGREEING = 3  # finds in nearly the same place that make a face: a single one is chance

Restore = Callable[[Pixels], Pixels]
"""Makes a face of 512 x 512 pixels anew."""


@dataclass(frozen=True)
class Box:
    """A square in an image, in pixels; it may reach out of it."""

    left: int
    top: int
    side: int


def find_faces(image: Image.Image) -> list[Box]:
    """Return the squares around the faces that look out of the image, from the largest on.

    Found by scikit-image's cascade of local binary patterns, which is trained for faces from the front.
    """
    ratio = min(1.0, LOOKED_AT / max(image.size))
    small = image.convert("L").resize((max(1, round(image.width * ratio)), max(1, round(image.height * ratio))))
    if min(small.size) < SMALLEST:
        return []
    found = Cascade(data.lbp_frontal_face_cascade_filename()).detect_multi_scale(
        np.asarray(small),
        scale_factor=1.2,
        step_ratio=1.5,
        min_size=(SMALLEST, SMALLEST),
        max_size=(min(small.size), min(small.size)),
        min_neighbor_number=AGREEING,
    )
    boxes = [Box(round(each["c"] / ratio), round(each["r"] / ratio), round(each["width"] / ratio)) for each in found]
    return sorted((_framed(box) for box in boxes), key=lambda box: (-box.side, box.left, box.top))


def _framed(box: Box) -> Box:
    """Return the square that a network wants around the box of a detector."""
    side = round(box.side * GROWN)
    return Box(box.left - (side - box.side) // 2, box.top - round(box.side * RAISED), side)


def restored(
    image: Image.Image,
    faces: Sequence[Box],
    restore: Restore,
    visibility: float,
    tell: Callable[[], None] = lambda: None,
) -> Image.Image:
    """Return an RGB or RGBA image with each of `faces` made anew, as far as `visibility` (0 to 1) lets it through.

    Around them everything stays as it was; `tell` hears of every face.
    """
    made = image.copy()
    for box in faces:
        corners = (box.left, box.top, box.left + box.side, box.top + box.side)
        face = np.array(_cut(image, box).resize((SIDE, SIDE), LANCZOS), np.uint8)
        new = Image.fromarray(restore(face)).resize((box.side, box.side), LANCZOS)
        mask = _feather(box.side).point(lambda level: round(level * visibility))
        if made.mode == "RGBA":
            new.putalpha(made.getchannel("A").crop(corners))
        made.paste(new, corners[:2], mask)
        tell()
    return made


def _cut(image: Image.Image, box: Box) -> Image.Image:
    """Return the square of an image in RGB; what lies outside repeats its edge."""
    pixels = np.asarray(image.convert("RGB"))
    rows = np.clip(np.arange(box.top, box.top + box.side), 0, image.height - 1)
    columns = np.clip(np.arange(box.left, box.left + box.side), 0, image.width - 1)
    return Image.fromarray(np.ascontiguousarray(pixels[rows[:, None], columns[None, :]]))


def _feather(side: int) -> Image.Image:
    """Return the mask of a face: all of it in the middle, nothing at the edges."""
    mask = Image.new("L", (side, side))
    edge = max(1, side // 10)
    ImageDraw.Draw(mask).rounded_rectangle((edge, edge, side - 1 - edge, side - 1 - edge), side // 4, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(edge / 3))
