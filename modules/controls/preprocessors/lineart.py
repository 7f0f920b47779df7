"""Line drawings of photographs (Chan, Durand, Isola 2022), fine or coarse, through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

FINE, COARSE = "sk_model.pth", "sk_model2.pth"


def load(place: Place, file: str = FINE) -> Run:
    """Return what draws lines, white on black, with the network of `file`."""
    from controlnet_aux.lineart import Generator, LineartDetector

    from modules.controls.hints.networks import network_of, through

    network = network_of(partial(Generator, 3, 1, 3), place, file)
    detector = LineartDetector(network, network)

    def lines(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture)

    return lines


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both."""
    return [
        Preprocessor("lineart_realistic", load, tags=("Lineart",), files=(FINE,)),
        Preprocessor("lineart_coarse", partial(load, file=COARSE), tags=("Lineart",), files=(COARSE,)),
    ]
