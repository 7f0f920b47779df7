"""The directions of surfaces (Bae, Budvytis, Cipolla 2021), through controlnet-aux."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

FILE = "scannet.pt"


def load(place: Place) -> Run:
    """Return what draws which way surfaces look."""
    from types import SimpleNamespace

    from controlnet_aux.normalbae import NNET, NormalBaeDetector

    from modules.controls.hints.networks import network_of, through

    def make() -> NNET:
        about = {"mode": "client", "architecture": "BN", "pretrained": "scannet"}
        return NNET(SimpleNamespace(**about, sampling_ratio=0.4, importance_ratio=0.7))

    detector = NormalBaeDetector(network_of(make, place, FILE))

    def normals(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        return through(detector, picture)

    return normals


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    return [Preprocessor("normal_bae", load, tags=("NormalMap",), files=(FILE,))]
