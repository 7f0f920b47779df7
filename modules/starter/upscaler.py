"""A small upscaler for twice the size: the Compact network of Real-ESRGAN, as spandrel reads it.

It learns from drawings reduced to half their size; some went through the starter's autoencoder before, so that it
knows the soft edges of the starter's pictures.
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
    """Pictures (bytes, (n, 3, height, width), sides a multiple of 8) through the autoencoder and back, as bytes."""
    copies = []
    for part in torch.split(pictures, 50):
        with mixed_precision(vae.device):
            copy = vae.decode(vae.encode(centred(part).to(vae.device)).latent_dist.mean).sample
        copies.append((copy.float().clamp(-1, 1) * 127.5 + 127.5).round().byte().cpu())
    return torch.cat(copies)


SHARES: Final = (0.4, 0.4, 0.2)
"""How often a lesson is reduced by either filter, and how often it went through the autoencoder first."""


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
        large = pixels(pictures)
        copies = [Image.fromarray(copy.movedim(0, -1).numpy()) for copy in autoencoded(vae, large)]
        bicubic, box = REDUCTIONS["bicubic"], REDUCTIONS["box"]
        ways = ((pictures, bicubic), (pictures, box), (copies, bicubic))
        small = torch.stack([pixels(reduced(picture, how) for picture in given) for given, how in ways], 1)
        save(path, {"large": large, "small": small})
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
    """Trains on crops with much detail, mirrored and with swapped colours at random."""
    torch.manual_seed(seed + 7)
    network = build().to(device)
    optimizer = torch.optim.Adam([{"params": list(network.parameters()), "base": 1e-3}], lr=1e-3, betas=(0.9, 0.99))

    def step(number: int) -> tuple[Tensor, str]:
        g = seeded(seed, "upscaler", number)
        crops, wanted = [], []
        for row in torch.randint(len(given.large), (batch,), generator=g).tolist():
            way = int(torch.multinomial(torch.tensor(SHARES), 1, generator=g))
            spots: list[list[int]] = torch.randint(SIZE // SCALE - CROP + 1, (3, 2), generator=g).tolist()
            # Most of a drawing is stage, where there is nothing to learn.
            top, left = max(spots, key=lambda spot: _detail(_crop(given.small[row, way], spot[0], spot[1], CROP)))
            planes = torch.randperm(3, generator=g) if torch.rand((), generator=g) < 0.5 else torch.arange(3)
            turn = [axis for axis in (-1, -2) if torch.rand((), generator=g) < 0.5]
            small = _crop(given.small[row, way], top, left, CROP)
            large = _crop(given.large[row], top * SCALE, left * SCALE, CROP * SCALE)
            crops.append(small[planes].flip(turn))
            wanted.append(large[planes].flip(turn))
        x, y = torch.stack(crops).to(device) / 255, torch.stack(wanted).to(device) / 255
        with mixed_precision(device):
            found = network(x)
        error = found.float() - y
        mean, square = error.abs().mean(), error.square().mean()
        # The square puts weight on edges: they are all that PSNR has left to see.
        return mean + 5 * square, f"l1 {mean.item():.4f} mse {square.item():.5f}"

    def after(done: int) -> None:
        if done % every == 0 or done == steps:
            milestone(network, done)

    rate = lambda n: trapezoid(n, steps, 50, 0.4)  # noqa: E731
    run("upscaler", work / "upscaler.pt", {"network": network}, optimizer, rate, step, steps, after=after, every=every)
    return network


def _crop(picture: Tensor, top: int, left: int, side: int) -> Tensor:
    return picture[:, top : top + side, left : left + side]


def _detail(picture: Tensor) -> float:
    return float(picture.float().diff(dim=-1).abs().mean() + picture.float().diff(dim=-2).abs().mean())


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
