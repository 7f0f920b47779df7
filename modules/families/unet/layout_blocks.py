"""How a U-Net is built up, block by block, as its keys or its config say: what the table of names is drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Depths = tuple[tuple[int, ...], ...]

_LDM = re.compile(r"(input|output)_blocks\.(\d{1,4})\.(\d{1,4})\.(?:transformer_blocks\.(\d{1,4})\.)?([a-z_]+)")
_OWN = re.compile(r"(down|up)_blocks\.(\d{1,4})\.(resnets|attentions)\.(\d{1,4})\.(?:transformer_blocks\.(\d{1,4})\.)?")
_MIDDLE = re.compile(r"(?:middle_block\.1|mid_block\.attentions\.0)\.transformer_blocks\.(\d{1,4})\.")


@dataclass(frozen=True)
class Blocks:
    """The levels of a U-Net in the order they are run through, each with its resnets, each with its attention.

    A number is how many transformer blocks follow that resnet; 0: none does. `middle` is None for a network without a
    middle, and 0 for a lone resnet there (distilled SDXL).
    """

    down: Depths
    middle: int | None
    up: Depths


def blocks_of_ldm(keys: Iterable[str]) -> Blocks:
    """Read the blocks off keys such as "input_blocks.1.1.transformer_blocks.0.norm1.weight" (no prefix)."""
    keys = list(keys)
    depths: dict[str, dict[int, set[int]]] = {"input": {}, "output": {}}
    ends: dict[str, set[int]] = {"input": set(), "output": set()}  # blocks that change the resolution
    for side, block, place, deep, word in _matches(_LDM, keys):
        seen = depths[side].setdefault(int(block), set())
        if deep is not None:
            seen.add(int(deep))
        if (side == "input" and word == "op") or (side == "output" and word == "conv" and place in "12"):
            ends[side].add(int(block))
    down: list[list[int]] = [[]]
    for block in sorted(depths["input"].keys() - {0}):  # block 0 is the first convolution
        if block in ends["input"]:
            down.append([])
        else:
            down[-1].append(len(depths["input"][block]))
    up: list[list[int]] = [[]]
    for block in sorted(depths["output"]):
        up[-1].append(len(depths["output"][block]))
        if block in ends["output"]:
            up.append([])
    return Blocks(_frozen(down), _middle(keys, "middle_block."), _frozen(up))


def blocks_of_diffusers(keys: Iterable[str]) -> Blocks:
    """Read the blocks off keys such as "down_blocks.0.attentions.0.norm.weight" (no "unet." in front)."""
    keys = list(keys)
    depths: dict[str, dict[int, dict[int, set[int]]]] = {"down": {}, "up": {}}
    for side, level, _, layer, deep in _matches(_OWN, keys):
        seen = depths[side].setdefault(int(level), {}).setdefault(int(layer), set())
        if deep is not None:
            seen.add(int(deep))
    down, up = (
        tuple(tuple(len(layers[layer]) for layer in sorted(layers)) for _, layers in sorted(depths[side].items()))
        for side in ("down", "up")
    )
    return Blocks(down, _middle(keys, "mid_block."), up)


def blocks_of_config(config: Mapping[str, Any]) -> Blocks:
    """Read the blocks off a diffusers config of a `UNet2DConditionModel`."""
    down_types = config.get("down_block_types") or ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
    up_types = config.get("up_block_types") or ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3
    layers = _per_level(config.get("layers_per_block", 2), len(down_types))
    deep = _per_level(config.get("transformer_layers_per_block", 1), len(down_types))
    high = config.get("reverse_transformer_layers_per_block")
    high = deep[::-1] if high is None else _per_level(high, len(up_types))
    middle: int | None = None
    match config.get("mid_block_type", "UNetMidBlock2DCrossAttn"):
        case "UNetMidBlock2DCrossAttn":
            middle = deep[-1] if isinstance(deep[-1], int) else deep[-1][0]
        case "UNetMidBlock2D":
            middle = 0
    return Blocks(
        tuple(_level(kind, count, depth) for kind, count, depth in zip(down_types, layers, deep, strict=True)),
        middle,
        tuple(_level(kind, count + 1, depth) for kind, count, depth in zip(up_types, layers[::-1], high, strict=True)),
    )


def _matches(pattern: re.Pattern[str], keys: Iterable[str]) -> Iterable[tuple[Any, ...]]:
    return (found.groups() for key in keys if (found := pattern.match(key)))


def _frozen(levels: Iterable[Iterable[int]]) -> Depths:
    return tuple(tuple(level) for level in levels)


def _middle(keys: Sequence[str], prefix: str) -> int | None:
    if not any(key.startswith(prefix) for key in keys):
        return None
    return len(set(_matches(_MIDDLE, keys)))


def _per_level(value: Any, levels: int) -> list[Any]:
    return [value] * levels if isinstance(value, int) else list(value)


def _level(kind: str, layers: int, depth: Any) -> tuple[int, ...]:
    if "CrossAttn" not in kind:
        return (0,) * layers
    return (depth,) * layers if isinstance(depth, int) else tuple(depth)
