"""A tiny BLIP of random weights in the layout of a published one, and captioners that need no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
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


def parrot(name: str = "Parrot") -> Captioner:
    """A captioner that says how large a picture is."""

    def load(path: Path, device: torch.device) -> Say:
        def say(image: Image.Image) -> str:
            return f"a picture of {image.width}\n by {image.height}"

        return say

    return Captioner(name, load)
