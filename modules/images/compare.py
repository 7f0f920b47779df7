"""How alike two pictures are: to the bit, or by PSNR and SSIM (Wang et al., 2004, "Image Quality Assessment")."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

CLOSE = 30.0  # dB; above, two pictures are of the same thing, and few can tell them apart
WINDOW = 11  # pixels, the side of SSIM's Gaussian window
GAIN = 4  # times that a difference is made brighter to be seen


@dataclass(frozen=True)
class Comparison:
    """`psnr` in dB, infinite when equal; `ssim` up to 1, None for a picture smaller than its window.

    `worst` is the greatest difference of a channel (0 to 255), `share` the part of the pixels that differ at all.
    """

    equal: bool
    psnr: float
    ssim: float | None
    worst: int
    share: float
    difference: Image.Image

    @property
    def close(self) -> bool:
        """Whether it is the same picture but for rounding."""
        return self.psnr >= CLOSE


def compare(one: Image.Image, other: Image.Image) -> Comparison | None:
    """Return how alike two pictures are, as RGB; None when their sizes differ.

    SSIM has a Gaussian window of deviation 1.5 and is the mean over the channels, as in the paper.
    """
    if one.size != other.size:
        return None
    first, second = (np.asarray(each.convert("RGB"), np.float64) for each in (one, other))
    apart = np.abs(first - second)
    error = float((apart**2).mean())
    ssim = None
    if min(one.size) >= WINDOW:
        ssim = float(
            structural_similarity(
                first,
                second,
                channel_axis=-1,
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
        )
    return Comparison(
        equal=error == 0,
        psnr=math.inf if error == 0 else 10 * math.log10(255**2 / error),
        ssim=ssim,
        worst=int(apart.max()),
        share=float((apart.max(axis=-1) > 0).mean()),
        difference=Image.fromarray((apart * GAIN).clip(0, 255).astype(np.uint8)),
    )
