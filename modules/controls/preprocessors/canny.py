"""Edges (Canny 1986)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider


def load(place: Place) -> Run:
    """Return what draws edges in white on black: those stronger than "high", and what hangs on them above "low"."""
    import cv2

    def canny(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        edges = cv2.Canny(picture, options["low"], options["high"])
        return cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]

    return canny


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    sliders = (Slider("low", "Low Threshold", 1, 255, 100), Slider("high", "High Threshold", 1, 255, 200))
    return [Preprocessor("canny", load, tags=("Canny",), sliders=sliders)]
