"""Loading a tiny checkpoint, and asking it."""

from __future__ import annotations

from pathlib import Path

import torch

from modules.families.family import Conditioning
from modules.families.unet.model import UnetModel
from modules.model_manager.header import read_header
from modules.model_manager.identify import built_in_families, identify
from modules.prompts.chunks import Chunk, chunks
from modules.prompts.syntax import attention

CPU = torch.device("cpu")


def load(path: Path, family: str = "", vae: Path | None = None) -> UnetModel:
    """Load a checkpoint in fp32; `family` is the one that must recognise it."""
    header = read_header(path)
    found = identify(header, built_in_families())
    assert family in ("", found.name)
    model = found.load(header, CPU, torch.float32, vae=None if vae is None else read_header(vae))
    assert isinstance(model, UnetModel)
    return model


def cut(model: UnetModel, text: str) -> list[Chunk]:
    """Return the chunks of a text."""
    return chunks(attention(text), model.tokenizer)


def words(model: UnetModel, *texts: str, clip_skip: int = 1, negative: bool = False) -> Conditioning:
    """Return the conditioning of texts of equally many chunks."""
    with torch.inference_mode():
        return model.encode([cut(model, text) for text in texts], clip_skip, negative)
