"""Paint on pictures."""

import numpy as np
from PIL import Image, ImageDraw

from modules.images.paint import painted_over, where_painted


def layer(width: int = 50, height: int = 50) -> Image.Image:
    drawn = Image.new("RGBA", (width, height))
    ImageDraw.Draw(drawn).rectangle((10, 10, 29, 29), fill=(255, 0, 0, 255))
    return drawn


def test_paint_covers_the_picture_and_leaves_the_rest() -> None:
    image = Image.new("RGB", (50, 50), (1, 2, 3))
    result = np.asarray(painted_over(image, layer()))
    assert (result[10:30, 10:30] == (255, 0, 0)).all()
    assert (result[:10] == (1, 2, 3)).all() and (result[:, 30:] == (1, 2, 3)).all()


def test_paint_on_a_small_copy_covers_the_same_place_of_a_large_picture() -> None:
    mask = np.asarray(where_painted(layer(), (4000, 3000)))
    assert mask.shape == (3000, 4000)
    assert mask[900, 1200] == 255 and mask[2500, 3500] == 0 and mask[100, 100] == 0
    assert abs((mask > 128).mean() - 20 * 20 / 2500) < 0.01


def test_grown_paint_reaches_a_little_further() -> None:
    plain, grown = (np.asarray(where_painted(layer(), (200, 200), grown)) > 128 for grown in (False, True))
    assert grown[plain].all()
    assert 1 < grown.sum() / plain.sum() < 1.4
