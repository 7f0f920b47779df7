"""Depth, and the directions of surfaces, by MiDaS (Ranftl et al. 2021), through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider

FILE = "dpt_hybrid-midas-501f0c75.pt"


def load(place: Place, normals: bool = False) -> Run:
    """Return what draws how near things are (white: near), or which way their surfaces look (`normals`)."""
    from controlnet_aux.midas import MidasDetector
    from controlnet_aux.midas.midas.dpt_depth import DPTDepthModel

    from modules.controls.hints.networks import network_of, through

    make = partial(DPTDepthModel, path=None, backbone="vitb_rn50_384", non_negative=True)
    detector = MidasDetector(network_of(make, place, FILE))

    def depth(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture, depth_and_normal=normals, bg_th=options.get("background", 0.1))

    return depth


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both."""
    sliders = (Slider("background", "Normal Background Threshold", 0, 1, 0.4, 0.01),)
    directions = partial(load, normals=True)
    return [
        Preprocessor("depth_midas", load, tags=("Depth",), files=(FILE,)),
        Preprocessor("normal_midas", directions, tags=("NormalMap",), sliders=sliders, files=(FILE,)),
    ]
