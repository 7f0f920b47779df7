"""Drawings without a network: lines darker than what is around them, and XDoG's sketch (Winnemöller 2011)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider

BLUR, FAINT = 6.0, 8  # lineart_standard: the deviation in pixels of what is "around", and what is no line yet
NARROW, WIDE = 0.5, 5.0  # scribble_xdog: the deviations of the two Gaussians


def load(place: Place) -> Run:
    """Return what draws, white on black, where a picture is darker than around."""
    import cv2
    import numpy as np

    def standard(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        light = picture.astype(np.float32)
        darker = np.min(cv2.GaussianBlur(light, (0, 0), BLUR) - light, axis=2).clip(0, 255)
        lines = darker[darker > FAINT]
        darker /= max(16.0, float(np.median(lines))) if lines.size else 16.0
        return np.repeat((darker * 127).clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)

    return standard


class _Xdog:
    def load(self, place: Place) -> Run:
        """Return what draws a sketch, white on black, as sd-webui-controlnet does."""
        import cv2
        import numpy as np

        def xdog(picture: Pixels, options: Mapping[str, float]) -> Pixels:
            light = picture.astype(np.float32)
            narrow, wide = (cv2.GaussianBlur(light, (0, 0), each) for each in (NARROW, WIDE))
            dark = 255 - np.min(wide - narrow, axis=2).clip(0, 255).astype(np.uint8)
            sketch = np.where(2 * (255 - dark.astype(np.float32)) > options["threshold"], 255, 0).astype(np.uint8)
            return np.repeat(sketch[:, :, None], 3, axis=2)

        return xdog


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both."""
    label = "lineart_standard (from white bg & black line)"
    sliders = (Slider("threshold", "XDoG Threshold", 1, 64, 32),)
    return [
        Preprocessor("lineart_standard", load, label, ("Lineart",)),
        Preprocessor("scribble_xdog", _Xdog().load, tags=("Scribble",), sliders=sliders),
    ]
