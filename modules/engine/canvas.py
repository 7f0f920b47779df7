"""The picture that is painted over: brought to size, with what of it is kept and where the result goes back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from modules.engine.report import Report
from modules.events import Note
from modules.images.colours import corrected
from modules.images.inputs import Inputs
from modules.images.mask import Box, blurred, filled, frame, opaque, pasted, read_mask
from modules.images.resize import fitted, flattened
from modules.images.tiles import tiled_size
from modules.request import SIZE, InitImage, Mask, Request
from modules.result import UsedTiles

_SMOOTHING = 4  # pixels: the radius that takes the steps of latent cells out of an adaptive mask


@dataclass(frozen=True)
class Canvas:
    """`begun` (RGB) is what the pictures begin from; `whole` (RGB) is what they are put back into.

    `mask` ("L", as large as `begun`) is white where is painted, None for everywhere; `shown` ("L", as large as
    `whole`) says how much of what was made shows there. `box` is the part of `whole` that is made, None for all of it.
    """

    part: InitImage
    begun: Image.Image
    whole: Image.Image
    asked: Mask | None = None
    mask: Image.Image | None = None
    shown: Image.Image | None = None
    box: Box | None = None

    def finished(self, made: Image.Image, adaptive: Image.Image | None = None) -> Image.Image:
        """Return the picture `made` with its colours corrected and put back into the whole.

        `adaptive` ("L", of any size) says what shows in place of the mask: soft inpainting works that out.
        """
        if self.part.color_correction:
            made = corrected(made, self.begun)
        if self.shown is None:
            return made
        shown = self.shown if adaptive is None else self._placed(adaptive)
        return pasted(self.whole, made, shown, self.box)

    def _placed(self, adaptive: Image.Image) -> Image.Image:
        left, top, right, bottom = self.box or (0, 0, *self.whole.size)
        part = adaptive.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
        placed = Image.new("L", self.whole.size)
        placed.paste(part.filter(ImageFilter.GaussianBlur(_SMOOTHING)), (left, top))
        return placed


def size_of(request: Request, inputs: Inputs, native: int) -> tuple[int, int]:
    """Return width and height of what is made, in pixels: as asked for, else the picture's own, else `native`."""
    if request.init is not None and request.tiles is not None:
        return tiled_size(inputs.open(request.init.image).size, request.tiles.scale)
    if request.width and request.height:
        return request.width, request.height
    if request.hires is not None and request.hires.image:
        return _its_size(request, inputs.open(request.hires.image).size)
    if request.init is None or (request.mask is not None and request.mask.area == "masked"):
        return request.width or native, request.height or native
    return _its_size(request, inputs.open(request.init.image).size)


def _its_size(request: Request, given: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a picture, as far as a request may have it, where there is no other."""
    least, most, step = SIZE
    shrink = min(1.0, most / max(given))
    wide, high = (min(max(int(side * shrink) // step * step, least), most) for side in given)
    return request.width or wide, request.height or high


def tiles_of(request: Request, native: int) -> UsedTiles | None:
    """Return the tiles that `request` is made in, None for none."""
    if request.init is None or request.tiles is None:
        return None
    return UsedTiles(asked=request.tiles, width=request.width or native, height=request.height or native)


def prepare(
    request: Request, inputs: Inputs, width: int, height: int, report: Report, larger: Image.Image | None = None
) -> Canvas | None:
    """Return the canvas of `request`, None when it begins from nothing; `larger` stands in the picture's place.

    An empty mask on "only masked" is told of, and the whole picture is painted over. Raises `BadRequest` when a picture
    is gone.
    """
    part = request.init
    if part is None:
        return None
    image = flattened(inputs.open(part.image), part.background) if larger is None else larger
    mode = "stretch" if part.resize_mode == "latent" else part.resize_mode
    if request.mask is None:
        begun = image if part.resize_mode == "latent" else fitted(image, width, height, mode)
        return Canvas(part, begun, image)
    asked = request.mask
    grey = read_mask(inputs.open(asked.image), image.size, asked.invert, rounded=asked.soft is None)
    if asked.area == "masked":
        box = frame(grey, asked.padding, width, height)
        if box is None:
            report.tell(Note(key="mask_blank", values={}))
            return Canvas(part, fitted(image, width, height, mode), image)
        soft = blurred(grey, asked.blur)
        cut = (fitted(each.crop(box), width, height, "stretch") for each in (image, soft))
        return _filled(Canvas(part, next(cut), image, asked, next(cut), soft, box))
    begun = fitted(image, width, height, mode)
    soft = blurred(fitted(grey, width, height, mode), asked.blur)
    return _filled(Canvas(part, begun, begun, asked, soft, opaque(soft)))


def framed(request: Request, inputs: Inputs, width: int, height: int) -> Box | None:
    """Return the part of the picture painted over that is made at `width` x `height`; None for all of it."""
    if request.init is None or request.mask is None or request.mask.area != "masked":
        return None
    size = inputs.open(request.init.image).size
    asked = request.mask
    grey = read_mask(inputs.open(asked.image), size, asked.invert, rounded=asked.soft is None)
    return frame(grey, asked.padding, width, height)


def _filled(canvas: Canvas) -> Canvas:
    if canvas.asked is None or canvas.mask is None or canvas.asked.fill != "fill":
        return canvas
    return replace(canvas, begun=filled(canvas.begun, canvas.mask))


def on_cells(mask: Image.Image, width: int, height: int, rounded: bool) -> np.ndarray:
    """Return `mask` as float32 0..1 of `height` x `width` latent cells; with `rounded` each is painted or not."""
    levels = np.asarray(mask.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    return np.around(levels) if rounded else levels
