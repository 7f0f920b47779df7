"""A picture made larger on some of its sides, and the mask of what is new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

OVERLAP = 8  # pixels of the old picture that are painted anew, so that no seam shows
MOST = 1024  # pixels on a side


@dataclass(frozen=True)
class Margins:
    """How many pixels are added on each side, each 0 or more."""

    left: int = 0
    right: int = 0
    up: int = 0
    down: int = 0

    def __bool__(self) -> bool:
        return any((self.left, self.right, self.up, self.down))


def extended(image: Image.Image, margins: Margins, step: int = 8) -> tuple[Image.Image, Image.Image]:
    """Return the larger picture (RGB) and the mask ("L", white where it is new), both with sides divisible by `step`.

    What is new begins as a soft mirror image of what lies along the edge. Sides that do not divide grow a little more,
    to the right and downwards.
    """
    wide = image.width + margins.left + margins.right
    high = image.height + margins.up + margins.down
    right, down = margins.right + -wide % step, margins.down + -high % step
    pixels = np.asarray(image.convert("RGB"))
    sides = ((margins.up, down), (margins.left, right), (0, 0))
    mirrored = Image.fromarray(np.pad(pixels, sides, mode="symmetric"))
    whole = mirrored.filter(ImageFilter.GaussianBlur(min(image.size) / 16))
    whole.paste(image.convert("RGB"), (margins.left, margins.up))
    mask = Image.new("L", whole.size, 255)
    kept = (
        margins.left + (OVERLAP if margins.left else 0),
        margins.up + (OVERLAP if margins.up else 0),
        margins.left + image.width - 1 - (OVERLAP if right else 0),
        margins.up + image.height - 1 - (OVERLAP if down else 0),
    )
    ImageDraw.Draw(mask).rectangle(kept, fill=0)
    return whole, mask
