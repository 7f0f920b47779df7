"""Shapes by numbers: where they lie, what they add, and what they take away."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from modules.images.shapes import Area, covered, with_shape


def test_a_rectangle_covers_its_share_and_nothing_else() -> None:
    layer = with_shape(Image.new("RGBA", (200, 100)), "rectangle", Area(25, 10, 50, 40), "#e03131")
    assert layer.getchannel("A").getbbox() == (50, 10, 150, 50)
    assert layer.getpixel((100, 30)) == (224, 49, 49, 255)
    assert covered(layer) == pytest.approx(20)


def test_an_ellipse_leaves_its_corners_free() -> None:
    layer = with_shape(Image.new("RGBA", (200, 100)), "ellipse", Area(0, 0, 100, 100), "#ffffff")
    assert layer.getchannel("A").getbbox() == (0, 0, 200, 100)
    assert abs(covered(layer) - 100 * np.pi / 4) < 1
    assert layer.getpixel((2, 2)) == (0, 0, 0, 0)


def test_what_is_painted_stays_until_it_is_taken_away() -> None:
    one = with_shape(Image.new("RGBA", (100, 100)), "rectangle", Area(0, 0, 50, 100), "#111111")
    two = with_shape(one, "rectangle", Area(25, 0, 50, 100), "#ffffff")
    assert [two.getpixel((across, 5)) for across in (5, 30, 60, 90)] == [
        (17, 17, 17, 255),
        (255, 255, 255, 255),
        (255, 255, 255, 255),
        (0, 0, 0, 0),
    ]
    assert covered(with_shape(two, "rectangle", Area(0, 0, 60, 100), None)) == pytest.approx(15)
    assert covered(with_shape(two, "rectangle", Area(0, 0, 100, 100), None)) == 0


def test_a_shape_may_reach_beyond_the_edge_and_be_tiny() -> None:
    empty = Image.new("RGBA", (40, 40))
    beyond = with_shape(empty, "ellipse", Area(75, 75, 100, 100), "#ffffff")
    assert 1 < covered(beyond) < 100 / 16
    assert covered(with_shape(empty, "rectangle", Area(50, 50, 0.1, 0.1), "#ffffff")) == pytest.approx(100 / 1600)
