"""Soft edges and sketches by HED (Xie and Tu 2015), through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

FILE = "ControlNetHED.pth"


def load(place: Place, safe: bool = False, scribble: bool = False) -> Run:
    """Return what draws edges: as soft as they are, in few steps (`safe`), or as thin lines (`scribble`)."""
    from controlnet_aux.hed import ControlNetHED_Apache2, HEDdetector

    from modules.controls.hints.networks import network_of, through

    detector = HEDdetector(network_of(ControlNetHED_Apache2, place, FILE))

    def hed(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture, safe=safe, scribble=scribble)

    return hed


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer the three."""
    soft, sketch = ("SoftEdge",), ("Scribble",)
    return [
        Preprocessor("softedge_hed", load, tags=soft, files=(FILE,)),
        Preprocessor("softedge_hedsafe", partial(load, safe=True), tags=soft, files=(FILE,)),
        Preprocessor("scribble_hed", partial(load, scribble=True), tags=sketch, files=(FILE,)),
    ]
