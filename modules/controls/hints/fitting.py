"""Brings a hint picture to the shape of the result, as sd-webui-controlnet does, and keeps black and white pure."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from modules.controls.preprocessor import Pixels
from modules.request import Resize

FAINT = 16  # of 255: what is left of a thin line when it shrinks is a line still
HALF = 127


def pixels_of(image: Image.Image) -> Pixels:
    """Return (H, W, 3) of a picture; where it is transparent it is white."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def image_of(picture: Pixels) -> Image.Image:
    """Return the picture of (H, W, 3)."""
    return Image.fromarray(picture)


def fitted(picture: Pixels, width: int, height: int, how: Resize) -> Pixels:
    """Return `picture` as (height, width, 3): stretched; cut to the shape; or whole, in the colour of its edge."""
    rows, columns = picture.shape[:2]
    if how == "stretch" or (rows, columns) == (height, width):
        return resized(picture, width, height)
    scales = height / rows, width / columns
    scale = max(scales) if how == "crop" else min(scales)
    whole = resized(picture, max(1, round(columns * scale)), max(1, round(rows * scale)))
    rows, columns = whole.shape[:2]
    if how == "crop":
        top, left = max(0, (rows - height) // 2), max(0, (columns - width) // 2)
        return resized(whole[top : top + height, left : left + width], width, height)
    edge = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = np.median(edge, axis=0).astype(np.uint8)
    rows, columns = min(rows, height), min(columns, width)
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas[top : top + rows, left : left + columns] = whole[:rows, :columns]
    return canvas


def resized(picture: Pixels, width: int, height: int) -> Pixels:
    """Return `picture` stretched to a size. One of black and white alone stays so: no line of it gets lost."""
    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return np.ascontiguousarray(picture)
    smaller = height * width < rows * columns
    pure = not np.any((picture != 0) & (picture != 255))
    grown = cv2.INTER_LINEAR if pure else cv2.INTER_LANCZOS4
    found = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else grown)
    if pure:
        found = np.where(found > (FAINT if smaller else HALF), 255, 0)
    return found.astype(np.uint8)


def perfect_resolution(picture: Pixels, width: int, height: int, how: Resize) -> int:
    """Return the shorter side in pixels at which `picture` has as many pixels as it will have in the result."""
    rows, columns = picture.shape[:2]
    scales = height / rows, width / columns
    side: float = (min(scales) if how == "fill" else max(scales)) * min(rows, columns)
    return max(1, round(side))
