"""The starter's autoencoder: pictures to latents an eighth of their size, and back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from modules.starter.loop import cosine, done, mixed_precision, run, seeded
from modules.starter.scenes import draw, draw_scene

CROP = 64


def build() -> AutoencoderKL:
    """A fresh autoencoder: factor 8, 4 latent channels, no attention, 1.6 M parameters."""
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        mid_block_add_attention=False,
        sample_size=128,
    )


def pixels(pictures: Iterable[Image.Image]) -> Tensor:
    """Pictures of one size as bytes, (n, 3, height, width)."""
    stacked = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def drawings(seed: int, count: int) -> Tensor:
    """`count` random drawings as bytes, (count, 3, 128, 128)."""
    rng = random.Random(seed)
    return pixels(draw(draw_scene(rng)) for _ in range(count))


def centred(pictures: Tensor) -> Tensor:
    """Bytes to -1..1."""
    return pictures.float() / 127.5 - 1


def train(work: Path, seed: int, device: torch.device, steps: int, count: int = 5000) -> AutoencoderKL:
    """Trains on crops (the network is convolutional, a crop costs a quarter), a quarter of them in swapped colours."""
    torch.manual_seed(seed)
    vae = build().to(device)
    path = work / "autoencoder.pt"
    pictures = drawings(seed, count if done(path) < steps else 1)
    optimizer = torch.optim.AdamW([{"params": list(vae.parameters()), "base": 2e-3}], lr=2e-3, weight_decay=1e-3)

    def step(number: int) -> tuple[Tensor, str]:
        g = seeded(seed, "autoencoder", number)
        crops = []
        for which in torch.randint(len(pictures), (16,), generator=g).tolist():
            top, left = torch.randint(pictures.shape[-1] - CROP + 1, (2,), generator=g).tolist()
            crop = pictures[which, :, top : top + CROP, left : left + CROP]
            swapped = torch.rand((), generator=g) < 0.25
            crops.append(crop[torch.randperm(3, generator=g)] if swapped else crop)
        x = centred(torch.stack(crops)).to(device)
        with mixed_precision(device):
            found = vae.encode(x).latent_dist
            noise = torch.randn(found.mean.shape, generator=g).to(device)
            y = vae.decode(found.mean + found.std * noise).sample
        error = y.float() - x
        loss = error.abs().mean() + 2 * error.square().mean() + 1e-5 * found.kl().float().mean()
        return loss, f"loss {loss.item():.4f} mse {error.square().mean().item():.5f}"

    run("autoencoder", path, {"vae": vae}, optimizer, lambda n: cosine(n, steps, 300), step, steps)
    return vae.eval().requires_grad_(False)


@torch.no_grad()
def psnr(vae: AutoencoderKL, pictures: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of whole pictures (bytes) coded and decoded."""
    device = next(vae.parameters()).device
    values = []
    for part in torch.split(pictures, 16):
        x = centred(part).to(device)
        y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
        values.append(-10 * torch.log10(F.mse_loss(y, x, reduction="none").mean((1, 2, 3)) / 4))
    return float(torch.cat(values).mean())
