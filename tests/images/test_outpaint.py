"""Pictures made larger at their sides."""

import numpy as np
import pytest
from PIL import Image

from modules.images.outpaint import OVERLAP, Margins, extended


def noise(width: int = 60, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize(
    ("margins", "size"),
    [
        (Margins(down=24), (64, 64)),
        (Margins(left=32, right=4), (96, 40)),
        (Margins(8, 8, 8, 8), (80, 56)),
        (Margins(up=300), (64, 344)),
    ],
)
def test_the_picture_stays_where_it_is_and_the_rest_is_masked(margins: Margins, size: tuple[int, int]) -> None:
    image = noise()
    whole, mask = extended(image, margins)
    assert whole.size == mask.size == size
    place = (margins.left, margins.up, margins.left + image.width, margins.up + image.height)
    assert np.array_equal(np.asarray(whole.crop(place)), np.asarray(image))
    painted = np.asarray(mask) == 255
    outside = np.ones(painted.shape, bool)
    outside[place[1] : place[3], place[0] : place[2]] = False
    assert painted[outside].all()
    inside = (place[0] + OVERLAP, place[1] + OVERLAP, place[2] - OVERLAP, place[3] - OVERLAP)
    assert not painted[inside[1] : inside[3], inside[0] : inside[2]].any()


def test_what_is_new_has_the_colours_of_the_edge() -> None:
    image = Image.new("RGB", (64, 64), (10, 20, 200))
    image.paste((200, 30, 10), (0, 0, 64, 20))
    whole, _ = extended(image, Margins(down=16))
    assert np.abs(np.asarray(whole, int)[70:] - (10, 20, 200)).max() < 30


def test_margins_of_nothing_are_no_margins() -> None:
    assert not Margins() and Margins(up=1)
