"""How large a second pass makes a picture (A1111's "hires. fix")."""

from modules.errors import BadRequest
from modules.request import Hires

LARGEST = 4096  # pixels of a side
STEP = 8  # pixels that sides divide by

Size = tuple[int, int]


def larger_size(hires: Hires, width: int, height: int) -> tuple[Size, Size]:
    """Return the size (width, height) a picture is brought to, and that which is left of it when it is cut.

    By the factor, or to a given width or height with the other side to match; where both are given, the picture covers
    them and what sticks out is cut off evenly. Sides divide by 8. Raises `BadRequest` beyond 4096 pixels.
    """
    if hires.width and hires.height:
        wide = hires.width * height >= hires.height * width
        whole = (hires.width, hires.width * height // width) if wide else (hires.height * width // height, hires.height)
        left = (hires.width, hires.height)
    elif hires.width or hires.height:
        whole = left = (
            hires.width or hires.height * width // height,
            hires.height or hires.width * height // width,
        )
    else:
        whole = left = (int(width * hires.scale), int(height * hires.scale))
    whole, left = _stepped(whole), _stepped(left)
    if max(whole) > LARGEST:
        raise BadRequest("hires_size", width=whole[0], height=whole[1], most=LARGEST)
    return whole, (min(left[0], whole[0]), min(left[1], whole[1]))


def _stepped(size: Size) -> Size:
    return max(64, size[0] // STEP * STEP), max(64, size[1] // STEP * STEP)
