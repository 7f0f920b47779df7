"""Full-size checkpoints with random weights, written in seconds and without making the networks."""

from __future__ import annotations

import json
import math
import shutil
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
from tests.benchmarks._models import STARTER
from tests.fake_models import INDEX, SCHEDULER, write_json

BLOCK = 2**24  # numbers that are drawn; longer tensors repeat them


def write_random(
    path: Path, unet: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any], text_2: Any = None
) -> Path:
    """Write a float16 checkpoint of those configs in the original layout; its weights are small random numbers."""
    parts = _parts(unet, vae, text, text_2)
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
    _fill(path, table)
    return path


def write_random_folder(
    folder: Path, unet: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any], text_2: Any = None
) -> Path:
    """Write the same as a folder that a pipeline of diffusers loads too, with Euler's scheduler: one call a step."""
    parts = _parts(unet, vae, text, text_2)
    configs = {"unet": unet, "vae": vae, "text_encoder": text, "text_encoder_2": text_2}
    kinds = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL", "text_encoder": "CLIPTextModel"}
    index: dict[str, Any] = {**INDEX, "scheduler": ["diffusers", "EulerDiscreteScheduler"]}
    if text_2 is not None:
        kinds["text_encoder_2"] = "CLIPTextModelWithProjection"
        index |= {"text_encoder_2": ["transformers", kinds["text_encoder_2"]], "image_encoder": [None, None]}
        index |= {"tokenizer_2": ["transformers", "CLIPTokenizer"], "_class_name": "StableDiffusionXLPipeline"}
        index = {key: value for key, value in index.items() if "safety_checker" not in key}
        shutil.copytree(STARTER / "tokenizer", folder / "tokenizer_2")
    for part, module in parts.items():
        named = "model" if part.startswith("text") else "diffusion_pytorch_model"
        write_random_part(folder / part, {**configs[part], "_class_name": kinds[part]}, named, module)
    shutil.copytree(STARTER / "tokenizer", folder / "tokenizer")
    euler = {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "linspace", "steps_offset": 1}
    write_json(folder / "scheduler" / "scheduler_config.json", {**SCHEDULER, **euler})
    write_json(folder / "model_index.json", index)
    return folder


def write_random_part(folder: Path, config: Mapping[str, Any], name: str, module: nn.Module) -> None:
    """Write one component: its config, and float16 numbers for what `module`, which may be on the meta device, has."""
    write_json(folder / "config.json", config)
    table: dict[str, dict[str, Any]] = {}
    at = 0
    for key, value in module.state_dict().items():
        size = 2 * value.numel()
        table[key] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [at, at + size]}
        at += size
    _fill(folder / f"{name}.safetensors", table, {"format": "pt"})


def _parts(
    unet: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any], text_2: Any
) -> dict[str, nn.Module]:
    with torch.device("meta"):
        parts: dict[str, nn.Module] = {
            "unet": UNet2DConditionModel.from_config(dict(unet)),
            "vae": AutoencoderKL.from_config(dict(vae)),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**text)),
        }
        if text_2 is not None:
            parts["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**text_2))
    return parts


def _fill(path: Path, table: Mapping[str, Mapping[str, Any]], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file of that table with small random numbers."""
    told = {"__metadata__": dict(metadata)} if metadata else {}
    header = json.dumps({**told, **table}).encode()
    header += b" " * (-len(header) % 8)
    numbers = np.random.default_rng(0).normal(0, 0.02, BLOCK).astype(np.float16).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _, last in sorted(each["data_offsets"] for each in table.values()):
            while (missing := 8 + len(header) + last - file.tell()) > 0:
                file.write(numbers[:missing])
