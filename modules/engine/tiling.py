"""Tiles of latents: what each sees, and how their answers become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modules.engine.guidance import BESIDE, Predict
from modules.engine.job import Job
from modules.families.family import Conditioning
from modules.images.mask import Box
from modules.images.tiles import spans
from modules.sampling.noise import Noise


@dataclass(frozen=True)
class Window:
    """One tile, in latent cells; `share` (h, w) says how much of the whole it is at each of them."""

    top: int
    bottom: int
    left: int
    right: int
    share: Tensor

    def of(self, whole: Tensor) -> Tensor:
        """Return the tile's part of `whole` (…, H, W), which shares its memory."""
        return whole[..., self.top : self.bottom, self.left : self.right]

    def seen(self, conditioning: Conditioning) -> Conditioning:
        """Return `conditioning` with what the network reads beside the latents cut to the tile."""
        beside = conditioning.extra.get(BESIDE)
        if beside is None:
            return conditioning
        return replace(conditioning, extra={**conditioning.extra, BESIDE: self.of(beside)})

    def noise(self, whole: Noise) -> WindowNoise:
        """Return the tile's part of a noise that begins anew."""
        return WindowNoise(whole, self)


@dataclass(frozen=True)
class WindowNoise:
    """What a sampler draws that sees one tile alone: the tile's part of what it would draw for the whole.

    So neighbours get the same noise where they overlap.
    """

    whole: Noise
    window: Window

    def __call__(self, x: Tensor, sigma: float, sigma_next: float) -> Tensor:
        """Return unit normal noise like `x` for the step from `sigma` to `sigma_next`."""
        return self.window.of(self.whole(x.new_empty((len(x), *self.whole.shape)), sigma, sigma_next))


def windows_of(job: Job, factor: int, device: torch.device) -> list[Window]:
    """Return the tiles of a job, row by row; none where the picture is made as a whole."""
    if job.tiles is None:
        return []
    overlap = round(job.tiles.asked.overlap / factor)
    rows = spans(job.height // factor, job.tiles.height // factor, overlap)
    columns = spans(job.width // factor, job.tiles.width // factor, overlap)
    return [
        Window(
            row.start,
            row.end,
            column.start,
            column.end,
            torch.from_numpy(row.share[:, None] * column.share[None, :]).to(device),
        )
        for row in rows
        for column in columns
    ]


def boxes_of(windows: Sequence[Window], factor: int) -> list[Box]:
    """Return the tiles in pixels."""
    return [(each.left * factor, each.top * factor, each.right * factor, each.bottom * factor) for each in windows]


def seeing(predict: Predict, window: Window) -> Predict:
    """Return `predict` for a sampler that sees one tile alone."""
    return lambda x, sigma, conditioning: predict(x, sigma, window.seen(conditioning))


def joined(predicts: Sequence[Predict], windows: Sequence[Window]) -> Predict:
    """Return one `predict` of the whole out of one for each tile: at every place the mean of those that see it.

    MultiDiffusion (Bar-Tal et al. 2023, equation 5), whose weights are the tiles' shares here.
    """
    parts = [seeing(predict, window) for predict, window in zip(predicts, windows, strict=True)]

    def predict(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        each = zip(parts, windows, strict=True)
        return gathered((part(window.of(x), sigma, conditioning) for part, window in each), windows, x)

    return predict


def gathered(parts: Iterable[Tensor], windows: Sequence[Window], like: Tensor) -> Tensor:
    """Return the whole, of the shape of `like`, that the tiles' `parts` make, each fading into its neighbours."""
    whole = torch.zeros_like(like)
    for part, window in zip(parts, windows, strict=True):
        window.of(whole).add_(part * window.share)
    return whole


class Mosaic:
    """The whole as it looks while one tile after the other is painted over; `whole` is how it was before."""

    def __init__(self, whole: Tensor) -> None:
        self._whole = whole.clone()

    def put(self, window: Window) -> Callable[[Tensor], Tensor]:
        """Return what puts the guess of a tile into its place and gives back the whole."""

        def shown(guess: Tensor) -> Tensor:
            window.of(self._whole).copy_(guess)
            return self._whole

        return shown
