"""Shapes on a layer of paint, at places given as shares of it: what a hand would paint, for those who use none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

Shape = Literal["rectangle", "ellipse"]


@dataclass(frozen=True)
class Area:
    """Where a shape lies, in percent of the layer: its left and upper edge, and its size. It may reach beyond."""

    left: float
    top: float
    width: float
    height: float


def with_shape(layer: Image.Image, shape: Shape, area: Area, colour: str | None) -> Image.Image:
    """Return `layer` (RGBA) with a shape in that colour ("#rrggbb"), or without what is painted there for None."""
    stencil = Image.new("L", layer.size)
    left, right = (round(share / 100 * layer.width) for share in (area.left, area.left + area.width))
    top, bottom = (round(share / 100 * layer.height) for share in (area.top, area.top + area.height))
    corners = left, top, max(left, right - 1), max(top, bottom - 1)  # Pillow counts the last pixel in
    pen = ImageDraw.Draw(stencil)
    if shape == "ellipse":
        pen.ellipse(corners, fill=255)
    else:
        pen.rectangle(corners, fill=255)
    paint = Image.new("RGBA", layer.size, colour or (0, 0, 0, 0))
    return Image.composite(paint, layer.convert("RGBA"), stencil)


def covered(layer: Image.Image) -> float:
    """Return how much of `layer` (RGBA) is painted, in percent."""
    clear = layer.getchannel("A").histogram()[0]
    return 100 * (1 - clear / (layer.width * layer.height))
