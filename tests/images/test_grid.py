"""A grid shows its pictures in order, in as many rows as A1111's rules say."""

import pytest
from PIL import Image

from modules.images.grid import Grid, grid_size, rows_of


@pytest.mark.parametrize(
    ("images", "rows", "batch", "full", "found"),
    [
        (4, -1, 1, False, 2),
        (6, -1, 1, False, 2),
        (7, -1, 1, False, 3),
        (7, -1, 1, True, 1),
        (12, -1, 1, True, 3),
        (6, 0, 3, False, 3),
        (2, 0, 8, False, 2),
        (5, 4, 1, False, 4),
        (3, 16, 1, False, 3),
        (1, -1, 1, False, 1),
    ],
)
def test_rows(images: int, rows: int, batch: int, full: bool, found: int) -> None:
    assert rows_of(images, rows, batch, full) == found


def test_each_picture_stands_in_its_place() -> None:
    colours = ["#ff0000", "#00ff00", "#0000ff"]
    images = [Image.new("RGB", size, colour) for size, colour in zip([(8, 8), (4, 8), (8, 8)], colours, strict=True)]
    assert grid_size([each.size for each in images], 2) == (16, 16)
    grid = Grid([each.size for each in images], 2, "#102030")
    for each in images:
        grid.lay(each)
    seen = [grid.image.getpixel(at) for at in ((4, 4), (12, 4), (4, 12), (12, 12), (9, 4))]
    assert seen == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (16, 32, 48), (16, 32, 48)]
