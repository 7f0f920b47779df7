"""The contract of a captioner: a picture in, a sentence or tags about it out, the same each time.

Adding one is a file beside this one with a module-level `captioners` hook. What computes (torch, transformers) is
imported inside `load`, so that the web process can list them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import torch

Said = str | Mapping[str, float]
"""A sentence on one line; or tags as booru sites spell them ("long_hair"), each with how sure it is, 0 to 1."""
Say = Callable[[Image.Image], Said]
"""Makes that of an image (RGB or RGBA). Which tags are told, and how, is the settings' business: see `tags.py`."""


@dataclass(frozen=True)
class Captioner:
    """What the hook `captioners` offers.

    Its models are folders in `folder`, below the folder of models, whose config.json says `kind`, or, where that is
    empty, those that hold each of `marks`; each must have one of every tuple of `files`. One without a `folder` needs
    no model, and is chosen by its `name`. `load` is given the model's folder (or the folder of models) and the device,
    and makes what speaks, once; it reads no other place.
    """

    name: str
    load: Callable[[Path, torch.device], Say]
    folder: str = ""
    kind: str = ""
    files: tuple[tuple[str, ...], ...] = ()
    marks: tuple[str, ...] = ()
