"""The upscalers that need no model: resampling filters."""

from collections.abc import Sequence
from functools import partial

from PIL import Image

from modules.hooks import hookimpl
from modules.upscalers.upscaler import Size, Tell, Upscaler

NONE = "None"


@hookimpl
def upscalers() -> Sequence[Upscaler]:
    """Offer the filters. "None" adds nothing of its own: where a size is asked for all the same, it is Lanczos."""
    return [
        Upscaler(NONE, partial(resample, Image.Resampling.LANCZOS)),
        Upscaler("Lanczos", partial(resample, Image.Resampling.LANCZOS)),
        Upscaler("Bicubic", partial(resample, Image.Resampling.BICUBIC)),
        Upscaler("Nearest", partial(resample, Image.Resampling.NEAREST)),
    ]


def resample(how: Image.Resampling, image: Image.Image, size: Size, tell: Tell) -> Image.Image:
    """Return `image` at `size` by a filter, in one piece."""
    made = image.resize(size, how)
    tell(1, 1)
    return made
