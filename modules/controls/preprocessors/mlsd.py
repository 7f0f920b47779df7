"""Straight lines (M-LSD, Gu et al. 2022), through controlnet-aux: rooms and houses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider

FILE = "mlsd_large_512_fp32.pth"


def load(place: Place) -> Run:
    """Return what draws straight lines, white on black."""
    from controlnet_aux.mlsd import MLSDdetector
    from controlnet_aux.mlsd.models.mbv2_mlsd_large import MobileV2_MLSD_Large

    from modules.controls.hints.networks import network_of, through

    detector = MLSDdetector(network_of(MobileV2_MLSD_Large, place, FILE))

    def lines(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture, thr_v=options["value"], thr_d=options["distance"])

    return lines


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    value = Slider("value", "MLSD Value Threshold", 0.01, 2.0, 0.1, 0.01)
    distance = Slider("distance", "MLSD Distance Threshold", 0.01, 20.0, 0.1, 0.01)
    return [Preprocessor("mlsd", load, tags=("MLSD",), sliders=(value, distance), files=(FILE,))]
