"""Headers without weights: what published checkpoints show of themselves, in their real widths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel

from modules.families.family import Entry, Header

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
SD1: dict[str, Any] = {"cross_attention_dim": 768}
SD2: dict[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
SDXL: dict[str, Any] = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": [PLAIN, CROSS, CROSS],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
REFINER: dict[str, Any] = {
    **SDXL,
    "block_out_channels": [384, 768, 1536, 1536],
    "down_block_types": [PLAIN, CROSS, CROSS, PLAIN],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": 4,
    "attention_head_dim": [6, 12, 24, 24],
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
PUBLISHED = {
    "sd1": ("sd1", SD1),
    "sd1-inpainting": ("sd1", {**SD1, "in_channels": 9}),
    "instruct-pix2pix": ("sd1", {**SD1, "in_channels": 8}),
    "sd2": ("sd2", SD2),
    "sd2-inpainting": ("sd2", {**SD2, "in_channels": 9}),
    "sdxl": ("sdxl", SDXL),
    "sdxl-inpainting": ("sdxl", {**SDXL, "in_channels": 9}),
    "sdxl-refiner": ("sdxl", REFINER),
    "x4-upscaler": ("", {**SD2, "in_channels": 7, "class_embed_type": None, "num_class_embeds": 1000}),
    "sd2-unclip": ("", {**SD2, "class_embed_type": "projection", "projection_class_embeddings_input_dim": 2048}),
}


def stripped(name: str, file: str = "model.safetensors") -> Header:
    """Return the header of a published U-Net by keys and shapes alone: no config, no metadata, nothing on the disk."""
    with torch.device("meta"):
        weights = UNet2DConditionModel.from_config({**PUBLISHED[name][1], "sample_size": 64}).state_dict()
    return header_of({f"unet.{key}": tuple(value.shape) for key, value in weights.items()}, file)


def header_of(shapes: Mapping[str, tuple[int, ...]], file: str = "model.safetensors", **about: Any) -> Header:
    """Return a header of tensors of these shapes."""
    path = Path(file)
    return Header(path, {key: Entry(path, "F16", shape, 0, 0) for key, shape in shapes.items()}, **about)
