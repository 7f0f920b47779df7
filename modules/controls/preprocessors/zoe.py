"""Depth by ZoeDepth (Bhat et al. 2023), through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

FILE = "ZoeD_M12_N.pt"


def load(place: Place) -> Run:
    """Return what draws how near things are (white: near)."""
    from controlnet_aux.zoe import ZoeDepth, ZoeDetector, get_config

    from modules.controls.hints.networks import network_of, through

    def make() -> ZoeDepth:
        return ZoeDepth.build_from_config(get_config("zoedepth", "infer"))

    detector = ZoeDetector(network_of(make, place, FILE))

    def depth(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture)

    return depth


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    return [Preprocessor("depth_zoe", load, tags=("Depth",), files=(FILE,))]
