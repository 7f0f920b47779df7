"""A ControlNet for the starter: canny edges to pictures (Zhang et al. 2023), beside a U-Net that stays as it is."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from modules.starter.autoencoder import centred, pixels
from modules.starter.captions import varied
from modules.starter.generate import Ask, Starter
from modules.starter.loop import Average, mixed_precision, progress, run, save, seeded, trapezoid
from modules.starter.scenes import SIZE, Scene, draw, draw_scene
from modules.starter.text import tokens
from modules.starter.unet import OFFSET, Cache, alphas_bar

Pixels = NDArray[Any]

BATCH = 16
THRESHOLDS = (100, 200)
WORDLESS = 1 / 3
"""Share of captions left out: what the words do not say has to be read off the edges."""

_REACH = 14  # pixels a drawing may be shifted by


def build(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet that begins as a copy of the U-Net's first half and changes nothing yet."""
    control: ControlNetModel = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32, 64))
    # Its outputs are zero to begin with, which is enough. Were the hint's last layer zero too, as it comes, the first
    # steps would teach the outputs to answer to nothing.
    control.controlnet_cond_embedding.conv_out.reset_parameters()
    return control


def edges(pictures: Tensor, thresholds: Sequence[tuple[int, int]]) -> Tensor:
    """The canny edges of pictures (bytes, (n, 3, height, width)): 0 or 1, of the same shape, three equal planes.

    `thresholds`: the low and the high one for each picture.
    """
    found = [
        cv2.Canny(np.ascontiguousarray(picture), low, high)
        for picture, (low, high) in zip(pictures.movedim(1, -1).numpy(), thresholds, strict=True)
    ]
    return torch.from_numpy(np.stack(found) > 0).float()[:, None].expand(-1, 3, -1, -1)


@dataclass(frozen=True)
class Move:
    """A drawing out of its place: the U-Net knows where things stand by rule, only the edges say where they are now."""

    mirrored: bool
    left: int
    up: int

    @classmethod
    def random(cls, scene: Scene, rng: random.Random) -> Move:
        """Mirrors a lone thing half of the time, and shifts one drawing in three."""
        mirrored = scene.relation is None and rng.random() < 0.5
        left, up = (rng.randint(-_REACH, _REACH) for _ in "xy") if rng.random() < 1 / 3 else (0, 0)
        return cls(mirrored, left, up)

    def of(self, picture: Pixels) -> Pixels:
        """A moved copy of a picture, a plane or a mask, (128, 128, ...); the rim is stretched where it must be."""
        turned = picture[:, ::-1] if self.mirrored else picture
        wide = np.pad(turned, ((_REACH, _REACH), (_REACH, _REACH), *((0, 0),) * (picture.ndim - 2)), mode="edge")
        top, left = _REACH + self.up, _REACH + self.left
        moved: Pixels = wide[top : top + SIZE, left : left + SIZE]
        return moved


def drawn(scene: Scene, move: Move) -> Image.Image:
    """The drawing of a scene, moved."""
    return Image.fromarray(move.of(np.asarray(draw(scene))))


def controlled(starter: Starter, control: ControlNetModel, hints: Tensor, weight: float = 1.0) -> Ask:
    """The U-Net asked with a ControlNet beside it.

    `hints`: (n, 3, height, width) in 0..1, one for each picture, for a prompt and for none; `weight`: its strength.
    """
    both = torch.cat([hints] * 2).to(control.device)

    def ask(x: Tensor, timestep: float, hidden: Tensor) -> Tensor:
        down, middle = control(x, timestep, hidden, both, conditioning_scale=weight, return_dict=False)
        found: Tensor = starter.unet(
            x, timestep, hidden, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
        return found

    return ask


@dataclass(frozen=True)
class Lessons:
    """Drawings as bytes, (n, 3, 128, 128), with their scenes and latents."""

    pictures: Tensor
    cache: Cache


@torch.no_grad()
def lessons(work: Path, seed: int, vae: AutoencoderKL, count: int) -> Lessons:
    """Draws and encodes `count` fresh scenes once and keeps them in `work`."""
    rng = random.Random(seed + 4)
    scenes = tuple(draw_scene(rng) for _ in range(count))
    path = work / f"lessons-{count}.pt"
    if not path.exists():
        pictures, means, deviations = [], [], []
        for start in progress(range(0, count, 50), "lessons"):
            pictures.append(pixels(drawn(scene, Move.random(scene, rng)) for scene in scenes[start : start + 50]))
            with mixed_precision(vae.device):
                found = vae.encode(centred(pictures[-1]).to(vae.device)).latent_dist
            means.append(found.mean.half().cpu())
            deviations.append(found.std.half().cpu())
        save(path, {"pictures": torch.cat(pictures), "mean": torch.cat(means), "deviation": torch.cat(deviations)})
    kept = torch.load(path, weights_only=True)
    return Lessons(kept["pictures"], Cache(scenes, kept["mean"], kept["deviation"], vae.config.scaling_factor))


@dataclass(frozen=True)
class Learner:
    """The ControlNet in training, and its moving average, which is what is kept."""

    control: ControlNetModel
    average: Average

    def averaged(self) -> ControlNetModel:
        """A fresh copy that holds the average."""
        control = ControlNetModel.from_config(self.control.config)
        self.average.copy_to(control)
        return control.train(False)


def train(
    work: Path,
    seed: int,
    starter: Starter,
    given: Lessons,
    steps: int,
    *,
    batch: int = BATCH,
    every: int = 100,
    milestone: Callable[[Learner, int], None] = lambda _learner, _step: None,
) -> Learner:
    """Trains to predict the noise of drawings from their edges; calls `milestone` at saves.

    The starter's own parts are frozen: only the ControlNet learns.
    """
    torch.manual_seed(seed + 5)
    device, cache = starter.unet.device, given.cache
    for module in (starter.unet, starter.encoder, starter.vae):
        module.requires_grad_(False)
    control = build(starter.unet).to(device)
    # At these sizes plain products are far faster to train on a processor than fused attention.
    control.set_attn_processor(AttnProcessor())
    starter.unet.set_attn_processor(AttnProcessor())
    learner = Learner(control, Average(control, 0.99))
    signal = alphas_bar()
    snr = signal / (1 - signal)
    weight = ((snr.clamp(max=5) + 0.1) / snr).clamp(max=4)  # as the U-Net's
    fresh = ("controlnet_cond_embedding", "controlnet_down_blocks", "controlnet_mid_block")
    groups = [
        {"params": [p for name, p in control.named_parameters() if name.startswith(fresh) is new], "base": base}
        for new, base in ((True, 1e-3), (False, 4e-4))
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    def step(number: int) -> tuple[Tensor, str]:
        g = seeded(seed, "control", number)
        rows = torch.randint(len(cache.scenes), (batch,), generator=g)
        x = cache.sample(rows, g)
        # Where things stand is decided while there is more noise than picture.
        t = (torch.rand(batch, generator=g).sqrt() * 1000).long().clamp(max=999)
        noise = torch.randn(x.shape, generator=g) + OFFSET * torch.randn(*x.shape[:2], 1, 1, generator=g)
        a = signal[t].view(-1, 1, 1, 1)
        noisy = (a.sqrt() * x + (1 - a).sqrt() * noise).to(device)
        rng = random.Random(int(torch.randint(2**31, (), generator=g)))
        captions = ["" if rng.random() < WORDLESS else varied(cache.scenes[row], rng) for row in rows.tolist()]
        hint = edges(given.pictures[rows], [_thresholds(rng) for _ in captions]).to(device)
        with mixed_precision(device):
            hidden = starter.encoder(tokens(starter.words, captions).to(device)).last_hidden_state
            down, middle = control(noisy, t.to(device), hidden, hint, return_dict=False)
            found = starter.unet(
                noisy,
                t.to(device),
                hidden,
                down_block_additional_residuals=down,
                mid_block_additional_residual=middle,
            ).sample
        error = F.mse_loss(found.float(), noise.to(device), reduction="none").mean((1, 2, 3))
        return (error * weight[t].to(device)).mean(), f"eps {error.mean().item():.4f}"

    def after(done: int) -> None:
        learner.average.update(control, done)
        if done % every == 0 or done == steps:
            milestone(learner, done)

    parts = {"control": control, "average": learner.average}
    rate = lambda n: trapezoid(n, steps, 50)  # noqa: E731
    run("control", work / "control.pt", parts, optimizer, rate, step, steps, after=after, every=every)
    return learner


def _thresholds(rng: random.Random) -> tuple[int, int]:
    if rng.random() < 0.5:
        return THRESHOLDS
    low = rng.randint(50, 150)
    return low, low + rng.randint(50, 150)
