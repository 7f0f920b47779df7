"""Several pictures as one: a grid, row by row, with A1111's rules for how many rows it has."""

import math
from collections.abc import Sequence

from PIL import Image

AUTO, AS_BATCH = -1, 0


def rows_of(images: int, rows: int = AUTO, batch_size: int = 1, full: bool = False) -> int:
    """Return how many rows a grid of so many `images` has.

    `rows` is how many there should be; 0: as many as a batch has pictures; -1: as many as columns, about, or where no
    place is to stay empty (`full`) the nearest smaller number that fills them all. There are never more than images.
    """
    if rows == AS_BATCH:
        rows = batch_size
    elif rows < 0 and full:
        rows = next(each for each in range(math.isqrt(images), 0, -1) if images % each == 0)
    elif rows < 0:
        rows = round(math.sqrt(images))
    return max(1, min(rows, images))


def grid_size(sizes: Sequence[tuple[int, int]], rows: int) -> tuple[int, int]:
    """Return width and height of a grid of pictures of these sizes, in pixels."""
    columns = math.ceil(len(sizes) / rows)
    return columns * max(width for width, _ in sizes), rows * max(height for _, height in sizes)


class Grid:
    """A grid that is being laid; smaller pictures than the largest stand in the middle of their place."""

    def __init__(self, sizes: Sequence[tuple[int, int]], rows: int, background: str) -> None:
        """`sizes` are (width, height) of the pictures to come; `background` is a colour as "#ffffff"."""
        self.image = Image.new("RGB", grid_size(sizes, rows), background)
        self._columns = math.ceil(len(sizes) / rows)
        self._place = self.image.width // self._columns, self.image.height // rows
        self._laid = 0

    def lay(self, image: Image.Image) -> None:
        """Put the next picture in its place."""
        down, across = divmod(self._laid, self._columns)
        width, height = self._place
        left, top = across * width + (width - image.width) // 2, down * height + (height - image.height) // 2
        self.image.paste(image.convert("RGB"), (left, top))
        self._laid += 1
