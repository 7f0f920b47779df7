"""The colours of one picture given to another."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image
from skimage.exposure import match_histograms


def corrected(image: Image.Image, like: Image.Image) -> Image.Image:
    """Return `image` with the colours of `like` and its own lightness (A1111's colour correction).

    Its histogram is matched in CIE Lab; what that does to the lightness is taken back by a luminosity blend.
    """
    theirs = cv2.cvtColor(np.asarray(like.convert("RGB")), cv2.COLOR_RGB2LAB)
    own = cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2LAB)
    matched = np.clip(match_histograms(own, theirs, channel_axis=2), 0, 255).astype(np.uint8)
    coloured = cv2.cvtColor(matched, cv2.COLOR_LAB2RGB).astype(np.float32) / 255
    return Image.fromarray(_with_luminosity(coloured, np.asarray(image.convert("RGB"), np.float32) / 255))


def _with_luminosity(colours: np.ndarray, lights: np.ndarray) -> np.ndarray:
    """Return `colours` as light as `lights` is, both RGB 0..1 (W3C Compositing 1, 10.3 "luminosity")."""
    weights = np.array([0.3, 0.59, 0.11], np.float32)
    light = lights @ weights
    moved = colours + (light - colours @ weights)[..., None]
    least, most = moved.min(-1, keepdims=True), moved.max(-1, keepdims=True)
    grey = light[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(least < 0, grey + (moved - grey) * grey / (grey - least), moved)
        moved = np.where(most > 1, grey + (moved - grey) * (1 - grey) / (most - grey), moved)
    levels: np.ndarray = np.clip(np.nan_to_num(moved) * 255, 0, 255).round().astype(np.uint8)
    return levels
