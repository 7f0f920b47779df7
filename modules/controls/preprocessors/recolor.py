"""The brightness of a picture, for colours to be made anew: as the eye sees it, or the strongest colour's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider


def load(place: Place, space: str) -> Run:
    """Return what keeps one channel of a colour space: "LAB"'s lightness or "HSV"'s value, through a gamma curve."""
    import cv2
    import numpy as np

    code, channel = (cv2.COLOR_RGB2LAB, 0) if space == "LAB" else (cv2.COLOR_RGB2HSV, 2)

    def recolor(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        bright = cv2.cvtColor(picture, code)[:, :, channel].astype(np.float32) / 255
        grey = (bright ** options["gamma"] * 255).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)

    return recolor


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both."""
    sliders = (Slider("gamma", "Gamma Correction", 0.1, 2.0, 1.0, 0.001),)
    return [
        Preprocessor("recolor_luminance", partial(load, space="LAB"), tags=("Recolor",), sliders=sliders),
        Preprocessor("recolor_intensity", partial(load, space="HSV"), tags=("Recolor",), sliders=sliders),
    ]
