"""The networks of taggers: given a square picture, how sure they are of each of their tags."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from modules.errors import BrokenFile
from modules.images.onnx import Onnx

Scores = Callable[[Image.Image], Sequence[float]]
"""Makes of a square picture (RGB) how sure a network is of each tag, 0 to 1."""

CONFIG = "config.json"
SIDE = 448  # pixels that those in ONNX files see


def of_timm(folder: Path, weights: str, tags: int, device: torch.device) -> Scores:
    """Return the network of timm that a folder's config.json describes, for so many `tags`.

    Nothing but safetensors is read, and nothing fetched. Raises `BrokenFile` when it cannot be loaded.
    """
    try:
        about = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        name, seen = str(about["architecture"]), dict(about["pretrained_cfg"])
        if not timm.is_model(name):  # such as the address of another one
            raise ValueError(f"architecture {name[:60]}")
        # What timm would take for itself may name other files.
        own = inspect.signature(timm.create_model).parameters
        options = {key: value for key, value in dict(about.get("model_args") or {}).items() if key not in own}
        with torch.inference_mode(False):
            made: Any = timm.create_model(name, pretrained=False, num_classes=tags, **options)
            made.load_state_dict(load_file(folder / weights))
        settle: Any = resolve_data_config
        prepare: Any = create_transform(**settle(pretrained_cfg=seen))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AssertionError, SafetensorError) as error:
        raise BrokenFile("caption_broken", file=folder.name, reason=str(error)[:200]) from error
    network = made.to(device).eval().requires_grad_(False)

    def scores(square: Image.Image) -> list[float]:
        pixels = prepare(square)[None].flip(1).to(device)  # it has learnt from pictures in BGR
        with torch.inference_mode():
            found: list[float] = network(pixels)[0].sigmoid().tolist()
        return found

    return scores


def of_onnx(file: Path, tags: int) -> Scores:
    """Return the network of an ONNX file that takes (1, 448, 448, 3), BGR 0 to 255, for so many `tags`.

    Raises `BrokenFile` when it is not one.
    """
    network = Onnx(file)

    def scores(square: Image.Image) -> list[float]:
        seen = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)[None, :, :, ::-1]
        (answer,) = network(seen, (1, tags))
        found: list[float] = answer[0].tolist()
        return found

    return scores
