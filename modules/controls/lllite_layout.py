"""The names of a ControlNet-LLLite: which layers of a U-Net it is for, and what it does there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modules.families.family import Entry, Header
from modules.families.unet.layout_names import unet_names

PREFIX = "lllite_unet_"
ENDS = ("down.0", "mid.0", "up.0")
_KEY = re.compile(rf"{PREFIX}(\w{{1,200}})\.((?:conditioning1\.\d|down\.0|mid\.0|up\.0)\.(?:weight|bias))")

Module = Mapping[str, Entry]
"""The tensors of one layer's network: "conditioning1.0.weight", "down.0.weight", …"""


def modules(raw: Header) -> dict[str, Module]:
    """Return the networks of a file by its names for layers: "input_blocks_4_1_transformer_blocks_0_attn1_to_q"."""
    found: dict[str, dict[str, Entry]] = {}
    for key, entry in raw.entries.items():
        if named := _KEY.fullmatch(key):
            found.setdefault(named[1], {})[named[2]] = entry
    wanted = {f"{end}.{kind}" for end in (*ENDS, "conditioning1.0") for kind in ("weight", "bias")}
    return {name: each for name, each in found.items() if wanted <= each.keys()}


def layers(unet: Mapping[str, Any]) -> dict[str, str]:
    """Return the layers of a U-Net of that diffusers config: diffusers' path by every name a file may have for it."""
    names = unet_names(unet)
    return {own.replace(".", "_"): own for own in names} | {its.replace(".", "_"): own for own, its in names.items()}


def misfit(raw: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what differs, in words: layers that are not there, or widths that none has; None: it fits."""
    known, mine = layers(unet), modules(raw)
    strange = [name for name in mine if name not in known]
    if strange:
        return strange[0], next((name for name in known if name.endswith("attn1_to_q")), "-")
    channels = tuple(unet.get("block_out_channels") or (320, 640, 1280, 1280))
    widths = sorted({each["down.0.weight"].shape[1] for each in mine.values() if len(each["down.0.weight"].shape) > 1})
    fit = set(widths) <= {*channels, unet.get("cross_attention_dim")}
    return None if fit else (_listed(widths), _listed(channels))


def _listed(numbers: Any) -> str:
    return ", ".join(map(str, numbers))
