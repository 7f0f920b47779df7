"""A models folder as people have them: LoRAs, embeddings and hypernetworks with previews and what lies beside them."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw

WIDTHS = {"sd1": 768, "sd2": 1024, "sdxl": 2048}  # of the words that attention reads
KEY = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def write_tensors(path: Path, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, str] | None = None) -> Path:
    """Write a safetensors file of zeros in F16."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(start))
    return path


def write_lora(path: Path, family: str = "sd1", metadata: Mapping[str, str] | None = None) -> Path:
    """Write a LoRA of one layer, as kohya's trainer names it."""
    shapes = {
        f"{KEY}.lora_down.weight": (1, WIDTHS[family]),
        f"{KEY}.lora_up.weight": (320, 1),
        f"{KEY}.alpha": (),
    }
    return write_tensors(path, shapes, metadata)


def write_embedding(path: Path, family: str = "sd1", vectors: int = 2) -> Path:
    """Write a learned word in A1111's layout."""
    return write_tensors(path, {"emb_params": (vectors, WIDTHS[family])})


def beside(path: Path, **written: object) -> None:
    """Write down what a person wrote in A1111: "activation text", "preferred weight", ..."""
    named = {name.replace("_", " "): value for name, value in written.items()}
    path.with_suffix(".json").write_text(json.dumps(named))


def picture(path: Path, hue: int, size: tuple[int, int] = (256, 384)) -> Path:
    """Draw something to look at: a sun over hills."""
    sky, sun, hill = (
        f"hsl({(hue + turn) % 360}, {strong}%, {light}%)"
        for turn, strong, light in ((0, 45, 62), (40, 80, 75), (160, 35, 34))
    )
    image = Image.new("RGB", size, sky)
    draw = ImageDraw.Draw(image)
    wide, high = size
    draw.ellipse([wide * 0.5, high * 0.16, wide * 0.86, high * 0.4], fill=sun)
    draw.ellipse([-wide * 0.5, high * 0.62, wide * 0.9, high * 1.5], fill=hill)
    draw.ellipse([wide * 0.3, high * 0.7, wide * 1.7, high * 1.6], fill=f"hsl({(hue + 190) % 360}, 30%, 26%)")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path
