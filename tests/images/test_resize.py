"""Pictures brought to a size."""

import numpy as np
import pytest
from PIL import Image

from modules.images.resize import fitted, flattened, scaled_size


def halves(width: int, height: int) -> Image.Image:
    """Red to the left, blue to the right."""
    image = Image.new("RGB", (width, height), (200, 0, 0))
    image.paste((0, 0, 200), (width // 2, 0, width, height))
    return image


@pytest.mark.parametrize("mode", ["stretch", "crop", "fill"])
@pytest.mark.parametrize("size", [(64, 64), (40, 90), (200, 24), (80, 40)])
def test_the_size_is_exactly_the_one_asked_for(mode: str, size: tuple[int, int]) -> None:
    assert fitted(halves(80, 40), *size, mode).size == size  # type: ignore[arg-type]


def test_a_picture_of_that_size_stays_as_it_is() -> None:
    image = halves(80, 40)
    assert fitted(image, 80, 40, "crop") is image


def test_cropping_cuts_the_sides_and_filling_draws_the_edges_out() -> None:
    wide = Image.new("RGB", (90, 30), (0, 200, 0))
    wide.paste((200, 0, 0), (0, 0, 20, 30))
    wide.paste((0, 0, 200), (70, 0, 90, 30))
    cut = np.asarray(fitted(wide, 30, 30, "crop"), int)
    assert (cut[:, 2:28] == (0, 200, 0)).all()
    whole = np.asarray(fitted(wide, 90, 90, "fill"), int)
    assert np.abs(whole[0] - whole[30]).max() <= 2 and np.abs(whole[89] - whole[59]).max() <= 2
    assert whole[45, 5, 0] > 150 and whole[45, 85, 2] > 150
    upright = np.asarray(fitted(wide.rotate(90, expand=True), 90, 90, "fill"), int)
    assert np.abs(upright[:, 0] - upright[:, 30]).max() <= 2


def test_scaling_keeps_to_steps_and_bounds() -> None:
    assert scaled_size(100, 56, 2, 64, 2048, 8) == (200, 112)
    assert scaled_size(100, 50, 0.1, 64, 2048, 8) == (64, 64)
    assert scaled_size(4000, 3000, 1, 64, 2048, 8) == (2048, 2048)


def test_transparency_shows_the_colour_behind() -> None:
    image = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    flat = flattened(image, "#0000ff")
    assert (flat.getpixel((0, 0)), flat.getpixel((1, 0))) == ((0, 0, 255), (255, 0, 0))
