"""What stands out stays in a picture that is cut."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.images.focus import around, focal_point

SIZE = (400, 200)
SUBJECT = 60  # pixels


def drawn(left: int, top: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A soft, slightly noisy ground with one busy thing on it."""
    columns, rows = np.meshgrid(np.linspace(60, 120, size[0]), np.linspace(0, 40, size[1]))
    noise = np.random.default_rng(3).normal(0, 2, (size[1], size[0], 3))
    levels = (columns + rows)[..., None] + noise + np.array([0, 20, 40])
    image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    brush = ImageDraw.Draw(image)
    for at in range(0, SUBJECT, 12):
        colour = ("#d33", "#fd3", "#fff", "#111", "#39d")[at // 12]
        brush.ellipse((left + at // 2, top + at // 2, left + SUBJECT - at // 2, top + SUBJECT - at // 2), fill=colour)
    return image


@pytest.mark.parametrize(("left", "top"), [(10, 70), (330, 70), (170, 5), (40, 130), (300, 10)])
def test_the_subject_stays_in_a_square_cut(left: int, top: int) -> None:
    image = drawn(left, top)
    point = focal_point(image)
    assert abs(point[0] * SIZE[0] - (left + SUBJECT / 2)) < 25 and abs(point[1] * SIZE[1] - (top + SUBJECT / 2)) < 25
    box = around(SIZE, (200, 200), point)
    assert box[0] <= left and left + SUBJECT <= box[2] and box[1] <= top and top + SUBJECT <= box[3]


def test_a_plain_picture_is_cut_from_the_middle() -> None:
    assert focal_point(Image.new("RGB", SIZE, "red")) == (0.5, 0.5)
    assert around(SIZE, (100, 200)) == (150, 0, 250, 200)


def test_colours_count_where_the_grey_is_the_same() -> None:
    image = Image.new("RGB", SIZE, (128, 128, 128))
    ImageDraw.Draw(image).ellipse((300, 60, 360, 120), fill=(255, 65, 64))
    across, _ = focal_point(image)
    assert 0.7 < across < 0.95


def test_a_face_counts_most() -> None:
    across, down = focal_point(drawn(330, 120), [(0.1, 0.2)])
    assert across < 0.5 and down < 0.5


def test_the_part_never_reaches_out_of_the_picture() -> None:
    for point in ((0.0, 0.0), (1.0, 1.0), (0.2, 0.9)):
        left, top, right, bottom = around((91, 60), (60, 60), point)
        assert left >= 0 and top >= 0 and (right, bottom) <= (91, 60) and (right - left, bottom - top) == (60, 60)
