"""BLIP (Li et al. 2022): captions from a vision transformer and a text decoder, through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from modules.captioners.captioner import Captioner, Say
from modules.errors import BrokenFile
from modules.hooks import hookimpl

if TYPE_CHECKING:
    import torch

BEAMS, SHORTEST, LONGEST = 1, 24, 48  # A1111's defaults; the lengths are tokens
FILES = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.txt"),
)


@hookimpl
def captioners() -> Sequence[Captioner]:
    """Offer it for the folders in models/BLIP."""
    return [Captioner("BLIP", load, folder="BLIP", kind="blip", files=FILES)]


def load(path: Path, device: torch.device) -> Say:
    """Return what describes pictures, from a folder as transformers has it; nothing but safetensors is read.

    Raises `BrokenFile` when it cannot be loaded.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import BlipForConditionalGeneration, BlipProcessor

    dtype = torch.float16 if device.type == "cuda" else torch.float32
    try:
        processor = BlipProcessor.from_pretrained(path, local_files_only=True)
        with torch.inference_mode(False):
            model = BlipForConditionalGeneration.from_pretrained(
                path, local_files_only=True, use_safetensors=True, dtype=dtype
            )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise BrokenFile("caption_broken", file=path.name, reason=str(error)[:200]) from error
    network: Any = model
    network.to(device).eval().requires_grad_(False)
    words: Any = processor

    def say(image: Image.Image) -> str:
        pixels = words(images=image.convert("RGB"), return_tensors="pt")["pixel_values"].to(device, dtype)
        with torch.inference_mode():
            told = network.generate(
                pixel_values=pixels, num_beams=BEAMS, do_sample=False, min_length=SHORTEST, max_length=LONGEST
            )
        return str(words.decode(told[0], skip_special_tokens=True)).strip()

    return say
