"""A ControlNet's own names, and the original code's (cldm), to diffusers', with a config derived from its shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modules.errors import BrokenFile
from modules.families.family import Entry, Header
from modules.families.unet.layout_blocks import blocks_of_ldm
from modules.families.unet.layout_names import Pair, unet_pairs
from modules.families.unet.shapes import encoder_config

PART = "control"
PREFIXES = ("control_model.", "controlnet.", "")
LDM, OWN = "zero_convs.0.0.weight", "controlnet_cond_embedding.conv_in.weight"
POOLED = ("_shuffle", "_shuffle_fp16")  # how the files end that say one thing for the whole picture
_BLOCK = re.compile(r"controlnet_cond_embedding\.blocks\.(\d{1,2})\.weight")
_HINT = re.compile(r"input_hint_block\.(\d{1,2})\.weight")
_ZERO = re.compile(r"zero_convs\.(\d{1,3})\.0\.weight")


def is_controlnet(raw: Header) -> bool:
    """Tell whether a file holds a ControlNet, whole, in either layout."""
    return _prefix(raw) is not None


def standard(raw: Header) -> Header:
    """Return the header of a ControlNet with its tensors as "control.…" in diffusers' names and its config.

    The config of a folder is its own. Raises `BrokenFile` for a file that lacks what its structure is read from, or
    that holds the difference to a U-Net only.
    """
    prefix = _prefix(raw)
    if prefix is None:
        raise BrokenFile("weights_missing", file=str(raw.path), count=1, keys=OWN)
    if "difference" in raw.entries:
        raise BrokenFile("control_difference", file=raw.path.name)
    inner = {key.removeprefix(prefix): entry for key, entry in raw.entries.items() if key.startswith(prefix)}
    entries = renamed(inner) if LDM in inner else inner
    config = raw.configs.get(PART) or control_config(entries, raw.path.stem.lower().endswith(POOLED))
    return replace(raw, entries={f"{PART}.{key}": entry for key, entry in entries.items()}, configs={PART: config})


def as_unet(header: Header) -> Header:
    """Return the header of a ControlNet as that of the U-Net it was made from, as far as it has a copy of it."""
    return replace(header, entries={f"unet.{key}": entry for key, entry in header.part(PART).items()})


def control_config(entries: Mapping[str, Entry], pooled: bool = False) -> dict[str, Any]:
    """Return the config of diffusers' `ControlNetModel`; the heads of its attention are the U-Net's to say."""
    first = entries[OWN].shape if OWN in entries else ()
    if len(first) != 4:
        raise BrokenFile("weights_missing", file=_file(entries), count=1, keys=OWN)
    blocks = sorted(int(found[1]) for key in entries if (found := _BLOCK.fullmatch(key)))
    widths = [first[0], *(entries[f"controlnet_cond_embedding.blocks.{n}.weight"].shape[0] for n in blocks if n % 2)]
    return {
        "_class_name": "ControlNetModel",
        **encoder_config(entries),
        "conditioning_channels": first[1],
        "conditioning_embedding_out_channels": widths,
        "global_pool_conditions": pooled,
    }


def misfit(config: Mapping[str, Any], unet: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the widths of a ControlNet and of a U-Net where they differ, in words; None when they fit."""
    mine, theirs = _widths(config), _widths(unet)
    return None if mine == theirs else (mine, theirs)


def _widths(config: Mapping[str, Any]) -> str:
    channels = config.get("block_out_channels") or (320, 640, 1280, 1280)
    attends = any("CrossAttn" in kind for kind in config.get("down_block_types") or ("CrossAttn",))
    context = config.get("cross_attention_dim", 1280) if attends else 0
    added = config.get("projection_class_embeddings_input_dim") or 0
    words = ", ".join(map(str, channels))
    return f"{words}; {context}; {added}" if added else f"{words}; {context}"


def _prefix(raw: Header) -> str | None:
    return next((each for each in PREFIXES if each + LDM in raw.entries or each + OWN in raw.entries), None)


def renamed(inner: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the tensors of cldm's layout in diffusers' names; one without a name there keeps its own."""
    names = {theirs: own for own, theirs in (*unet_pairs(blocks_of_ldm(inner)), *_own_pairs(inner))}
    found = {}
    for key, entry in inner.items():
        place, _, kind = key.rpartition(".")  # weight and bias, and the factors of a Control-LoRA
        found[f"{names[place]}.{kind}" if place in names else key] = entry
    return found


def _own_pairs(inner: Mapping[str, Entry]) -> Iterator[Pair]:
    """Yield the pairs of what a ControlNet has and a U-Net has not."""
    hints = sorted(int(found[1]) for key in inner if (found := _HINT.fullmatch(key)))
    yield from ((f"controlnet_cond_embedding.{mine}", f"input_hint_block.{n}") for mine, n in _hint_names(hints))
    for key in inner:
        if found := _ZERO.fullmatch(key):
            yield f"controlnet_down_blocks.{found[1]}", f"zero_convs.{found[1]}.0"
    yield "controlnet_mid_block", "middle_block_out.0"


def _hint_names(numbers: list[int]) -> Iterator[tuple[str, int]]:
    for place, number in enumerate(numbers):
        last = place == len(numbers) - 1
        yield "conv_in" if not place else "conv_out" if last else f"blocks.{place - 1}", number


def _file(entries: Mapping[str, Entry]) -> str:
    return next((str(each.file) for each in entries.values()), "")
