"""None: the picture is a hint already. Invert: black lines on white become what ControlNet reads, white on black."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl


def load(place: Place) -> Run:
    """Return what leaves a picture as it is."""
    return lambda picture, options: picture


def _inverting(place: Place) -> Run:
    def invert(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return 255 - picture

    return invert


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both."""
    label = "invert (from white bg & black line)"
    lines = ("Canny", "Lineart", "Scribble", "MLSD")
    return [Preprocessor("none", load), Preprocessor("invert", _inverting, label, lines)]
