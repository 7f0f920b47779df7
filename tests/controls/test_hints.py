"""How hints come to the size of the result, and how a preprocessor gets to see a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modules.controls.hints.detecting import detect
from modules.controls.hints.fitting import fitted, perfect_resolution, pixels_of
from modules.controls.preprocessor import Pixels


def stripes() -> Pixels:
    """Twice as wide as high: red, green, blue, white, each 20 pixels wide."""
    picture = np.zeros((40, 80, 3), np.uint8)
    for place, colour in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]):
        picture[:, 20 * place : 20 * place + 20] = colour
    return picture


def test_stretching_keeps_all_of_it() -> None:
    found = fitted(stripes(), 40, 40, "stretch")
    assert found.shape == (40, 40, 3)
    assert found[20, 5].tolist() == [255, 0, 0] and found[20, 35].tolist() == [255, 255, 255]


def test_cropping_keeps_the_middle() -> None:
    found = fitted(stripes(), 40, 40, "crop")
    assert found[20, 5].tolist() == [0, 255, 0] and found[20, 35].tolist() == [0, 0, 255]


def test_filling_keeps_all_of_it_and_its_shape() -> None:
    picture = np.full((40, 80, 3), (9, 90, 200), np.uint8)
    picture[10:30, 30:50] = 255
    found = fitted(picture, 80, 80, "fill")
    assert found.shape == (80, 80, 3)
    assert found[40, 40].tolist() == [255] * 3
    assert found[2, 2].tolist() == found[77, 77].tolist() == [9, 90, 200], "the colour of its edge"


@pytest.mark.parametrize("size", [(20, 20), (200, 160), (37, 90)])
def test_thin_lines_stay_lines_of_black_and_white(size: tuple[int, int]) -> None:
    picture = np.zeros((80, 80, 3), np.uint8)
    picture[40] = 255
    found = fitted(picture, *size, "stretch")
    assert set(np.unique(found)) == {0, 255}
    assert (found[:, :, 0].max(axis=0) == 255).all(), "the line goes on from side to side"


def test_the_resolution_that_loses_no_pixel() -> None:
    picture = stripes()
    assert perfect_resolution(picture, 512, 512, "crop") == 512
    assert perfect_resolution(picture, 512, 512, "fill") == 256
    assert perfect_resolution(picture, 512, 256, "stretch") == 256


def test_what_is_transparent_is_white() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert pixels_of(image)[0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("resolution", [64, 40, 97])
def test_a_preprocessor_sees_the_picture_at_its_resolution(resolution: int) -> None:
    seen = []

    def run(picture: Pixels, options: object) -> Pixels:
        seen.append(picture.shape)
        return picture

    found = detect(stripes(), run, {}, resolution)
    assert seen == [(resolution, 2 * resolution, 3)] == [found.shape]
