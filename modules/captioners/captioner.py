"""The contract of a captioner: a picture in, a sentence about it out, the same one each time.

Adding one is a file beside this one with a module-level `captioners` hook. What computes (torch, transformers) is
imported inside `load`, so that the web process can list them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import torch

Say = Callable[[Image.Image], str]
"""Makes of an image (RGB or RGBA) a sentence on one line."""


@dataclass(frozen=True)
class Captioner:
    """What the hook `captioners` offers.

    Its models are folders in `folder`, below the folder of models, whose config.json says `kind`; each must have one of
    every tuple of `files`. One without a `folder` needs no model, and is chosen by its `name`. `load` is given the
    model's folder (or the folder of models) and the device, and makes what speaks, once; it reads no other place.
    """

    name: str
    load: Callable[[Path, torch.device], Say]
    folder: str = ""
    kind: str = ""
    files: tuple[tuple[str, ...], ...] = ()
