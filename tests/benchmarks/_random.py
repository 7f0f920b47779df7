"""Full-size checkpoints in one file each, with random weights, written in seconds and without making the networks."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.families.family import Entry, Header
from modules.families.unet.layout import original

BLOCK = 2**24  # numbers that are drawn; longer tensors repeat them


def write_random(
    path: Path, unet: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any], text_2: Any = None
) -> Path:
    """Write a float16 checkpoint of those configs in the original layout; its weights are small random numbers."""
    with torch.device("meta"):
        parts: dict[str, nn.Module] = {
            "unet": UNet2DConditionModel.from_config(dict(unet)),
            "vae": AutoencoderKL.from_config(dict(vae)),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text)),
        }
        if text_2 is not None:
            parts["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**text_2))
    entries = {
        f"{part}.{key}": Entry(path, "F16", tuple(value.shape), 0, 2 * value.numel())
        for part, module in parts.items()
        for key, value in module.state_dict().items()
        if value.is_floating_point()
    }
    stored = list(original(Header(path, entries)))
    table: dict[str, dict[str, Any]] = {}
    at = 0
    for each in stored:
        size = 2 * math.prod(each.shape)
        table[each.key] = {"dtype": "F16", "shape": list(each.shape), "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)
    numbers = np.random.default_rng(0).normal(0, 0.02, BLOCK).astype(np.float16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, last in sorted(each["data_offsets"] for each in table.values()):
            while (missing := 8 + len(header) + last - file.tell()) > 0:
                file.write(numbers[:missing])
    return path
