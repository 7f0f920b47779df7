"""A LoRA file read into memory: its layers with their tensors, and what they are scaled by."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modules.errors import BrokenFile
from modules.families.family import Entry, Header
from modules.families.unet.weights import DTYPES
from modules.model_manager.header import read_header
from modules.model_manager.lora_family import lora_family
from modules.model_manager.lora_keys import Roles, sort_keys

PEFT_FILE = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"
LARGEST_CONFIG = 2**20  # bytes

Stamp = tuple[str, int, int]  # path, size, time of change in ns


@dataclass(frozen=True)
class LoraFile:
    """What a file changes: layers by name, each with its tensors by role, as stored.

    `bundled` are the entries of the learned words in it; `unknown` keys mean nothing here.
    """

    path: Path
    family: str
    layers: Mapping[str, Mapping[str, Tensor]]
    bundled: Mapping[str, Roles]
    unknown: tuple[str, ...]


def stamp_of_file(path: Path) -> Stamp:
    """Return what changes when the file does; raise `BrokenFile` when it is not there any more."""
    try:
        about = path.stat()
    except OSError as error:
        raise BrokenFile("unreadable", file=path.name, reason=error.strerror or "") from error
    return str(path), about.st_size, about.st_mtime_ns


def read_lora(path: Path) -> LoraFile:
    """Read the file at `path`, whole: it may be replaced while it is in use.

    Raises `BrokenFile` or `UnsafeFile`.
    """
    header = read_header(path)
    keys = sort_keys(header)
    flat = {(name, role): entry for name, roles in keys.layers.items() for role, entry in roles.items()}
    tensors = _read(flat)
    layers: dict[str, dict[str, Tensor]] = {}
    for (name, role), tensor in tensors.items():
        layers.setdefault(name, {})[role] = tensor
    for name, alpha in _stated_alphas(header, keys.layers).items():
        layers[name]["alpha"] = torch.tensor(alpha)
    return LoraFile(path, lora_family(header), layers, keys.bundled, keys.unknown)


def _read(entries: Mapping[tuple[str, str], Entry]) -> dict[tuple[str, str], Tensor]:
    """Read tensors in the order they lie in their files."""
    tensors: dict[tuple[str, str], Tensor] = {}
    for path in {entry.file for entry in entries.values()}:
        with path.open("rb") as file:
            inside = [(key, entry) for key, entry in entries.items() if entry.file == path]
            for key, entry in sorted(inside, key=lambda each: each[1].start):
                if entry.dtype not in DTYPES:
                    raise BrokenFile("weights_dtype", file=path.name, tensor=".".join(key), dtype=entry.dtype)
                room = bytearray(entry.size)
                file.seek(entry.start)
                if file.readinto(room) != entry.size:
                    raise BrokenFile("tensor_place", file=path.name, tensor=".".join(key))
                flat = torch.frombuffer(room, dtype=DTYPES[entry.dtype]) if room else torch.empty(0)
                tensors[key] = flat.reshape(entry.shape)
    return tensors


def _stated_alphas(header: Header, layers: Mapping[str, Roles]) -> dict[str, float]:
    """Return the alpha of layers that have none of their own, from what peft writes beside the tensors.

    diffusers puts it into the metadata, each key with the part in front ("unet.lora_alpha"); peft into a file.
    """
    config = _peft_config(header)
    found: dict[str, float] = {}
    for name, roles in layers.items():
        if config and "down" in roles and "alpha" not in roles:
            part = max((each for each in config if name.startswith(each)), key=len, default=None)
            stated = config[part] if part is not None else {}
            alpha = stated.get("lora_alpha")
            for pattern, own in dict(stated.get("alpha_pattern") or {}).items():
                alpha = own if name.endswith(str(pattern).replace(".", "_")) else alpha
            if isinstance(alpha, int | float):
                rank = roles["down"].shape[0]
                found[name] = float(alpha) * (math.sqrt(rank) if stated.get("use_rslora") else 1.0)
    return found


def _peft_config(header: Header) -> dict[str, dict[str, Any]]:
    """Return peft's config by the part it is for: "unet", "text_encoder", …, or "" for all."""
    try:
        text = header.metadata.get("lora_adapter_metadata", "")
        beside = header.path.with_name(PEFT_CONFIG)
        if not text and header.path.name == PEFT_FILE and beside.stat().st_size <= LARGEST_CONFIG:
            text = beside.read_text(encoding="utf-8")
        stated = json.loads(text) if text else {}
    except (OSError, ValueError, RecursionError):  # without it the tensors are taken as they are
        return {}
    config: dict[str, dict[str, Any]] = {}
    for key, value in (stated if isinstance(stated, dict) else {}).items():
        part, dot, name = str(key).partition(".")
        config.setdefault(part if dot else "", {})[name if dot else part] = value
    return config
