"""Where a picture starts: noise of its own seed, alone or over the latents of a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from modules.engine.canvas import Canvas, on_cells
from modules.engine.job import Job
from modules.engine.masking import Kept, pixels_of
from modules.engine.tiling import Window, WindowNoise
from modules.families.family import Model
from modules.sampling.noise import Noise, Turned

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]
_MOST = 0.999  # of the steps that a denoising strength of 1 leaves: the first is always taken


@dataclass(frozen=True)
class Start:
    """The latents (B, C, h, w; float32) at `sigmas[0]`, and the noise the sampler goes on drawing from.

    `kept` is what the mask keeps; `beside` (1, further, h, w) what the network reads beside the noisy latents; `clean`
    what is painted over. `again` gives the same noise from its beginning.
    """

    latents: Tensor
    sigmas: Sequence[float]
    noise: Noise | WindowNoise
    again: Callable[[], Noise]
    kept: Kept | None = None
    beside: Tensor | None = None
    clean: Tensor | None = None

    def within(self, window: Window) -> Start:
        """Return the start of one tile, as if it were a picture of its own."""
        kept = self.kept
        if kept is not None:
            kept = replace(kept, latents=window.of(kept.latents), mask=window.of(kept.mask))
        noise = window.noise(self.again())
        return replace(self, latents=window.of(self.latents).contiguous(), noise=noise, kept=kept)


def start(job: Job, model: Model, sigmas: Sequence[float], canvas: Canvas | None, guard: Guard) -> Start:
    """Return where the pictures of `job` start; `guard` wraps what may find no room."""
    high, wide = job.height // model.latent.factor, job.width // model.latent.factor
    again = noise_of(job, model, sigmas)
    noise = again()
    fresh = noise.initial()
    if canvas is None:
        return Start(_begun(job, model, fresh, sigmas[0]), sigmas, noise, again)
    encode = guard(model.encode_pictures)
    clean = _latents(canvas, encode, model, (high, wide)).expand(len(fresh), -1, -1, -1)
    beside = _beside(canvas, encode, model, (high, wide))
    kept = None
    if canvas.mask is not None and canvas.asked is not None:
        soft = canvas.asked.soft
        cells = torch.from_numpy(on_cells(canvas.mask, wide, high, rounded=soft is None))[None, None].to(clean)
        if canvas.asked.fill == "noise":
            clean = clean * (1 - cells) + fresh * cells
        elif canvas.asked.fill == "nothing":
            clean = clean * (1 - cells)
        kept = Kept(clean, cells, soft)
    left = shortened(sigmas, canvas.part.denoising_strength)
    latents = laid_over(job, model, clean, fresh * canvas.part.noise_multiplier, left[0])
    return Start(latents, left, noise, again, kept, beside, clean)


def laid_over(job: Job, model: Model, clean: Tensor, fresh: Tensor, sigma: float) -> Tensor:
    """Return `clean` latents at the level `sigma` with `fresh` noise, and with as much more as `job` asks for.

    The sampler is not told of what is more, and makes details of it (A1111's "extra noise").
    """
    noised = model.prediction.noised(clean, fresh, sigma)
    asked = job.request.sampling
    if asked is None or not asked.extra_noise:
        return noised
    return noised + fresh * (asked.extra_noise * model.prediction.alpha(sigma))


def _begun(job: Job, model: Model, fresh: Tensor, sigma: float) -> Tensor:
    """Return the latents that are nothing but noise, as strong as the level says or, if asked for, as in training."""
    begun = model.prediction.start(fresh, sigma)
    if job.request.sampling is None or not job.request.sampling.sgm_noise_multiplier:
        return begun
    return begun * (math.hypot(model.prediction.alpha(sigma), sigma) / sigma)


def noise_of(job: Job, model: Model, sigmas: Sequence[float]) -> Callable[[], Noise]:
    """Return what makes the noise of the pictures of `job`, from its beginning each time."""
    return partial(
        Noise,
        [shot.seed for shot in job.shots],
        (model.latent.channels, job.height // model.latent.factor, job.width // model.latent.factor),
        model.device,
        job.sampler.noise,
        job.request.noise_source,
        sigmas,
        _turned(job, model.latent.factor),
        job.request.seed_delta,
    )


def _turned(job: Job, factor: int) -> Turned | None:
    """Return what the noise of `job` is turned towards, if anything."""
    variation = job.request.variation
    if variation is None:
        return None
    size = (variation.from_height // factor, variation.from_width // factor) if variation.resized else None
    return Turned([shot.variation_seed for shot in job.shots], variation.strength, size)


def shortened(sigmas: Sequence[float], denoising_strength: float) -> list[float]:
    """Return the levels that are left of n steps at a strength of 0..1: int(strength * n) + 1 steps (A1111's rule)."""
    steps = len(sigmas) - 1
    return list(sigmas[steps - int(min(denoising_strength, _MOST) * steps) - 1 :])


def _latents(canvas: Canvas, encode: Callable[..., Any], model: Model, cells: tuple[int, int]) -> Tensor:
    image = canvas.begun
    if canvas.part.resize_mode == "latent" and canvas.mask is None:
        factor = model.latent.factor
        image = image.crop((0, 0, image.width // factor * factor, image.height // factor * factor))
    latents: Tensor = encode(pixels_of(image, model.device))
    if latents.shape[2:] != cells:
        latents = F.interpolate(latents, cells, mode="bilinear")
    return latents


def _beside(canvas: Canvas, encode: Callable[..., Any], model: Model, cells: tuple[int, int]) -> Tensor | None:
    """Return what a network made to change pictures reads: the picture, or a mask and the picture without its hole.

    A picture to follow comes as the autoencoder says it, unscaled; one with a hole as the sampler knows it. The hole is
    as deep as the picture's `mask_weight` says: at 0 all of the picture is seen.
    """
    if not model.further:
        return None
    size = tuple(side * model.latent.factor for side in cells)
    pixels = F.interpolate(pixels_of(canvas.begun, model.device), size, mode="bilinear", antialias=True)
    if model.further == model.latent.channels:
        found: Tensor = encode(pixels)
        return found / model.latent.scale + model.latent.shift
    hole = torch.ones((1, 1, *size), device=model.device)
    if canvas.mask is not None:
        levels = on_cells(canvas.mask, size[1], size[0], rounded=True)
        hole = torch.from_numpy(levels)[None, None].to(model.device)
    rest: Tensor = encode(pixels * (1 - hole * canvas.part.mask_weight))
    return torch.cat([F.interpolate(hole, cells).to(rest), rest], dim=1)
