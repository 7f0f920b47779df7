"""What the mask does while a picture emerges: the ring that keeps what is not painted, hard or soft."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.request import Soft
from modules.sampling.sampler import Denoise

_KERNEL = 2  # cells around one that its distance is taken from
_SPREAD = 1.5  # cells, the deviation of their weights
_FILTERS = ((0.9, 1.0), (0.25, 0.75))  # which share of them counts: first what stands out, then what is usual


@dataclass(frozen=True)
class Kept:
    """The latents (B, C, h, w) of the picture that is painted over, and where: `mask` (1, 1, h, w), 1 is painted."""

    latents: Tensor
    mask: Tensor
    soft: Soft | None = None

    def blended(self, made: Tensor) -> Tensor:
        """Return `made` where the mask is, else the kept latents; soft inpainting decides that on pixels instead."""
        return made if self.soft is not None else self.latents * (1 - self.mask) + made * self.mask


def keeping(denoise: Denoise, kept: Kept) -> Denoise:
    """Return `denoise` whose guess is the kept picture where nothing is painted: inpainting on any model."""

    def step(x: Tensor, sigma: float) -> Tensor:
        made = denoise(x, sigma)
        if kept.soft is None:
            return kept.blended(made)
        return _mixed(kept.latents, made, _weight(kept.mask, sigma, kept.soft), kept.soft.transition_contrast)

    return step


def _weight(mask: Tensor, sigma: float, soft: Soft) -> Tensor:
    """Return how much of the guess counts at `sigma`: half-masked cells are kept while there is much noise."""
    weight: Tensor = mask ** (sigma**soft.schedule_bias * soft.preservation_strength)
    return weight


def _mixed(kept: Tensor, made: Tensor, weight: Tensor, contrast: float) -> Tensor:
    """Return the mean of both in direction, and in length the power mean of `contrast`: a plain mean would fade."""
    mean = kept * (1 - weight) + made * weight
    lengths = [each.double().norm(dim=1, keepdim=True) for each in (kept, made)]
    wanted = (lengths[0] ** contrast * (1 - weight) + lengths[1] ** contrast * weight) ** (1 / contrast)
    mixed: Tensor = mean * (wanted / (mean.double().norm(dim=1, keepdim=True) + 1e-5))
    return mixed.to(made.dtype)


def adaptive_masks(kept: Kept, made: Tensor) -> list[Image.Image] | None:
    """Return for each picture of `made` what of it shows ("L", a pixel for each cell); None without soft inpainting.

    What has changed a lot shows, what has hardly changed stays the original's.
    """
    if kept.soft is None:
        return None
    half = _half_way(kept.mask[0, 0].float().cpu().numpy(), kept.soft)
    distances = (made - kept.latents).float().norm(dim=1).cpu().numpy()
    return [_shown(distance, half, kept.soft.difference_contrast) for distance in distances]


def _half_way(mask: np.ndarray, soft: Soft) -> np.ndarray:
    """Return the distance at which the original shows by half."""
    masked = 1 - np.clip(mask, 0, 1) ** (soft.preservation_strength / 2)
    share = 0.5 * (1 - soft.mask_influence) + masked * soft.mask_influence
    half: np.ndarray = soft.difference_threshold * share / (1.00001 - share)
    return half


def _shown(distance: np.ndarray, half: np.ndarray, contrast: float) -> Image.Image:
    for least, most in _FILTERS:
        distance = _usual(distance, least, most)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        kept = np.nan_to_num(1 / (1 + (distance / half) ** contrast), nan=1.0)
    kept = kept**3 * (kept * (kept * 6 - 15) + 10)  # Perlin's smoother step
    return Image.fromarray(((1 - kept) * 255).astype(np.uint8))


def _usual(values: np.ndarray, least: float, most: float) -> np.ndarray:
    """Return for each cell the mean of those around it that lie between two quantiles, near ones counting more."""
    reach = range(-_KERNEL, _KERNEL + 1)
    places = [(down, right) for down in reach for right in reach]
    padded = np.pad(values, _KERNEL, mode="edge")
    high, wide = values.shape
    around = np.stack([padded[_KERNEL + y : _KERNEL + y + high, _KERNEL + x : _KERNEL + x + wide] for y, x in places])
    weights = np.array([np.exp(-(y * y + x * x) / (2 * _SPREAD**2)) for y, x in places])
    order = np.argsort(around, axis=0)
    sorted_values = np.take_along_axis(around, order, axis=0)
    share = weights[order] / weights.sum()
    above = np.cumsum(share, axis=0)
    counted = np.clip(np.minimum(above, most) - np.maximum(above - share, least), 0, None)
    mean: np.ndarray = (sorted_values * counted).sum(0) / counted.sum(0)
    return mean


def pixels_of(image: Image.Image, device: torch.device) -> Tensor:
    """Return `image` as (1, 3, H, W), -1..1, float32."""
    levels = torch.from_numpy(np.array(image.convert("RGB"))).to(device).float()
    return (levels / 127.5 - 1).permute(2, 0, 1)[None]
