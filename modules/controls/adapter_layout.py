"""A T2I-Adapter's original names to diffusers', with a config derived from its shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modules.errors import BrokenFile
from modules.families.family import Entry, Header

PART = "control"
PREFIX = "adapter."
FULL, LIGHT = "conv_in.weight", "body.0.out_conv.weight"
COLOURS, FACTOR, FACTOR_XL = 3, 8, 16  # of the hint; pixels along a side that are read as one
_FLAT = re.compile(r"body\.(\d{1,2})\.(in_conv|block1|block2)\.(weight|bias)")
_LIGHT = re.compile(r"body\.(\d{1,2})\.body\.(\d{1,2})\.(.+)")
_BLOCK = re.compile(r"body\.(\d{1,2})\.resnets\.(\d{1,2})\.block1\.weight")
RESNETS = 2  # of a level, in every full adapter of the original code


def is_adapter(raw: Header) -> bool:
    """Tell whether a file holds a T2I-Adapter."""
    inner = _inner(raw.entries)
    flat = "body.0.block1.weight" in inner or "body.0.resnets.0.block1.weight" in inner
    return (FULL in inner and flat) or (LIGHT in inner and "body.0.in_conv.weight" in inner)


def standard(raw: Header) -> Header:
    """Return the header of an adapter with its tensors as "control.…" in diffusers' names and its config.

    Raises `BrokenFile` for one that reads hints in a way no adapter does.
    """
    entries = dict(_renamed(_inner(raw.entries)))
    config = raw.configs.get(PART) or _config(entries, str(raw.path))
    own = {f"{PART}.{PREFIX}{key}": entry for key, entry in entries.items()}
    return replace(
        raw, entries=own, configs={PART: {**config, "adapter_type": config.get("adapter_type", "full_adapter")}}
    )


def said_widths(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the widths of what an adapter says, level by level."""
    channels = tuple(config.get("channels") or (320, 640, 1280, 1280))
    return (*channels, channels[-1]) if config["adapter_type"] == "light_adapter" else channels


def _inner(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {key.removeprefix(PREFIX): entry for key, entry in entries.items()}


def _renamed(inner: Mapping[str, Entry]) -> Iterator[tuple[str, Entry]]:
    for key, entry in inner.items():
        if found := _LIGHT.fullmatch(key):
            yield f"body.{found[1]}.resnets.{found[2]}.{found[3]}", entry
        elif (found := _FLAT.fullmatch(key)) and LIGHT not in inner and found[2] != "in_conv":
            level, place = divmod(int(found[1]), RESNETS)
            yield f"body.{level}.resnets.{place}.{found[2]}.{found[3]}", entry
        elif found and LIGHT not in inner and "body.0.block1.weight" in inner:
            yield f"body.{int(found[1]) // RESNETS}.in_conv.{found[3]}", entry
        else:
            yield key, entry


def _config(entries: Mapping[str, Entry], file: str) -> dict[str, Any]:
    """Return the config of diffusers' `T2IAdapter`: one or three colours, in squares of 8 pixels or, for XL, 16."""
    light = FULL not in entries
    read = entries["body.0.in_conv.weight" if light else FULL].shape
    known = {colours * factor**2: (colours, factor) for factor in (FACTOR, FACTOR_XL) for colours in (1, COLOURS)}
    if len(read) != 4 or read[1] not in known:
        raise BrokenFile("weights_shape", file=file, tensor=FULL, shape=list(read), wanted=sorted(known))
    colours, factor = known[read[1]]
    blocks = [(int(found[1]), int(found[2])) for key in entries if (found := _BLOCK.fullmatch(key))]
    levels, resnets = 1 + max(level for level, _ in blocks), 1 + max(place for _, place in blocks)
    said = "out_conv" if light else "resnets.0.block2"
    channels = [entries[f"body.{level}.{said}.weight"].shape[0] for level in range(levels)]
    kind = "light_adapter" if light else "full_adapter_xl" if factor == FACTOR_XL else "full_adapter"
    return {
        "_class_name": "T2IAdapter",
        "in_channels": colours,
        "channels": channels[:-1] if light else channels,
        "num_res_blocks": resnets,
        "downscale_factor": factor,
        "adapter_type": kind,
    }
