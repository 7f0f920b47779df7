"""The starter's U-Net, trained on cached latents; the text encoder has learnt its words already and stays as it is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTextModel

from modules.starter.autoencoder import centred, pixels
from modules.starter.captions import varied
from modules.starter.loop import Average, mixed_precision, progress, run, save, seeded, trapezoid
from modules.starter.scenes import Scene, draw, draw_scene
from modules.starter.text import WIDTH, tokenizer, tokens

BATCH = 32
OFFSET = 0.2


def build() -> UNet2DConditionModel:
    """A fresh U-Net: three levels, cross-attention on the lower two, 8.5 M parameters."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 160),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=32,
    )


def alphas_bar() -> Tensor:
    """Share of signal variance at each of the 1000 steps: Stable Diffusion's scaled-linear betas."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


@dataclass(frozen=True)
class Cache:
    """Scenes with the latents of their drawings: mean and deviation, each (n, 4, 16, 16), unscaled."""

    scenes: tuple[Scene, ...]
    mean: Tensor
    deviation: Tensor
    scale: float

    def sample(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Scaled latents of some rows, drawn anew from what the encoder says of each."""
        mean, deviation = self.mean[rows].float(), self.deviation[rows].float()
        return (mean + deviation * torch.randn(mean.shape, generator=generator)) * self.scale


@torch.no_grad()
def cached(work: Path, seed: int, device: torch.device, vae: AutoencoderKL, count: int) -> Cache:
    """The latents of `count` fresh drawings, encoded once and kept in `work`."""
    rng = random.Random(seed + 2)
    scenes = tuple(draw_scene(rng) for _ in range(count))
    path = work / f"latents-{count}.pt"
    if not path.exists():
        means, deviations = [], []
        for start in progress(range(0, count, 50), "latents"):
            pictures = pixels(draw(scene) for scene in scenes[start : start + 50])
            with mixed_precision(device):
                found = vae.encode(centred(pictures).to(device)).latent_dist
            means.append(found.mean.half().cpu())
            deviations.append(found.std.half().cpu())
        save(path, {"mean": torch.cat(means), "deviation": torch.cat(deviations)})
    kept = torch.load(path, weights_only=True)
    mean, deviation = kept["mean"], kept["deviation"]
    spread = (mean.float().var() + deviation.float().square().mean()).sqrt()
    return Cache(scenes, mean, deviation, round(1 / float(spread), 5))


@dataclass(frozen=True)
class Learner:
    """The U-Net in training, and its moving average, which is what is kept."""

    unet: UNet2DConditionModel
    average: Average

    def averaged(self) -> UNet2DConditionModel:
        """A fresh copy that holds the average."""
        unet = UNet2DConditionModel.from_config(self.unet.config)
        self.average.copy_to(unet)
        return unet.train(False)


def train(
    work: Path,
    seed: int,
    device: torch.device,
    cache: Cache,
    encoder: CLIPTextModel,
    steps: int,
    *,
    unet: UNet2DConditionModel | None = None,
    batch: int = BATCH,
    every: int = 250,
    milestone: Callable[[Learner, int], None] = lambda _learner, _step: None,
) -> Learner:
    """Trains to predict the noise, one caption in ten left out; calls `milestone` at saves."""
    torch.manual_seed(seed + 3)
    unet = (unet or build()).to(device)
    # At these sizes plain products are far faster to train on a processor than fused attention.
    unet.set_attn_processor(AttnProcessor())
    encoder = encoder.train(False).requires_grad_(False)
    learner = Learner(unet, Average(unet, 0.999))
    signal = alphas_bar()
    snr = signal / (1 - signal)
    # Min-SNR-5 (Hang et al. 2023), with more weight where there is hardly any signal: there the words decide.
    weight = ((snr.clamp(max=5) + 0.1) / snr).clamp(max=4)
    words = tokenizer()
    groups = [{"params": list(unet.parameters()), "base": 1e-3}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    def step(number: int) -> tuple[Tensor, str]:
        g = seeded(seed, "unet", number)
        rows = torch.randint(len(cache.scenes), (batch,), generator=g)
        x = cache.sample(rows, g)
        t = torch.randint(1000, (batch,), generator=g)
        # Offset noise: the mean colour cannot be read off the noisy latent, so it has to follow the words.
        noise = torch.randn(x.shape, generator=g) + OFFSET * torch.randn(*x.shape[:2], 1, 1, generator=g)
        a = signal[t].view(-1, 1, 1, 1)
        noisy = (a.sqrt() * x + (1 - a).sqrt() * noise).to(device)
        rng = random.Random(int(torch.randint(2**31, (), generator=g)))
        captions = ["" if rng.random() < 0.1 else varied(cache.scenes[row], rng) for row in rows.tolist()]
        with mixed_precision(device):
            hidden = encoder(tokens(words, captions).to(device)).last_hidden_state
            found = unet(noisy, t.to(device), hidden).sample
        error = F.mse_loss(found.float(), noise.to(device), reduction="none").mean((1, 2, 3))
        return (error * weight[t].to(device)).mean(), f"eps {error.mean().item():.4f}"

    def after(done: int) -> None:
        learner.average.update(unet, done)
        if done % every == 0 or done == steps:
            milestone(learner, done)

    parts = {"unet": unet, "average": learner.average}
    rate = lambda n: trapezoid(n, steps, 200)  # noqa: E731
    run("u-net", work / "unet.pt", parts, optimizer, rate, step, steps, after=after, every=every)
    return learner
