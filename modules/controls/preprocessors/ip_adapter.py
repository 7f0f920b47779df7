"""A picture for an IP-Adapter, as it is: the file says which image encoder sees it. A1111's names for that."""

from __future__ import annotations

from collections.abc import Sequence

from modules.controls.preprocessor import Place, Preprocessor, Run
from modules.hooks import hookimpl


def load(place: Place) -> Run:
    """Return what leaves a picture as it is."""
    return lambda picture, options: picture


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it, under the names too that name an encoder."""
    names = ("ip-adapter-auto", "ip-adapter_clip_sd15", "ip-adapter_clip_sdxl")
    return [Preprocessor(name, load, tags=("IP-Adapter",)) for name in names]
