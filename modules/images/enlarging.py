"""How large a picture becomes: arithmetic on sizes, for the estimate beforehand and for the work itself."""

from modules.tasks import Extras

Size = tuple[int, int]
"""Width and height in pixels."""


def enlarged(size: Size, task: Extras) -> tuple[Size, Size]:
    """Return what a picture of `size` is enlarged to, and what is then cut from the middle of that.

    Where only one of width and height is asked for, the other follows. The two sizes are the same unless it is cut.
    """
    if not task.enlarges:
        return size, size
    if task.width is None and task.height is None:
        scale = task.scale
        if task.longest:
            scale = min(scale, task.longest / max(size))
        whole = _times(size, scale)
        return whole, whole
    width, height = task.width or 0, task.height or 0
    covering = _times(size, max(width / size[0], height / size[1]))
    covering = max(covering[0], width), max(covering[1], height)
    return covering, (width, height) if width and height and task.crop else covering


def _times(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
