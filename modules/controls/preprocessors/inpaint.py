"""The picture with holes where it is to be painted anew, for ControlNets that were trained to fill them."""

from __future__ import annotations

from collections.abc import Sequence

from modules.controls.preprocessor import Place, Preprocessor, Run
from modules.hooks import hookimpl


def load(place: Place) -> Run:
    """Return what leaves a picture as it is: its holes are the mask's to say."""
    return lambda picture, options: picture


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both: one that keeps every pixel around the holes, and one that lets them be drawn anew to go with them."""
    return [
        Preprocessor("inpaint_only", load, tags=("Inpaint",), holes=True, keeps=True),
        Preprocessor("inpaint_global_harmonious", load, tags=("Inpaint",), holes=True),
    ]
