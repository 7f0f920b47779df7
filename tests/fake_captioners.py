"""A tiny BLIP and a tiny tagger of random weights in the layout of published ones, and captioners that need none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
)

from modules.captioners.captioner import Captioner, Say

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]")
WORDS = (*SPECIAL, *(f"{colour}{thing}" for colour in ("red", "blue", "big", "old") for thing in "abcdefghijklmno"))


def put_blip(data: Path, name: str = "tiny", seed: int = 1) -> Path:
    """Write a tiny BLIP into models/BLIP of a data folder; return its folder."""
    folder = data / "models" / "BLIP" / name
    folder.mkdir(parents=True)
    special = {"bos_token_id": 5, "eos_token_id": 3, "pad_token_id": 0, "sep_token_id": 3}
    small: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    small |= {"num_attention_heads": 2, "initializer_range": 1.0}  # so that what it says is not always the same
    text = {**small, **special, "vocab_size": len(WORDS), "encoder_hidden_size": 16, "max_position_embeddings": 64}
    config = BlipConfig(text_config=text, vision_config={**small, "image_size": 32, "patch_size": 8}, projection_dim=8)
    torch.manual_seed(seed)
    with torch.inference_mode(False):
        BlipForConditionalGeneration(config).save_pretrained(folder)
    make: Any = BlipProcessor
    processor = make(
        BlipImageProcessor(size={"height": 32, "width": 32}),
        BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)}),
    )
    processor.save_pretrained(folder)
    return folder


TAGS = ("general", "long_hair", "red", "saber_(fate)", "^_^", "sketch")  # and the category of each
CATEGORIES = (9, 0, 0, 4, 0, 0)
SURE = (0.99, 0.9, 0.6, 0.8, 0.55, 0.2)


def put_tagger(data: Path, name: str = "tiny", sure: Sequence[float] | None = SURE, seed: int = 1) -> Path:
    """Write a tiny network of timm as WD taggers have it into models/WD14 of a data folder; return its folder.

    It is always so `sure` of its tags; with None, that depends on what it sees.
    """
    folder = data / "models" / "WD14" / name
    put_tags(folder)
    # fmt: off
    model_args = {
        "img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2, "class_token": False,
        "global_pool": "avg", "fc_norm": False, "act_layer": "gelu_tanh",
    }
    # fmt: on
    seen = {"input_size": [3, 32, 32], "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center"}
    seen |= {"mean": [0.5] * 3, "std": [0.5] * 3, "num_classes": len(TAGS)}
    about = {"architecture": "vit_base_patch16_224", "num_classes": len(TAGS), "num_features": 16}
    about |= {"global_pool": "avg", "model_args": model_args, "pretrained_cfg": seen}
    (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
    torch.manual_seed(seed)
    make: Any = timm.create_model
    with torch.inference_mode(False):
        state = make("vit_base_patch16_224", num_classes=len(TAGS), **model_args).state_dict()
        state["head.weight"] = torch.randn_like(state["head.weight"]) if sure is None else state["head.weight"] * 0
        state["head.bias"] = torch.tensor(SURE if sure is None else sure).logit()
    save_file(state, folder / "model.safetensors")
    return folder


def put_tags(folder: Path) -> None:
    """Write the table that says what a tagger's answers mean."""
    folder.mkdir(parents=True)
    rows = [f"{place},{tag},{kind},{place * 7}" for place, (tag, kind) in enumerate(zip(TAGS, CATEGORIES, strict=True))]
    (folder / "selected_tags.csv").write_text("\n".join(["tag_id,name,category,count", *rows]), encoding="utf-8")


def parrot(name: str = "Parrot") -> Captioner:
    """A captioner that says how large a picture is."""

    def load(path: Path, device: torch.device) -> Say:
        def say(image: Image.Image) -> str:
            return f"a picture of {image.width}\n by {image.height}"

        return say

    return Captioner(name, load)
