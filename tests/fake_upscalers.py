"""Tiny networks for images with random weights, of architectures that spandrel knows; and pictures to try them on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.SwinIR import SwinIR
from torch import Tensor

State = dict[str, Tensor]


def compact(scale: int = 2, seed: int = 0, strength: float = 0.2) -> State:
    """Weights of a Compact network. It adds to the picture, each pixel repeated; `strength` 0: nothing."""
    torch.manual_seed(seed)
    state = Compact(num_in_ch=3, num_out_ch=3, num_feat=8, num_conv=2, upscale=scale).state_dict()
    last = [key for key in state if key.startswith("body.")][-2:]
    return {key: value * (strength if key in last else 1) for key, value in state.items()}


def esrgan(seed: int = 0) -> State:
    """Weights of an ESRGAN with one block, which enlarges four times."""
    torch.manual_seed(seed)
    state: State = ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=4).state_dict()
    return state


def swinir(seed: int = 0) -> State:
    """Weights of a SwinIR with one block, which enlarges twice; it has whole numbers among its weights."""
    torch.manual_seed(seed)
    made = SwinIR(
        img_size=16, embed_dim=12, depths=[2], num_heads=[2], window_size=8, upscale=2, upsampler="pixelshuffledirect"
    )
    state: State = made.state_dict()
    return state


def put_upscaler(folder: Path, name: str = "tiny", state: State | None = None, kind: str = "ESRGAN") -> Path:
    """Write weights below the data folder, as .safetensors or, if the name says so, as torch does."""
    path = folder / "models" / kind / (name if "." in name else f"{name}.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = compact() if state is None else state
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)
    else:
        torch.save(weights, path)
    return path


def scene(width: int = 90, height: int = 61, mode: str = "RGB") -> Image.Image:
    """A soft picture with an edge in it: red rises to the right, green downwards, a bright square in the middle."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    square = (np.abs(across - 0.5) < 0.2) & (np.abs(down - 0.5) < 0.2)
    levels = np.stack([across * 200, down * 200, np.where(square, 230, 40)], axis=2).round().astype(np.uint8)
    image = Image.fromarray(levels)
    if mode == "RGBA":
        image.putalpha(Image.fromarray((across * 255).astype(np.uint8)))
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """The largest difference of two pictures, in levels."""
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).max())
