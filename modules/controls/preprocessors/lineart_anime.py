"""Line drawings of drawn pictures, by a network trained on anime, through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

FILE = "netG.pth"


def load(place: Place) -> Run:
    """Return what draws lines, white on black."""
    from controlnet_aux.lineart_anime import LineartAnimeDetector, UnetGenerator
    from torch.nn import InstanceNorm2d

    from modules.controls.hints.networks import network_of, through

    norm = partial(InstanceNorm2d, affine=False, track_running_stats=False)
    make = partial(UnetGenerator, 3, 1, 8, 64, norm_layer=norm, use_dropout=False)
    detector = LineartAnimeDetector(network_of(make, place, FILE))

    def lines(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture)

    return lines


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    return [Preprocessor("lineart_anime", load, tags=("Lineart",), files=(FILE,))]
