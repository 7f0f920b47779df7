"""The second pass of a picture: it is made larger, and painted over (A1111's "hires. fix")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from modules.engine.job import Job
from modules.engine.latents import Guard, Start, laid_over, noise_of, shortened
from modules.engine.masking import pixels_of
from modules.engine.relay import Cast
from modules.families.family import Model
from modules.images.inputs import Inputs
from modules.images.larger import Size, larger_size
from modules.images.resize import fitted, flattened
from modules.model_manager.hires_check import LATENT
from modules.request import Shot
from modules.result import UsedHires
from modules.sampling.sampler import Sampler
from modules.sampling.schedules import Schedule

Enlarge = Callable[[str, Image.Image, Size], Image.Image]


def second_job(job: Job, sampler: Sampler, schedule: Schedule) -> Job:
    """Return the job of the second pass: its own size, words, sampler, schedule, guidance and number of steps."""
    hires = job.request.hires
    assert hires is not None
    _, (width, height) = larger_size(hires, job.width, job.height)
    own = {"steps": hires.steps or job.request.steps, "cfg_scale": hires.cfg_scale or job.request.cfg_scale}
    request = job.request.model_copy(update=own)
    return replace(job, request=request, sampler=sampler, schedule=schedule, width=width, height=height)


def given(job: Job, inputs: Inputs) -> Image.Image | None:
    """Return the picture (RGB) that takes the place of a first pass, at the size of one; None where there is none."""
    hires = job.request.hires
    if hires is None or not hires.image:
        return None
    return fitted(flattened(inputs.open(hires.image), "#ffffff"), job.width, job.height, "crop")


def encoded(image: Image.Image, pictures: int, model: Model, guard: Guard) -> Tensor:
    """Return the latents (B, C, h, w) of `image`, once for each of `pictures`."""
    latents: Tensor = guard(model.encode_pictures)(pixels_of(image, model.device))
    return latents.expand(pictures, -1, -1, -1)


def steps_of(job: Job, sigmas: Sequence[float]) -> int:
    """Return how many of the steps of `sigmas` the second pass of `job` takes."""
    hires = job.request.hires
    return 0 if hires is None else len(shortened(sigmas, hires.denoising_strength)) - 1


def used_hires(job: Job, shot: Shot, cast: Cast) -> UsedHires | None:
    """Return the second pass of one picture of `job` as a recipe keeps it; None without one."""
    hires = job.request.hires
    if hires is None:
        return None
    _, (width, height) = larger_size(hires, job.width, job.height)
    said = {"prompt": shot.hires_prompt, "negative_prompt": shot.hires_negative_prompt}
    own = cast.second.told if hires.model else {}
    return UsedHires(asked=hires.model_copy(update=said), width=width, height=height, **own)


def start_larger(
    first: Job,
    job: Job,
    model: Model,
    sigmas: Sequence[float],
    made: Tensor | list[Image.Image],
    enlarge: Enlarge,
    guard: Guard,
) -> Start:
    """Return where the second pass starts: what the first `made`, larger, under fresh noise.

    Clean latents (B, C, h, w) are stretched themselves; pictures are enlarged and encoded.
    """
    hires = job.request.hires
    assert hires is not None
    whole, left = larger_size(hires, first.width, first.height)
    if isinstance(made, Tensor):
        mode, smooth = LATENT[hires.upscaler]
        cells = whole[1] // model.latent.factor, whole[0] // model.latent.factor
        clean = _cut(F.interpolate(made, cells, mode=mode, antialias=smooth), left, model.latent.factor)
    else:
        encode = guard(model.encode_pictures)
        images = [_middle(enlarge(hires.upscaler, image, whole), left) for image in made]
        clean = torch.cat([encode(pixels_of(image, model.device)) for image in images])
    again = noise_of(job, model, sigmas)
    noise = again()
    begun = shortened(sigmas, hires.denoising_strength)
    return Start(laid_over(job, model, clean, noise.initial(), begun[0]), begun, noise, again, clean=clean)


def _cut(latents: Tensor, size: Size, factor: int) -> Tensor:
    """Return the middle of `latents`, `size` pixels of it."""
    high, wide = size[1] // factor, size[0] // factor
    top, left = (latents.shape[2] - high) // 2, (latents.shape[3] - wide) // 2
    return latents[:, :, top : top + high, left : left + wide]


def _middle(image: Image.Image, size: Size) -> Image.Image:
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))
