"""WD taggers (SmilingWolf): the tags that booru sites would give a drawing, by networks of timm or in ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from modules.captioners.captioner import Captioner, Say
from modules.hooks import hookimpl

if TYPE_CHECKING:
    import torch

WEIGHTS, NETWORK, TAGS = "model.safetensors", "model.onnx", "selected_tags.csv"
PAPER = "#ffffff"  # what is behind what is transparent, and around what is not square


@hookimpl
def captioners() -> Sequence[Captioner]:
    """Offer it for the folders in models/WD14."""
    return [Captioner("WD14", load, folder="WD14", files=((WEIGHTS, NETWORK), (TAGS,)), marks=(TAGS,))]


def load(path: Path, device: torch.device) -> Say:
    """Return what finds tags: those of things, and those of characters.

    The folder has a network of timm (config.json and model.safetensors, as the third version has it) or one in ONNX
    (model.onnx, as the second has it), and what its answers mean (selected_tags.csv). Raises `BrokenFile` when it
    cannot be loaded.
    """
    from modules.captioners.tagging.names import names_in
    from modules.captioners.tagging.networks import of_onnx, of_timm
    from modules.images.resize import flattened

    names = names_in(path / TAGS, path.name)
    if (path / WEIGHTS).is_file():
        scores = of_timm(path, WEIGHTS, len(names), device)
    else:
        scores = of_onnx(path / NETWORK, len(names))

    def say(image: Image.Image) -> dict[str, float]:
        picture = flattened(image, PAPER)
        side = max(picture.size)
        square = Image.new("RGB", (side, side), PAPER)
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        return {name: sure for name, sure in zip(names, scores(square), strict=True) if name}

    return say
