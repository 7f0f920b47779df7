"""White where a picture is bright, black elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider


def load(place: Place) -> Run:
    """Return what cuts brightness in two."""
    import cv2
    import numpy as np

    def threshold(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        bright = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) > options["threshold"]
        return np.repeat(np.where(bright, 255, 0).astype(np.uint8)[:, :, None], 3, axis=2)

    return threshold


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    sliders = (Slider("threshold", "Binarization Threshold", 0, 255, 127),)
    return [Preprocessor("threshold", load, tags=("Scribble",), sliders=sliders)]
