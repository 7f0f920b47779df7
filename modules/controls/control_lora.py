"""Control-LoRA (Stability AI 2023): a ControlNet as a change of low rank to the U-Net's own first half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from modules.controls import layout
from modules.controls.control import Control, Identify, Loaded
from modules.families.family import Entry, Header, Model
from modules.hooks import hookimpl

MARK = "lora_controlnet"
UP, DOWN = ".up", ".down"


class ControlLora:
    """What it does not hold it has from the checkpoint it is used with, as that is then."""

    name = "Control-LoRA"

    def detect(self, header: Header) -> bool:
        """Return whether the file holds one."""
        return MARK in header.entries

    def family(self, header: Header, identify: Identify) -> str:
        """Return the family of U-Nets that its layers fit."""
        return identify(layout.as_unet(_whole(header)))

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the widths that differ."""
        return layout.misfit(layout.control_config(_whole(header).part(layout.PART)), unet)

    def load(self, header: Header, model: Model) -> Loaded:
        """Load what the file holds; the network is put together for each batch."""
        from modules.controls.unet.lora import load_control_lora

        return load_control_lora(header.path, _own(header), model)


@hookimpl
def controls() -> Sequence[Control]:
    """Offer Control-LoRA."""
    return [ControlLora()]


def _own(header: Header) -> dict[str, Entry]:
    """Return the tensors of the file in diffusers' names: weights, biases, and pairs of factors."""
    return layout.renamed({key: entry for key, entry in header.entries.items() if key != MARK})


def _whole(header: Header) -> Header:
    """Return the header of the ControlNet that it makes, as far as the file tells its shapes."""
    own = _own(header)
    found = dict(own)
    for key, entry in own.items():
        up = own.get(key.removesuffix(DOWN) + UP)
        if key.endswith(DOWN) and up is not None:
            found[key.removesuffix(DOWN) + ".weight"] = replace(entry, shape=(up.shape[0], *entry.shape[1:]))
    entries = {f"{layout.PART}.{key}": entry for key, entry in found.items() if not key.endswith((UP, DOWN))}
    return replace(header, entries=entries)
