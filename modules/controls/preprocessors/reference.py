"""Reference alone: the picture itself is the hint, and no model is needed."""

from __future__ import annotations

from collections.abc import Sequence

from modules.controls.preprocessor import Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider


def load(place: Place) -> Run:
    """Return what leaves a picture as it is."""
    return lambda picture, options: picture


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    sliders = (Slider("fidelity", "Style Fidelity", 0, 1, 0.5, 0.01),)
    return [Preprocessor("reference_only", load, tags=("Reference",), sliders=sliders, control="Reference")]
