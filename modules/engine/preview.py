"""How a picture looks while it is made: its latents through a linear map, as a small WebP."""

from __future__ import annotations

import base64
import io

import torch
from PIL import Image
from torch import Tensor

from modules.families.family import LatentFormat

SIDE = 192  # pixels at most
QUALITY = 60


def preview(latent: Tensor, like: LatentFormat) -> str:
    """Return the latent (C, h, w) of a clean guess as WebP in base64, no side above 192 pixels."""
    cells = latent.float().flatten(1).T.cpu()
    bias, matrix = (torch.tensor(values, dtype=torch.float32) for values in (like.bias, like.rgb))
    rgb = torch.addmm(bias, cells, matrix).reshape(*latent.shape[1:], 3)
    colours = (rgb * 127.5 + 127.5).nan_to_num().clamp(0, 255).byte()
    image = Image.fromarray(colours.numpy())
    scale = min(like.factor, SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    written = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(written, "WEBP", quality=QUALITY, method=0)
    return base64.b64encode(written.getvalue()).decode("ascii")
