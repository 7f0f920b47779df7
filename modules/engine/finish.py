"""Latents to images, and those back into what they were painted over."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from modules.engine.canvas import Canvas
from modules.engine.ladder import Ladder
from modules.engine.masking import Kept, adaptive_masks
from modules.engine.memory import NoRoom
from modules.errors import BrokenPicture
from modules.families.family import Model

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes a call raise `NoRoom` when there is no room."""


def decode(model: Model, ladder: Ladder, guard: Guard, latents: Tensor) -> list[Image.Image]:
    """Return the pictures of `latents` (B, C, h, w), decoded one by one: the peak of memory is one picture's.

    Where there is no room a picture is decoded in pieces, and in float32 where half precision gives not-a-number.
    Raises `NoRoom` when even that is too much, `BrokenPicture` when it is still no number: a black picture would say
    nothing.
    """
    return [_image(model, ladder, guard, latent) for latent in torch.split(latents, 1)]


def finished(canvas: Canvas | None, pictures: list[Image.Image], kept: Kept | None, clean: Tensor) -> list[Image.Image]:
    """Return the pictures put back into what they were painted over; `clean` are their latents."""
    if canvas is None:
        return pictures
    masks = (adaptive_masks(kept, clean) if kept is not None else None) or repeat(None)
    return [canvas.finished(image, mask) for image, mask in zip(pictures, masks, strict=False)]


def _image(model: Model, ladder: Ladder, guard: Guard, latent: Tensor) -> Image.Image:
    pixels = _pixels(model, ladder, guard, latent)
    if not _are_numbers(pixels) and not ladder.exact and model.dtype != torch.float32:
        ladder.in_full()
        pixels = _pixels(model, ladder, guard, latent)
    if not _are_numbers(pixels):
        raise BrokenPicture("broken_decode", dtype="float32" if ladder.exact else _name(model.dtype))
    levels = (pixels * 127.5 + 127.5).round().clamp(0, 255).byte()
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())


def _pixels(model: Model, ladder: Ladder, guard: Guard, latent: Tensor) -> Tensor:
    while True:
        pixels: Tensor | None = None
        try:
            pixels = guard(partial(model.decode, tile=ladder.tile, exact=ladder.exact))(latent)[0]
        except NoRoom:
            if not ladder.smaller_tiles():
                raise
        if pixels is not None:
            return pixels


def _are_numbers(pixels: Tensor) -> bool:
    return bool(torch.isfinite(pixels).all())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
