"""Masks as pictures: read, turned round, blurred, framed, and what the masked part begins from."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom lie outside."""

HALF = 128
# Radius and how often: from what lies far around the hole to what lies next to it (A1111's "fill").
_FILLING = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))


def read_mask(image: Image.Image, size: tuple[int, int], invert: bool = False, rounded: bool = True) -> Image.Image:
    """Return the mask in `image` at `size`: grey ("L"), white where it masks.

    A picture that is transparent somewhere masks where it is opaque; any other where it is light. With `rounded`
    there is nothing between black and white.
    """
    grey = image.getchannel("A") if image.mode == "RGBA" and _see_through(image) else image.convert("L")
    if grey.size != size:
        grey = grey.resize(size, Image.Resampling.BILINEAR)
    if rounded:
        grey = grey.point([255 if level > HALF else 0 for level in range(256)])
    return ImageOps.invert(grey) if invert else grey


def blurred(mask: Image.Image, deviation: float) -> Image.Image:
    """Return `mask` under a Gaussian of that deviation in pixels, cut off at 2.5 of them."""
    if deviation <= 0:
        return mask
    side = 2 * int(2.5 * deviation + 0.5) + 1
    return Image.fromarray(cv2.GaussianBlur(np.asarray(mask), (side, side), deviation))


def frame(mask: Image.Image, padding: int, width: int, height: int) -> Box | None:
    """Return the part of the picture around what is masked that is to be made at `width` x `height`; None for nothing.

    It has `padding` pixels around, and is widened to the shape of the result where the picture has room for that.
    """
    found = mask.getbbox()
    if found is None:
        return None
    left, top = max(0, found[0] - padding), max(0, found[1] - padding)
    right, bottom = min(mask.width, found[2] + padding), min(mask.height, found[3] + padding)
    wanted = width / height
    if (right - left) / (bottom - top) > wanted:
        top, bottom = _widened(top, bottom, round((right - left) / wanted), mask.height)
    else:
        left, right = _widened(left, right, round((bottom - top) * wanted), mask.width)
    return left, top, right, bottom


def opaque(mask: Image.Image) -> Image.Image:
    """Return how much of the result shows at the end: the whole of it wherever the blurred `mask` is half or more."""
    return mask.point([min(255, 2 * level) for level in range(256)])


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Return `image` with its masked part painted over by what lies around it, the nearer the sharper."""
    whole = Image.new("RGBA", image.size)
    # With premultiplied alpha what is transparent has no colour that a blur could draw in.
    hole = Image.new("RGBa", image.size)
    hole.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    for radius, times in _FILLING:
        soft = hole.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            whole.alpha_composite(soft)
    return whole.convert("RGB")


def pasted(original: Image.Image, made: Image.Image, mask: Image.Image, box: Box | None = None) -> Image.Image:
    """Return `original` with `made` where `mask` (of the original's size) says; with `box`, made is that part of it.

    Where the mask is black every pixel is the original's, bit for bit.
    """
    if box is not None:
        part = made.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS)
        made = original.copy()
        made.paste(part, box[:2])
        inside = Image.new("L", original.size)
        inside.paste(255, box)
        mask = ImageChops.darker(mask, inside)
    return Image.composite(made, original, mask)


def _see_through(image: Image.Image) -> bool:
    low, _ = image.getchannel("A").getextrema()
    return isinstance(low, int) and low < 255


def _widened(first: int, last: int, length: int, room: int) -> tuple[int, int]:
    """Return first and last around the same middle but `length` apart, shifted to lie within 0..room."""
    length = min(length, room)
    first = min(max(0, first - (length - (last - first)) // 2), room - length)
    return first, first + length
