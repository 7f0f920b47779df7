"""What a picture was on its way, saved beside it where the settings want that: before a second pass, masks, …."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from PIL import Image
from torch import Tensor

from modules.engine.canvas import Canvas
from modules.saving import Saving

Images = Sequence[Image.Image]


class Beside:
    """Collects them for the pictures of one batch, by the suffix their files get (A1111's)."""

    def __init__(self, saving: Saving) -> None:
        self._saving = saving
        self._kept: dict[str, Images] = {}

    def first_pass(self, decode: Callable[[Tensor], list[Image.Image]], clean: Tensor) -> None:
        """Keep what the second pass begins from; it costs a decoding."""
        if self._saving.save_images_before_highres_fix:
            self._kept["-before-highres-fix"] = decode(clean)

    def canvas(self, canvas: Canvas | None, made: Images) -> None:
        """Keep what `made` was before its colours were corrected."""
        if canvas is not None and canvas.part.color_correction and self._saving.save_images_before_color_correction:
            plain = replace(canvas, part=canvas.part.model_copy(update={"color_correction": False}))
            self._kept["-before-color-correction"] = [plain.finished(each) for each in made]

    def masks(self, canvas: Canvas | None, finished: Images) -> None:
        """Keep the mask of a picture that was painted over, and what was painted, alone."""
        if canvas is None or canvas.shown is None:
            return
        if self._saving.save_mask:
            self._kept["-mask"] = [canvas.shown.convert("RGB")] * len(finished)
        if self._saving.save_mask_composite:
            self._kept["-mask-composite"] = [_alone(each, canvas.shown) for each in finished]

    def of(self, place: int) -> dict[str, Image.Image]:
        """Return what there is of the picture at that place of its batch."""
        return {suffix: images[place] for suffix, images in self._kept.items()}


def _alone(image: Image.Image, shown: Image.Image) -> Image.Image:
    alone = image.convert("RGBA")
    alone.putalpha(shown if shown.size == image.size else shown.resize(image.size))
    return alone
