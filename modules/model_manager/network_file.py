"""The weights of a network for images out of its file, as data: nothing in it is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.families.unet.weights import DTYPES, Mapped
from modules.model_manager.header import TORCH, read_safetensors
from modules.model_manager.torch_file import read_torch

WRAPPERS = ("model_state_dict", "state_dict", "params_ema", "params-ema", "params")  # the best one first


def read_network(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file or one of torch by name, out of the dictionary that is around them.

    They are views of the mapped file. Raises `UnsafeFile` or `BrokenFile` when it cannot be read as data.
    """
    is_torch = path.suffix.lower() in TORCH
    entries: Mapping[str, Entry] = read_torch(path).entries if is_torch else dict(read_safetensors(path))
    entries = _unwrapped(entries)
    if not entries:
        raise BrokenFile("upscaler_unknown", file=path.name)
    for key, entry in entries.items():
        if entry.dtype not in DTYPES:
            raise BrokenFile("weights_dtype", file=path.name, tensor=key[:80], dtype=entry.dtype)
    try:
        mapped = Mapped(path)
    except (OSError, ValueError) as error:
        raise BrokenFile("unreadable", file=path.name, reason=str(error)) from error
    return {key: mapped.tensor(entry) for key, entry in entries.items()}


def _unwrapped(entries: Mapping[str, Entry]) -> Mapping[str, Entry]:
    for wrapper in WRAPPERS:
        inner = {
            key.removeprefix(f"{wrapper}."): entry for key, entry in entries.items() if key.startswith(f"{wrapper}.")
        }
        if inner:
            return inner
    return entries
