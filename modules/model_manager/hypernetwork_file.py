"""What a hypernetwork holds: small residual networks on what attention reads, by the width they are for.

The format is that of AUTOMATIC1111's web UI: for each width two stacks of layers, for keys and for values, and beside
them how they are put together. No torch here: the catalog asks which family a file is for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.model_manager.header import read_header
from modules.model_manager.torch_file import read_torch

# "768.0.linear.3.weight"; the first hypernetworks said "linear1" and "linear2" for what is linear.0 and linear.1 now.
_KEY = re.compile(r"(\d+)\.([01])\.linear(?:\.(\d+)|([12]))\.(weight|bias)")
FAMILIES = MappingProxyType({768: "sd1", 1024: "sd2", 2048: "sdxl"})  # how wide the words are that attention reads
# Activations by A1111's names: the classes of torch.nn, and "swish" for what torch calls Hardswish.
ACTIVATIONS = frozenset((
    "linear", "relu", "leakyrelu", "elu", "swish", "tanh", "sigmoid", "rrelu", "hardtanh", "relu6", "hardsigmoid",
    "silu", "mish", "hardswish", "celu", "selu", "gelu", "hardshrink", "logsigmoid", "softplus", "softshrink",
    "softsign", "tanhshrink", "softmin", "softmax", "logsoftmax",
))  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """A linear layer (`weight` has two sides) or a layer norm (one side)."""

    weight: Entry
    bias: Entry | None = None

    @property
    def linear(self) -> bool:
        """Whether it is a linear layer."""
        return len(self.weight.shape) == 2


@dataclass(frozen=True)
class HypernetworkFile:
    """A hypernetwork on disk: by width, the layers for keys and those for values.

    `activation` follows each linear layer, the last one only when `activate_last`.
    """

    stacks: Mapping[int, tuple[tuple[Layer, ...], tuple[Layer, ...]]]
    activation: str
    activate_last: bool

    @property
    def family(self) -> str:
        """The family whose words are as wide as one of its stacks; empty when that is not clear."""
        return hypernetwork_family(self.stacks)


def hypernetwork_family(widths: Mapping[int, Any]) -> str:
    """Return the family that a hypernetwork with stacks of these widths is for; empty when that is not clear."""
    found = {FAMILIES[width] for width in widths if width in FAMILIES}
    return found.pop() if len(found) == 1 else ""


def read_hypernetwork(path: Path) -> HypernetworkFile:
    """Return what the file at `path` holds.

    Raises `BrokenFile` when that is no hypernetwork, or one that is damaged; `UnsafeFile` for a file with code in it.
    """
    if path.suffix.lower() == ".safetensors":
        header = read_header(path)
        stated: Mapping[str, Any] = header.metadata
        entries = header.entries
    else:
        read = read_torch(path)
        entries, stated = read.entries, read.values
    activation = str(stated.get("activation_func") or "linear").lower()
    if activation not in ACTIVATIONS:
        raise BrokenFile("hypernetwork_activation", file=path.name, value=activation[:60])
    stacks = _stacks(entries, path.name)
    return HypernetworkFile(stacks, activation, str(stated.get("activate_output", True)).lower() != "false")


def _stacks(entries: Mapping[str, Entry], file: str) -> Mapping[int, tuple[tuple[Layer, ...], tuple[Layer, ...]]]:
    found: dict[tuple[int, int], dict[int, dict[str, Entry]]] = {}
    for key, entry in entries.items():
        if match := _KEY.fullmatch(key):
            width, branch, place, old, role = match.groups()
            number = int(place) if place else int(old) - 1
            found.setdefault((int(width), int(branch)), {}).setdefault(number, {})[role] = entry
    widths = sorted({width for width, _ in found})
    if not widths:
        raise BrokenFile("no_hypernetwork", file=file)
    stacks = {width: (_stack(found, width, 0, file), _stack(found, width, 1, file)) for width in widths}
    return MappingProxyType(stacks)


def _stack(
    found: Mapping[tuple[int, int], Mapping[int, Mapping[str, Entry]]], width: int, branch: int, file: str
) -> tuple[Layer, ...]:
    """Return the layers of one branch in order. Gaps in their numbers are where activations and dropout stood."""
    layers = []
    now = width
    for _, roles in sorted(found.get((width, branch), {}).items()):
        weight, bias = roles.get("weight"), roles.get("bias")
        if weight is None or len(weight.shape) not in (1, 2) or weight.shape[-1] != now:
            raise BrokenFile("hypernetwork_shape", file=file, width=width)
        now = weight.shape[0]
        if bias is not None and bias.shape != (now,):
            raise BrokenFile("hypernetwork_shape", file=file, width=width)
        layers.append(Layer(weight, bias))
    if not layers or now != width or not layers[0].linear:
        raise BrokenFile("hypernetwork_shape", file=file, width=width)
    return tuple(layers)
