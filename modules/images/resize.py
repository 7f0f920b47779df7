"""Pictures brought to a size: stretched, cut to it, or whole with their edges drawn out to fill the rest."""

from __future__ import annotations

from PIL import Image

from modules.request import Resize

_SMOOTH = Image.Resampling.LANCZOS


def fitted(image: Image.Image, width: int, height: int, mode: Resize) -> Image.Image:
    """Return `image` with exactly `width` x `height` pixels; one that has them already is returned as it is."""
    if image.size == (width, height):
        return image
    if mode == "stretch":
        return image.resize((width, height), _SMOOTH)
    return _covering(image, width, height) if mode == "crop" else _contained(image, width, height)


def scaled_size(width: int, height: int, factor: float, least: int, most: int, step: int) -> tuple[int, int]:
    """Return the size `factor` times as large, each side a multiple of `step` between `least` and `most` pixels."""
    sides = (min(max(round(side * factor / step) * step, least), most) for side in (width, height))
    wide, high = sides
    return wide, high


def flattened(image: Image.Image, background: str) -> Image.Image:
    """Return `image` as RGB, with the colour `background` ("#rrggbb") where it is transparent."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    paper = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(paper, image).convert("RGB")


def _covering(image: Image.Image, width: int, height: int) -> Image.Image:
    factor = max(width / image.width, height / image.height)
    wide, high = max(width, round(image.width * factor)), max(height, round(image.height * factor))
    large = image.resize((wide, high), _SMOOTH)
    left, top = (wide - width) // 2, (high - height) // 2
    return large.crop((left, top, left + width, top + height))


def _contained(image: Image.Image, width: int, height: int) -> Image.Image:
    factor = min(width / image.width, height / image.height)
    wide, high = min(width, max(1, round(image.width * factor))), min(height, max(1, round(image.height * factor)))
    small = image.resize((wide, high), _SMOOTH)
    left, top = (width - wide) // 2, (height - high) // 2
    whole = Image.new(image.mode, (width, height))
    if top:
        above, below = small.crop((0, 0, wide, 1)), small.crop((0, high - 1, wide, high))
        whole.paste(above.resize((width, top)), (0, 0))
        whole.paste(below.resize((width, height - top - high)), (0, top + high))
    elif left:
        before, after = small.crop((0, 0, 1, high)), small.crop((wide - 1, 0, wide, high))
        whole.paste(before.resize((left, height)), (0, 0))
        whole.paste(after.resize((width - left - wide, height)), (left + wide, 0))
    whole.paste(small, (left, top))
    return whole
