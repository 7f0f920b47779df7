"""Networks of transformers that say of each pixel what it belongs to, from a folder, and their answers in colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from modules.controls.preprocessor import Pixels
from modules.errors import BrokenFile


def network_in(path: Path, processor: Any, network: Any, device: torch.device, **about: object) -> tuple[Any, Any]:
    """Return the processor and the network of these classes of transformers that the folder `path` holds.

    `about` stands in place of what the processor's file says. Nothing but safetensors is read, and nothing fetched.
    Raises `BrokenFile` when they cannot be loaded.
    """
    try:
        prepare = processor.from_pretrained(path, local_files_only=True, **about)
        with torch.inference_mode(False):
            loaded = network.from_pretrained(path, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BrokenFile("segmentation_broken", file=path.name, reason=str(error)[:200]) from error
    return prepare, loaded.to(device).eval().requires_grad_(False)


def painted(found: torch.Tensor, palette: Pixels) -> Pixels:
    """Return (H, W, 3) of the classes `found`, (H, W), each in its colour of `palette`, (classes, 3)."""
    return np.ascontiguousarray(palette[found.cpu().numpy()])
