"""What people paint on pictures: the picture with the paint on it, and where paint is."""

from __future__ import annotations

from PIL import Image, ImageFilter

_GROWTH = 0.015  # of the shorter side: paint covers a little more than it seems to


def painted_over(image: Image.Image, layer: Image.Image) -> Image.Image:
    """Return `image` (RGB) with `layer` (RGBA, of any size) over it."""
    whole = image.convert("RGBA")
    whole.alpha_composite(_sized(layer, image.size))
    return whole.convert("RGB")


def where_painted(layer: Image.Image, size: tuple[int, int], grown: bool = False) -> Image.Image:
    """Return the mask ("L", white) of where `layer` is painted, at `size`; with `grown` a little beyond that."""
    mask = _sized(layer, size).getchannel("A")
    if not grown:
        return mask
    reach = max(1, int(_GROWTH * min(size))) * 2 + 1  # Pillow's filter of one pixel ends the process
    return mask.filter(ImageFilter.MaxFilter(reach))


def _sized(layer: Image.Image, size: tuple[int, int]) -> Image.Image:
    layer = layer.convert("RGBA")
    return layer if layer.size == size else layer.resize(size, Image.Resampling.BICUBIC)
