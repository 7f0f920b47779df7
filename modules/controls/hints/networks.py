"""Networks of controlnet-aux: filled from files read as data, and asked about pictures of any size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from modules.controls.preprocessor import Pixels, Place
from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.families.unet.weights import DTYPES, Mapped

SQUARE = 64  # pixels: controlnet-aux brings pictures to multiples of it
WRAPPED = ("", "module.", "model.", "model.module.")  # what some programs that train put in front of every name
REPOSITORY = "lllyasviel/Annotators"  # where the files are published
NAMED = 4  # keys a message names before it stops


def network_of(
    make: Callable[[], nn.Module], place: Place, file: str, named: Callable[[str], str] = lambda key: key
) -> Any:
    """Return the network that `make` makes, with the weights of `file`, on the device of `place`.

    `named` turns the network's own key into the file's. Raises `UnknownModel` when the file is not there, `BrokenFile`
    when weights are missing or of another shape; what is in it besides is left out.
    """
    stored = place.weights(file, REPOSITORY)  # first: some of these networks take long to make
    network = make()
    wanted = [named(key) for key in network.state_dict()]
    ways = (_unwrapped(stored, prefix) for prefix in WRAPPED)
    entries = max(ways, key=lambda each: sum(key in each for key in wanted))
    maps: dict[object, Mapped] = {}
    state, missing = {}, []
    for key, empty in network.state_dict().items():
        entry = entries.get(named(key))
        if entry is None:
            if not key.endswith(("num_batches_tracked", "relative_position_index")):  # counted or computed, not learned
                missing.append(key)
            continue
        if entry.dtype not in DTYPES or entry.shape != tuple(empty.shape):
            wanted = list(empty.shape)
            raise BrokenFile("weights_shape", file=file, tensor=key, shape=list(entry.shape), wanted=wanted)
        mapped = maps.get(entry.file) or maps.setdefault(entry.file, Mapped(entry.file))
        state[key] = mapped.tensor(entry)
    if missing:
        raise BrokenFile("weights_missing", file=file, count=len(missing), keys=", ".join(missing[:NAMED]))
    with torch.inference_mode(False):
        network.load_state_dict(state, strict=False)
        return network.float().eval().requires_grad_(False).to(place.device)


def through(detector: Callable[..., Any], picture: Pixels, **options: Any) -> Pixels:
    """Return what a detector of controlnet-aux makes of `picture`, in its size; its edge is drawn out meanwhile."""
    rows, columns = picture.shape[:2]
    padded = np.pad(picture, ((0, -rows % SQUARE), (0, -columns % SQUARE), (0, 0)), mode="edge")
    side = min(padded.shape[:2])
    found = detector(padded, detect_resolution=side, image_resolution=side, output_type="np", **options)
    hint = np.asarray(found[-1] if isinstance(found, tuple) else found)
    return np.ascontiguousarray(hint[:rows, :columns], dtype=np.uint8)


def _unwrapped(entries: Mapping[str, Entry], prefix: str) -> dict[str, Entry]:
    """Return the tensors without what stands in front of every name."""
    return {key.removeprefix(prefix): entry for key, entry in entries.items() if key.startswith(prefix)}
