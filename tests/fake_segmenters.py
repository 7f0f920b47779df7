"""Tiny networks of random weights that tell the parts of a picture apart, in folders as published ones have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    ConvNextConfig,
    OneFormerConfig,
    OneFormerForUniversalSegmentation,
    OneFormerImageProcessor,
    SegformerImageProcessor,
    SwinConfig,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)

STAGES = ["stage1", "stage2", "stage3", "stage4"]


def put_oneformer(folder: Path, classes: int, seed: int = 1) -> Path:
    """Write a OneFormer that tells so many classes apart into a folder; return that."""
    swin: Any = {
        "out_features": STAGES,
        "embed_dim": 8,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "window_size": 4,
    }
    small: Any = dict.fromkeys(("hidden_dim", "mask_dim", "conv_dim", "text_encoder_width"), 32)
    small |= {"num_queries": 12, "encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2}
    small |= {"encoder_feedforward_dim": 16, "dim_feedforward": 16, "text_encoder_num_layers": 1}
    small |= {"text_encoder_vocab_size": 99, "init_xavier_std": 20.0}
    small |= {"num_labels": classes, "backbone_config": SwinConfig(**swin)}
    config = OneFormerConfig(**small)
    _save(OneFormerForUniversalSegmentation, config, folder, seed)
    size = {"shortest_edge": 64, "longest_edge": 128}
    OneFormerImageProcessor(size=size).save_pretrained(folder)
    # What published ones name is a list that is not in the folder.
    file = folder / "preprocessor_config.json"
    text = file.read_text(encoding="utf-8").rstrip().removesuffix("}").rstrip()
    file.write_text(f'{text},\n"class_info_file": "ade20k_panoptic.json"\n}}', encoding="utf-8")
    return folder


def put_upernet(folder: Path, classes: int = 150, seed: int = 1) -> Path:
    """Write a UPerNet that tells so many classes apart into a folder; return that."""
    convnext: Any = {"out_features": STAGES, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    small: Any = {"hidden_size": 16, "auxiliary_in_channels": 16, "auxiliary_channels": 8, "initializer_range": 1.0}
    small |= {"num_labels": classes, "backbone_config": ConvNextConfig(**convnext)}
    config = UperNetConfig(**small)
    _save(UperNetForSemanticSegmentation, config, folder, seed)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def _save(kind: Any, config: Any, folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    with torch.inference_mode(False):
        kind(config).save_pretrained(folder)
