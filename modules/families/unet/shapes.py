"""Configs of a U-Net, an autoencoder and a text encoder, derived from the names and shapes of their weights.

Keys are diffusers', without the component in front. What the weights do not say follows rules that hold for every
published model: 8 heads where projections into attention are convolutions, heads of 64 where they are matrices, 32
groups in a norm. A checkpoint that differs says so itself (`stated.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.families.unet.layout_blocks import Blocks, blocks_of_diffusers

Entries = Mapping[str, Entry]

HEADS = 8  # of a U-Net whose projections into attention are convolutions (SD 1)
HEAD_WIDTH = 64  # everywhere else
GROUPS = 32
TIME_WIDTH = 256  # of each number beside the picture that SDXL is told
BIGG_HIDDEN, VIT_H_HIDDEN = 1280, 1024  # widths of the text encoders trained with plain GELU


def unet_config(entries: Entries) -> dict[str, Any]:
    """Return the config of a `UNet2DConditionModel`.

    Raises `BrokenFile` when a weight that tells the structure is missing.
    """
    blocks = blocks_of_diffusers(entries)
    return {
        "_class_name": "UNet2DConditionModel",
        **_encoder(entries, blocks),
        "out_channels": _shape(entries, "conv_out.weight", 4)[0],
        "up_block_types": ["CrossAttnUpBlock2D" if any(level) else "UpBlock2D" for level in blocks.up],
        **_depths(blocks),
    }


def encoder_config(entries: Entries) -> dict[str, Any]:
    """Return the config of the first half of a U-Net, middle included, which a ControlNet has a copy of.

    Raises `BrokenFile` when a weight that tells the structure is missing.
    """
    blocks = blocks_of_diffusers(entries)
    depths = [_level(level) for level in blocks.down]
    if blocks.middle and depths and depths[-1] == 0:
        depths[-1] = blocks.middle
    return {
        **_encoder(entries, blocks),
        "mid_block_type": "UNetMidBlock2DCrossAttn" if blocks.middle else "UNetMidBlock2D",
        "transformer_layers_per_block": [each or 1 for each in depths],
    }


def _encoder(entries: Entries, blocks: Blocks) -> dict[str, Any]:
    """Return the fields that the way down tells."""
    channels = [
        _shape(entries, f"down_blocks.{level}.resnets.0.conv1.weight", 4)[0] for level in range(len(blocks.down))
    ]
    config: dict[str, Any] = {
        "in_channels": _shape(entries, "conv_in.weight", 4)[1],
        "block_out_channels": channels,
        "norm_num_groups": math.gcd(GROUPS, *channels),
        "down_block_types": ["CrossAttnDownBlock2D" if any(level) else "DownBlock2D" for level in blocks.down],
        "layers_per_block": _one_or_all([len(level) for level in blocks.down]),
    }
    projections = [key for key in entries if key.endswith(".proj_in.weight")]
    linear = bool(projections) and len(entries[projections[0]].shape) == 2
    config["use_linear_projection"] = linear
    config["attention_head_dim"] = _heads(channels) if linear else HEADS
    if reading := next((key for key in entries if key.endswith(".attn2.to_k.weight")), None):
        config["cross_attention_dim"] = _shape(entries, reading, 2)[1]
    if "add_embedding.linear_1.weight" in entries:
        config["addition_embed_type"] = "text_time"
        config["addition_time_embed_dim"] = TIME_WIDTH
        config["projection_class_embeddings_input_dim"] = _shape(entries, "add_embedding.linear_1.weight", 2)[1]
    return config


def vae_config(entries: Entries) -> dict[str, Any]:
    """Return the config of an `AutoencoderKL`; the scale of its latents is the family's to say.

    Raises `BrokenFile` when a weight that tells the structure is missing.
    """
    levels, layers = vae_levels(entries)
    channels = [_shape(entries, f"encoder.down_blocks.{level}.resnets.0.conv1.weight", 4)[0] for level in range(levels)]
    return {
        "_class_name": "AutoencoderKL",
        "in_channels": _shape(entries, "encoder.conv_in.weight", 4)[1],
        "out_channels": _shape(entries, "decoder.conv_out.weight", 4)[0],
        "latent_channels": _shape(entries, "decoder.conv_in.weight", 4)[1],
        "block_out_channels": channels,
        "layers_per_block": layers,
        "norm_num_groups": math.gcd(GROUPS, *channels),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "mid_block_add_attention": "decoder.mid_block.attentions.0.to_q.weight" in entries,
        "use_quant_conv": "quant_conv.weight" in entries,
        "use_post_quant_conv": "post_quant_conv.weight" in entries,
    }


def text_config(entries: Entries, stated: Any = None, open_clip: bool = False) -> dict[str, Any]:
    """Return the config of a CLIP text encoder; `stated` heads win; `open_clip`: it lay in OpenCLIP's layout.

    Raises `BrokenFile` when a weight that tells the structure is missing.
    """
    words, width = _shape(entries, "text_model.embeddings.token_embedding.weight", 2)
    layers = text_layers(entries)
    projected = "text_projection.weight" in entries
    plain = open_clip or projected or width in (VIT_H_HIDDEN, BIGG_HIDDEN)
    return {
        "model_type": "clip_text_model",
        "architectures": ["CLIPTextModelWithProjection" if projected else "CLIPTextModel"],
        "vocab_size": words,
        "hidden_size": width,
        "intermediate_size": _shape(entries, "text_model.encoder.layers.0.mlp.fc1.weight", 2)[0],
        "projection_dim": _shape(entries, "text_projection.weight", 2)[0] if projected else width,
        "num_hidden_layers": layers,
        "num_attention_heads": stated or max(1, width // HEAD_WIDTH),
        "max_position_embeddings": _shape(entries, "text_model.embeddings.position_embedding.weight", 2)[0],
        "hidden_act": "gelu" if plain else "quick_gelu",
        "bos_token_id": words - 2,
        "eos_token_id": words - 1,
        "pad_token_id": 0 if plain else words - 1,
    }


def vae_levels(keys: Iterable[str]) -> tuple[int, int]:
    """Return how many levels an autoencoder has and how many resnets each, from diffusers' or the original's keys."""
    keys = list(keys)
    levels = _count(keys, r"encoder\.(?:down|down_blocks)\.(\d{1,4})\.")
    return levels, _count(keys, r"encoder\.(?:down\.0\.block|down_blocks\.0\.resnets)\.(\d{1,4})\.")


def text_layers(keys: Iterable[str]) -> int:
    """Return how many layers a text encoder has, from diffusers' or OpenCLIP's keys."""
    return _count(keys, r"(?:text_model\.)?(?:encoder\.layers|transformer\.resblocks)\.(\d{1,4})\.")


def _depths(blocks: Blocks) -> dict[str, Any]:
    """Return the fields for transformer blocks, in the simplest form that says them."""
    down, up = ([_level(depths) for depths in side] for side in (blocks.down, blocks.up))
    if blocks.middle and down and down[-1] == 0:
        down[-1] = blocks.middle  # the middle takes the last level's number, which has no attention of its own
    fields: dict[str, Any] = {}
    if blocks.middle is None or blocks.middle == 0:
        fields["mid_block_type"] = None if blocks.middle is None else "UNetMidBlock2D"
    expected = [_level(depths) for depths in blocks.down][::-1]
    if any(each not in (0, 1) for each in (*down, blocks.middle or 0)) or up != expected:
        fields["transformer_layers_per_block"] = [each or 1 for each in down]
    if up != expected:
        fields["reverse_transformer_layers_per_block"] = [each or 1 for each in up]
    return fields


def _level(depths: tuple[int, ...]) -> Any:
    """Return one number for a level of equal depths, the list of them otherwise."""
    return _one_or_all(list(depths)) if depths else 0


def _one_or_all(values: list[int]) -> int | list[int]:
    return values[0] if len(set(values)) == 1 else values


def _heads(channels: list[int]) -> int | list[int]:
    return _one_or_all([max(1, width // HEAD_WIDTH) for width in channels])


def _count(keys: Iterable[str], pattern: str) -> int:
    """Return how many different numbers stand at the pattern's group."""
    return len({found.group(1) for key in keys if (found := re.match(pattern, key))})


def _shape(entries: Entries, key: str, sides: int) -> tuple[int, ...]:
    """Return the shape of a weight that must be there with so many sides."""
    entry = entries.get(key)
    if entry is None or len(entry.shape) != sides or not all(entry.shape):
        file = next((str(each.file) for each in entries.values()), "")
        raise BrokenFile("weights_missing", file=file, count=1, keys=key)
    return entry.shape
