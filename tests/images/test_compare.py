"""How alike two pictures are: the figures of the published formulas, on pictures whose answer is known."""

import math

import numpy as np
import pytest
from PIL import Image

from modules.images.compare import compare


def noisy(deviation: float, seed: int = 0) -> Image.Image:
    ramp = np.linspace(40, 200, 64)[None, :, None] * np.ones((64, 1, 3))
    return Image.fromarray(
        (ramp + np.random.default_rng(seed).normal(0, deviation, ramp.shape)).clip(0, 255).astype(np.uint8)
    )


def test_the_same_picture_is_equal_to_the_bit() -> None:
    found = compare(noisy(3), noisy(3))
    assert found is not None and found.equal and found.close and math.isinf(found.psnr)
    assert found.ssim == pytest.approx(1)
    assert (found.worst, found.share) == (0, 0)
    assert found.difference.getextrema() == ((0, 0),) * 3


def test_one_level_of_one_pixel_is_not_equal_and_is_seen_in_the_difference() -> None:
    other = noisy(0)
    red, green, blue = other.getpixel((5, 6))  # type: ignore[misc]
    other.putpixel((5, 6), (red, green + 1, blue))
    found = compare(noisy(0), other)
    assert found is not None and not found.equal and found.close
    assert found.psnr == pytest.approx(10 * math.log10(255**2 * 64 * 64 * 3))
    assert (found.worst, found.share) == (1, 1 / 64**2)
    assert found.difference.getpixel((5, 6)) == (0, 4, 0)


def test_a_constant_shift_gives_the_figures_of_the_formulas() -> None:
    """For flat pictures a and b only SSIM's first factor is left: (2ab + C1) / (a² + b² + C1)."""
    found = compare(Image.new("RGB", (32, 32), (100,) * 3), Image.new("RGB", (32, 32), (120,) * 3))
    constant = (0.01 * 255) ** 2
    assert found is not None and found.psnr == pytest.approx(20 * math.log10(255 / 20))
    assert found.ssim == pytest.approx((2 * 100 * 120 + constant) / (100**2 + 120**2 + constant))
    assert not found.close


def test_more_noise_is_less_alike_and_other_sizes_are_not_compared() -> None:
    found = [compare(noisy(0), noisy(deviation)) for deviation in (2, 10, 60)]
    assert all(found)
    figures = [(each.psnr, each.ssim) for each in found if each is not None]
    assert figures == sorted(figures, reverse=True)
    assert [each.close for each in found if each is not None] == [True, False, False]
    assert compare(noisy(0), Image.new("RGB", (64, 56))) is None
    tiny = compare(Image.new("RGB", (8, 8)), Image.new("RGBA", (8, 8)))
    assert tiny is not None and tiny.equal and tiny.ssim is None
