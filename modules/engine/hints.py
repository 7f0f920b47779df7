"""Pictures of units to hints: which picture, which part of it, what a preprocessor makes of it, and its holes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.controls.hints.detecting import detect
from modules.controls.hints.fitting import fitted, image_of, perfect_resolution, pixels_of
from modules.controls.preprocessor import Pixels, Preprocessor, Run
from modules.engine.canvas import framed
from modules.engine.job import Job
from modules.errors import BadRequest
from modules.images.inputs import Inputs
from modules.images.mask import Box, blurred, opaque, pasted, read_mask
from modules.model_manager.annotators import Annotators
from modules.request import Control, Request, Resize
from modules.tasks import Detect

KEPT_RUNS = 2  # preprocessors, which may be networks too
KEPT_HINTS = 8
SEAM = 4.0  # pixels, as wide as a mask's own edge is by default
HOLE = -1.0  # in a hint, where something is to be painted anew (Zhang's ControlNet 1.1 for inpainting)


@dataclass(frozen=True)
class _View:
    """A unit's picture as far as it is made, and how that comes to the shape of the result.

    `size` (width, height) is the whole picture's, `box` the part of it that is seen; None: all of it.
    """

    picture: Pixels
    how: Resize
    size: tuple[int, int]
    box: Box | None = None

    def fitted(self, whole: Image.Image, width: int, height: int) -> Pixels:
        """Return (height, width, 3) of a picture as large as the whole one, brought to the result's shape alike."""
        return fitted(pixels_of(whole.crop(self.box) if self.box else whole), width, height, self.how)


class Hints:
    """Owned by the engine: it keeps the preprocessors used last, and the hints drawn last."""

    def __init__(self, preprocessors: Mapping[str, Preprocessor], inputs: Inputs, annotators: Annotators) -> None:
        self.preprocessors = preprocessors
        self._inputs = inputs
        self._annotators = annotators
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._drawings: OrderedDict[tuple[object, ...], Pixels] = OrderedDict()

    def hint(self, unit: Control, job: Job, device: torch.device) -> Tensor:
        """Return the hint of a unit, (1, 3, H, W) of the result, 0..1 and `HOLE`; raises `BadRequest`."""
        view = self._view(unit, job)
        drawn = self._drawn(unit, view.picture, _resolution(unit, view, job.width, job.height))
        hint = _tensor(fitted(drawn, job.width, job.height, view.how), device)
        if self.preprocessors[unit.preprocessor].holes:
            hole = _tensor(view.fitted(self._hole(unit, job.request, view), job.width, job.height), device)
            hint = torch.where(hole[:, :1] > 0.5, HOLE, hint)
        return hint

    def mask(self, unit: Control, job: Job, device: torch.device) -> Tensor | None:
        """Return where a unit holds, (1, 1, H, W); None: everywhere. That of a hint with holes says where they are."""
        if not unit.mask or self.preprocessors[unit.preprocessor].holes:
            return None
        image = self._inputs.open(unit.mask)
        band = image.getchannel("A") if image.mode == "RGBA" else image.convert("L")
        box = self._box(job, image.size)
        view = _View(pixels_of(band), "stretch" if box else unit.resize_mode, image.size, box)
        return _tensor(view.fitted(band, job.width, job.height), device)[:, :1]

    def kept(self, unit: Control, job: Job, made: list[Image.Image]) -> list[Image.Image]:
        """Return the pictures that were `made` with what the unit's preprocessor keeps put back into them.

        A mask of the request's own says that already.
        """
        if not self.preprocessors[unit.preprocessor].keeps or job.request.mask is not None:
            return made
        view = self._view(unit, job)
        whole = image_of(fitted(view.picture, job.width, job.height, view.how))
        hole = image_of(view.fitted(self._hole(unit, job.request, view), job.width, job.height)).convert("L")
        return [pasted(whole, each, opaque(blurred(hole, SEAM))) for each in made]

    def resolution(self, unit: Control, job: Job) -> int:
        """Return the pixels of the shorter side that the unit's preprocessor looks at."""
        if not unit.pixel_perfect:
            return unit.resolution
        return _resolution(unit, self._view(unit, job), job.width, job.height)

    def picture(self, unit: Control, request: Request | None) -> Pixels:
        """Return the picture of a unit, whole: its own, or the one that is painted over; raises `BadRequest`."""
        name = unit.image or (request.init.image if request is not None and request.init is not None else "")
        if not name:
            raise BadRequest("control_no_picture")
        return pixels_of(self._inputs.open(name))

    def detect(self, task: Detect) -> str:
        """Draw the hint of `task`, keep it among the pictures people bring, and return its name there.

        Raises `BadRequest` for a preprocessor that is not there, and what its weights raise.
        """
        if task.preprocessor not in self.preprocessors:
            allowed = ", ".join(self.preprocessors)
            raise BadRequest("unknown_preprocessor", value=task.preprocessor[:60], allowed=allowed)
        shared = ("image", "preprocessor", "options", "resolution", "pixel_perfect", "resize_mode")
        unit = Control.model_validate({name: getattr(task, name) for name in shared})
        picture = self.picture(unit, None)
        view = _View(picture, unit.resize_mode, (picture.shape[1], picture.shape[0]))
        return self._inputs.keep(image_of(self._drawn(unit, picture, _resolution(unit, view, task.width, task.height))))

    def forget(self) -> None:
        """Let go of everything that is kept for the next time."""
        self._runs.clear()
        self._drawings.clear()

    def _view(self, unit: Control, job: Job) -> _View:
        """Return what of the unit's picture is made: the part in the frame, where only what is masked is painted over.

        A picture of another size than the one that is painted over has no such part: it is taken whole.
        """
        picture = self.picture(unit, job.request)
        size = picture.shape[1], picture.shape[0]
        box = self._box(job, size)
        if box is None:
            return _View(picture, unit.resize_mode, size)
        left, top, right, bottom = box
        return _View(np.ascontiguousarray(picture[top:bottom, left:right]), "stretch", size, box)

    def _box(self, job: Job, size: tuple[int, int]) -> Box | None:
        """Return the part of a picture of `size` that is made; None for all of it."""
        init = job.request.init
        box = framed(job.request, self._inputs, job.width, job.height)
        return box if init is not None and box and self._inputs.open(init.image).size == size else None

    def _hole(self, unit: Control, request: Request, view: _View) -> Image.Image:
        """Return the mask of what is to be painted anew, as large as the unit's picture."""
        if unit.mask:
            return read_mask(self._inputs.open(unit.mask), view.size)
        if request.mask is None:
            raise BadRequest("control_no_mask", preprocessor=unit.preprocessor)
        return read_mask(self._inputs.open(request.mask.image), view.size, request.mask.invert)

    def _drawn(self, unit: Control, picture: Pixels, resolution: int) -> Pixels:
        """Return what the unit's preprocessor makes of a picture."""
        preprocessor = self.preprocessors[unit.preprocessor]
        if preprocessor.plain:
            return picture
        options = preprocessor.settled(unit.options)
        key = (picture.shape, hash(picture.tobytes()), unit.preprocessor, tuple(options.items()), resolution)
        if key not in self._drawings:
            if unit.preprocessor not in self._runs:
                self._runs[unit.preprocessor] = preprocessor.load(self._annotators)
            self._runs.move_to_end(unit.preprocessor)
            _trim(self._runs, KEPT_RUNS)
            self._drawings[key] = detect(picture, self._runs[unit.preprocessor], options, resolution)
            _trim(self._drawings, KEPT_HINTS)
        return self._drawings[key]


def _resolution(unit: Control, view: _View, width: int, height: int) -> int:
    if unit.pixel_perfect and width and height:
        return perfect_resolution(view.picture, width, height, view.how)
    return unit.resolution


def _tensor(picture: Pixels, device: torch.device) -> Tensor:
    """Return (1, 3, H, W), 0..1, of (H, W, 3)."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].to(device, torch.float32) / 255


def _trim(kept: OrderedDict[Any, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)
