"""Where a picture starts: noise of its own seed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from modules.engine.job import Job
from modules.families.family import Model
from modules.sampling.noise import Noise


def start(job: Job, model: Model, sigmas: Sequence[float]) -> tuple[Tensor, Noise]:
    """Return the latents (B, C, h, w; float32) at `sigmas[0]`, and the noise the sampler goes on drawing from."""
    shape = (model.latent.channels, job.height // model.latent.factor, job.width // model.latent.factor)
    noise = Noise([shot.seed for shot in job.shots], shape, model.device, job.sampler.noise, sigmas=sigmas)
    return model.prediction.start(noise.initial(), sigmas[0]), noise
