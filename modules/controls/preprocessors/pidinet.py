"""Soft edges and sketches by PiDiNet (Su et al. 2021), through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

FILE = "table5_pidinet.pth"


def load(place: Place, safe: bool = False, scribble: bool = False) -> Run:
    """Return what draws edges: as soft as they are, in few steps (`safe`), or as thin lines (`scribble`)."""
    from controlnet_aux.pidi import PidiNetDetector
    from controlnet_aux.pidi.model import pidinet

    from modules.controls.hints.networks import network_of, through

    detector = PidiNetDetector(network_of(pidinet, place, FILE))

    def edges(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture, safe=safe, scribble=scribble)

    return edges


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer the three."""
    soft, sketch = ("SoftEdge",), ("Scribble",)
    return [
        Preprocessor("softedge_pidinet", load, tags=soft, files=(FILE,)),
        Preprocessor("softedge_pidisafe", partial(load, safe=True), tags=soft, files=(FILE,)),
        Preprocessor("scribble_pidinet", partial(load, scribble=True), tags=sketch, files=(FILE,)),
    ]
