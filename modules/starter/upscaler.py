"""A small upscaler for twice the size: the Compact network of Real-ESRGAN, as spandrel reads it.

It learns from drawings reduced to half their size, and from reduced drawings that went through the starter's
autoencoder: so it sharpens what the starter makes, and leaves what is sharp already as it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from torch import Tensor
from torch.nn import functional as F

from modules.starter.autoencoder import centred, pixels
from modules.starter.loop import mixed_precision, progress, run, save, seeded, trapezoid
from modules.starter.scenes import SIZE, draw, draw_scene

FEATURES, LAYERS, SCALE = 40, 8, 2
BATCH = 16
CROP = 32  # side of a lesson before it is enlarged

REDUCTIONS: Final = MappingProxyType({"bicubic": Image.Resampling.BICUBIC, "box": Image.Resampling.BOX})


def build() -> Compact:
    """A fresh network: 8 layers of 40 channels behind the first, 0.12 M parameters."""
    return Compact(num_feat=FEATURES, num_conv=LAYERS, upscale=SCALE)


def reduced(picture: Image.Image, how: Image.Resampling) -> Image.Image:
    """A picture at half its size."""
    return picture.resize((picture.width // SCALE, picture.height // SCALE), how)


@torch.no_grad()
def autoencoded(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Pictures (bytes, (n, 3, height, width), sides divisible by 8) through the autoencoder and back, as bytes."""
    copies = []
    for part in torch.split(pictures, 50):
        with mixed_precision(vae.device):
            copy = vae.decode(vae.encode(centred(part).to(vae.device)).latent_dist.mean).sample
        copies.append((copy.float().clamp(-1, 1) * 127.5 + 127.5).round().byte().cpu())
    return torch.cat(copies)


@dataclass(frozen=True)
class Lessons:
    """Pictures as bytes: `large` (n, 3, 128, 128), and three ways to be given each: `small` (n, 3, 3, 64, 64)."""

    large: Tensor
    small: Tensor


def lessons(work: Path, seed: int, vae: AutoencoderKL, count: int) -> Lessons:
    """Draws and reduces `count` fresh scenes once and keeps them in `work`."""
    path = work / f"lessons-{count}.pt"
    if not path.exists():
        rng = random.Random(seed + 6)
        pictures = [draw(draw_scene(rng)) for _ in progress(range(count), "drawings")]
        ways = [pixels(reduced(picture, how) for picture in pictures) for how in REDUCTIONS.values()]
        both = torch.cat([ways[0][::2], ways[1][1::2]])
        order = torch.cat([torch.arange(0, count, 2), torch.arange(1, count, 2)]).argsort()
        small = torch.stack([*ways, autoencoded(vae, both)[order]], 1)
        save(path, {"large": pixels(pictures), "small": small})
    kept = torch.load(path, weights_only=True)
    return Lessons(kept["large"], kept["small"])


def train(
    work: Path,
    seed: int,
    device: torch.device,
    given: Lessons,
    steps: int,
    *,
    batch: int = BATCH,
    every: int = 250,
    milestone: Callable[[Compact, int], None] = lambda _network, _step: None,
) -> Compact:
    """Trains on crops, mirrored and with swapped colours at random; a third of them autoencoded."""
    torch.manual_seed(seed + 7)
    network = build().to(device)
    optimizer = torch.optim.Adam([{"params": list(network.parameters()), "base": 1e-3}], lr=1e-3, betas=(0.9, 0.99))

    def step(number: int) -> tuple[Tensor, str]:
        g = seeded(seed, "upscaler", number)
        crops, wanted = [], []
        for row in torch.randint(len(given.large), (batch,), generator=g).tolist():
            way = int(torch.randint(given.small.shape[1], (), generator=g))
            top, left = torch.randint(SIZE // SCALE - CROP + 1, (2,), generator=g).tolist()
            planes = torch.randperm(3, generator=g) if torch.rand((), generator=g) < 0.5 else torch.arange(3)
            turn = [axis for axis in (-1, -2) if torch.rand((), generator=g) < 0.5]
            small = given.small[row, way, :, top : top + CROP, left : left + CROP]
            high, wide = top * SCALE, left * SCALE
            large = given.large[row, :, high : high + CROP * SCALE, wide : wide + CROP * SCALE]
            crops.append(small[planes].flip(turn))
            wanted.append(large[planes].flip(turn))
        x, y = torch.stack(crops).to(device) / 255, torch.stack(wanted).to(device) / 255
        with mixed_precision(device):
            found = network(x)
        error = found.float() - y
        return error.abs().mean(), f"l1 {error.abs().mean().item():.4f} mse {error.square().mean().item():.5f}"

    def after(done: int) -> None:
        if done % every == 0 or done == steps:
            milestone(network, done)

    rate = lambda n: trapezoid(n, steps, 50, 0.4)  # noqa: E731
    run("upscaler", work / "upscaler.pt", {"network": network}, optimizer, rate, step, steps, after=after, every=every)
    return network


def export(path: Path, network: Compact) -> None:
    """Writes the weights in half precision by renaming: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    weights = {key: value.detach().cpu().half().contiguous() for key, value in network.state_dict().items()}
    save_file(weights, fresh, {"format": "pt"})
    fresh.chmod(0o644)
    fresh.replace(path)


@torch.no_grad()
def enlarged(network: Compact, pictures: Tensor) -> Tensor:
    """Pictures (bytes, (n, 3, height, width)) at twice their size, as bytes."""
    device = next(network.parameters()).device
    parts = [
        network(part.to(device) / 255).clamp(0, 1).mul(255).round().byte().cpu() for part in torch.split(pictures, 10)
    ]
    return torch.cat(parts)


def stretched(pictures: Sequence[Image.Image]) -> Tensor:
    """What there is to beat: twice the size by PIL's bicubic filter, as bytes."""
    return pixels(
        picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.BICUBIC)
        for picture in pictures
    )


def decibels(found: Tensor, wanted: Tensor) -> float:
    """Mean peak signal-to-noise ratio of pictures (bytes) in dB."""
    error = F.mse_loss(found.float(), wanted.float(), reduction="none").mean((1, 2, 3)).clamp(min=1e-3)
    return float((10 * torch.log10(255**2 / error)).mean())
