"""The contract of an upscaler: an image in, an image of exactly the asked size out."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

Size = tuple[int, int]
"""Width and height in pixels."""

Tell = Callable[[int, int], None]
"""Hears that so many pieces of so many are done. It may raise: then nothing more is wanted."""

Enlarge = Callable[[Image.Image, Size, Tell], Image.Image]
"""Makes of an RGB or RGBA image one of the same mode and of exactly that size; the same for the same input."""


@dataclass(frozen=True)
class Upscaler:
    """One upscaler, offered through the `upscalers` hook; `name` is what a person chooses and a task says."""

    name: str
    enlarge: Enlarge
