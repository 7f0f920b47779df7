"""Latents to images."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from modules.errors import BrokenPicture
from modules.families.family import Model


def decode(model: Model, latents: Tensor) -> list[Image.Image]:
    """Return the pictures of `latents` (B, C, h, w), decoded one by one: the peak of memory is one picture's.

    Raises `BrokenPicture` when not-a-number comes out: a black picture would say nothing.
    """
    return [_image(model, latent) for latent in torch.split(latents, 1)]


def _image(model: Model, latent: Tensor) -> Image.Image:
    pixels = model.decode(latent)[0]
    if not bool(torch.isfinite(pixels).all()):
        raise BrokenPicture("broken_decode", dtype=str(model.dtype).removeprefix("torch."))
    levels = (pixels * 127.5 + 127.5).round().clamp(0, 255).byte()
    return Image.fromarray(levels.permute(1, 2, 0).cpu().numpy())
