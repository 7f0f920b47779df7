"""The second pass of a picture: it is made larger, and painted over (A1111's "hires. fix")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from modules.engine.job import Job
from modules.engine.latents import Guard, Start, noise_of, shortened
from modules.engine.masking import pixels_of
from modules.families.family import Model
from modules.images.larger import Size, larger_size
from modules.model_manager.hires_check import LATENT
from modules.result import UsedHires
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule

Decode = Callable[[Tensor], list[Image.Image]]
Enlarge = Callable[[str, Image.Image, Size], Image.Image]


def second_job(job: Job, sampler: Sampler, schedule: Schedule) -> Job:
    """Return the job of the second pass: its own size, sampler, schedule and number of steps."""
    hires = job.request.hires
    assert hires is not None
    _, (width, height) = larger_size(hires, job.width, job.height)
    request = job.request.model_copy(update={"steps": hires.steps or job.request.steps})
    return replace(job, request=request, sampler=sampler, schedule=schedule, width=width, height=height)


def steps_of(job: Job, sigmas: Sequence[float]) -> int:
    """Return how many of the steps of `sigmas` the second pass of `job` takes."""
    hires = job.request.hires
    return 0 if hires is None else len(shortened(sigmas, hires.denoising_strength)) - 1


def used_hires(job: Job) -> UsedHires | None:
    """Return the second pass of `job` as a recipe keeps it; None without one."""
    hires = job.request.hires
    if hires is None:
        return None
    _, (width, height) = larger_size(hires, job.width, job.height)
    return UsedHires(asked=hires, width=width, height=height)


def start_larger(
    first: Job,
    job: Job,
    model: Model,
    sigmas: Sequence[float],
    clean: Tensor,
    decode: Decode,
    enlarge: Enlarge,
    guard: Guard,
) -> Start:
    """Return where the second pass starts: the `clean` latents (B, C, h, w) of the first, larger, under fresh noise.

    They are stretched themselves, or decoded, enlarged as pictures and encoded again.
    """
    hires = job.request.hires
    assert hires is not None
    whole, left = larger_size(hires, first.width, first.height)
    if hires.upscaler in LATENT:
        mode, smooth = LATENT[hires.upscaler]
        cells = whole[1] // model.latent.factor, whole[0] // model.latent.factor
        clean = _cut(F.interpolate(clean, cells, mode=mode, antialias=smooth), left, model.latent.factor)
    else:
        encode = guard(model.encode_pictures)
        images = [_middle(enlarge(hires.upscaler, image, whole), left) for image in decode(clean)]
        clean = torch.cat([encode(pixels_of(image, model.device)) for image in images])
    again = noise_of(job, model, sigmas)
    noise = again()
    begun = shortened(sigmas, hires.denoising_strength)
    return Start(model.prediction.noised(clean, noise.initial(), begun[0]), begun, noise, again, clean=clean)


def _cut(latents: Tensor, size: Size, factor: int) -> Tensor:
    """Return the middle of `latents`, `size` pixels of it."""
    high, wide = size[1] // factor, size[0] // factor
    top, left = (latents.shape[2] - high) // 2, (latents.shape[3] - wide) // 2
    return latents[:, :, top : top + high, left : left + wide]


def _middle(image: Image.Image, size: Size) -> Image.Image:
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))
