"""Textual inversions and hypernetworks with random numbers, in every layout people have them in."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file
from torch import Tensor, nn


def vectors(count: int = 2, width: int = 16, seed: int = 0) -> Tensor:
    """Random vectors as large as those of a text encoder."""
    return 0.5 * torch.randn((count, width), generator=torch.Generator().manual_seed(seed))


def a1111(path: Path, rows: Tensor) -> Path:
    """As A1111's trainer writes it."""
    word = {"string_to_token": {"*": 265}, "string_to_param": {"*": rows}, "name": "inner", "step": 499}
    return _saved(path.with_suffix(".pt"), {**word, "sd_checkpoint": "6ce0161689", "sd_checkpoint_name": "v1-5"})


def compvis(path: Path, rows: Tensor) -> Path:
    """As the first implementation wrote it: a module of torch with one parameter."""
    params = nn.ParameterDict({"*": nn.Parameter(rows)})
    return _saved(path.with_suffix(".pt"), {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": params})


def diffusers_bin(path: Path, rows: Tensor) -> Path:
    """As the concepts library of diffusers has them: one vector by its token."""
    return _saved(path.with_suffix(".bin"), {"<cat-toy>": rows[0] if len(rows) == 1 else rows})


def diffusers_safetensors(path: Path, rows: Tensor) -> Path:
    """As A1111's users convert them."""
    path = path.with_suffix(".safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"emb_params": rows}, path)
    return path


def picture(path: Path, rows: Tensor) -> Path:
    """As A1111's trainer puts it into a picture."""
    word = {"string_to_token": {"*": 265}, "string_to_param": {"*": {"TORCHTENSOR": rows.tolist()}}, "name": "inner"}
    about = PngImagePlugin.PngInfo()
    about.add_text("sd-ti-embedding", base64.b64encode(json.dumps(word).encode()).decode())
    path = path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path, pnginfo=about)
    return path


def pixels(path: Path, rows: Tensor) -> Path:
    """As A1111's trainer puts it into the pixels of a picture: noise on both sides, black columns between."""
    word = {"string_to_param": {"*": {"TORCHTENSOR": rows.tolist()}}, "name": "inner"}
    data = np.frombuffer(zlib.compress(json.dumps(word).encode(), 9), np.uint8)
    height = 16
    data = np.concatenate([data, np.zeros(-len(data) % (3 * height), np.uint8)]).reshape(height, -1, 3)
    state, noise = 0, []
    for _ in range(data.size):
        state = (1664525 * state + 1013904223) % 2**32
        noise.append(state % 255)
    hidden = np.array(noise, np.uint8).reshape(data.shape) & 15
    strips = [(half ^ hidden) | 0x50 for half in (data & 15, data >> 4)]
    shown = Image.new("RGB", (2 * data.shape[1] + 10, height))
    for place, strip in ((0, strips[0]), (data.shape[1] + 10, strips[1])):
        shown.paste(Image.fromarray(strip.astype(np.uint8)), (place, 0))
    shown.paste(Image.new("RGB", (8, height), (90, 91, 92)), (data.shape[1] + 1, 0))
    framed = Image.new("RGB", (shown.width + 6, shown.height + 6))  # a black frame, as a page may put around it
    framed.paste(shown, (3, 3))
    path = path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    framed.save(path)
    return path


def pair(path: Path, first: Tensor, second: Tensor) -> Path:
    """As trainers for SDXL write it."""
    path = path.with_suffix(".safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"clip_l": first, "clip_g": second}, path)
    return path


LAYOUTS: Mapping[str, Callable[[Path, Tensor], Path]] = MappingProxyType(
    {
        "a1111": a1111,
        "compvis": compvis,
        "diffusers-bin": diffusers_bin,
        "diffusers-safetensors": diffusers_safetensors,
        "picture": picture,
        "pixels": pixels,
    }
)


def hypernetwork(
    path: Path,
    widths: Sequence[int],
    structure: Sequence[float] = (1, 2, 1),
    seed: int = 0,
    normed: bool = False,
    dropout: Sequence[float] | None = None,
    old: bool = False,
    **about: Any,
) -> tuple[Path, dict[int, tuple[nn.Module, nn.Module]]]:
    """Write a hypernetwork as A1111 does; return where, and the networks it was made of, ready to compare with.

    `about` are further fields of the file: activation_func, activate_output, ….
    """
    torch.manual_seed(seed)
    made = {
        width: (_network(width, structure, normed, dropout, about), _network(width, structure, normed, dropout, about))
        for width in widths
    }
    file: dict[Any, Any] = {width: [_state(each, old) for each in pair] for width, pair in made.items()}
    if not old:
        file |= {"step": 9, "name": "inner", "layer_structure": list(structure), "is_layer_norm": normed}
        file |= {"weight_initialization": "Normal", "dropout_structure": dropout, "optional_info": None, **about}
    return _saved(path.with_suffix(".pt"), file), made


ACTIVATIONS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {
        "relu": nn.ReLU,
        "leakyrelu": nn.LeakyReLU,
        "elu": nn.ELU,
        "swish": nn.Hardswish,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "mish": nn.Mish,
        "softsign": nn.Softsign,
        "gelu": nn.GELU,
        "rrelu": nn.RReLU,
    }
)


def _network(
    width: int, structure: Sequence[float], normed: bool, dropout: Sequence[float] | None, about: Mapping[str, Any]
) -> nn.Module:
    """Stack the layers of one branch in A1111's order: linear, activation, norm, dropout."""
    activation = ACTIVATIONS.get(about.get("activation_func") or "")
    layers: list[nn.Module] = []
    for place, (first, second) in enumerate(pairwise(structure)):
        layers.append(nn.Linear(int(width * first), int(width * second)))
        last = place == len(structure) - 2
        if activation and (not last or about.get("activate_output", True)):
            layers.append(activation())
        if normed:
            layers.append(nn.LayerNorm(int(width * second)))
            nn.init.normal_(layers[-1].bias)  # type: ignore[arg-type]
        if dropout and dropout[place + 1]:
            layers.append(nn.Dropout(dropout[place + 1]))
    return nn.Sequential(*layers).eval().requires_grad_(False)


def _state(network: nn.Module, old: bool) -> dict[str, Tensor]:
    state = network.state_dict()
    if old:
        return {f"linear{int(key[0]) + 1}.{key[2:]}": value for key, value in state.items()}
    return {f"linear.{key}": value for key, value in state.items()}


def _saved(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path)
    return path
