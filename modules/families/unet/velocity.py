"""Asks a U-Net what it was trained to say, where its file does not tell."""

from __future__ import annotations

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

LEVEL = 0.5  # of the flat latent and the flat words it is asked with
THRESHOLD = -1.0


@torch.inference_mode()
def says_velocity(unet: UNet2DConditionModel, device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the U-Net's output is a velocity rather than the noise: one call on 8×8 flat latents.

    At the last timestep the input is all but noise. One that says the noise returns about its input, one that says the
    velocity about minus the picture it sees in it, which is far below. (A1111's rule for SD 2 checkpoints.)
    """
    x = torch.full((1, unet.config.in_channels, 8, 8), LEVEL, device=device, dtype=dtype)
    words = torch.full((1, 2, unet.config.cross_attention_dim), LEVEL, device=device, dtype=dtype)
    said = unet(x, torch.tensor(999, device=device), words, return_dict=False)[0]
    return bool((said.float() - x[:, : said.shape[1]].float()).mean() < THRESHOLD)
