"""T2I-Adapter (Mou et al. 2023): full and light ones for Stable Diffusion 1, full ones for XL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from modules.controls import adapter_layout as layout
from modules.controls.control import Control, Identify, Loaded
from modules.families.family import Header, Model
from modules.hooks import hookimpl

FAMILIES = MappingProxyType({"full_adapter": "sd1", "light_adapter": "sd1", "full_adapter_xl": "sdxl"})


class T2IAdapter:
    """A small network that reads a hint once and adds to each level on the U-Net's way down."""

    name = "T2I-Adapter"

    def detect(self, header: Header) -> bool:
        """Return whether the file holds one, in the original layout or diffusers'."""
        return layout.is_adapter(header)

    def family(self, header: Header, identify: Identify) -> str:
        """Return the family whose pictures it was trained on, by how it reads the hint."""
        return FAMILIES.get(layout.standard(header).configs[layout.PART]["adapter_type"], "")

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the widths that differ; XL's says something for the middle too, which the U-Net has no level for."""
        mine = layout.said_widths(layout.standard(header).configs[layout.PART])
        theirs = tuple(unet.get("block_out_channels") or (320, 640, 1280, 1280))
        fit = mine[: len(theirs)] == theirs and set(mine[len(theirs) :]) <= {theirs[-1]}
        return None if fit else (", ".join(map(str, mine)), ", ".join(map(str, theirs)))

    def load(self, header: Header, model: Model) -> Loaded:
        """Load the network."""
        from modules.controls.unet.adapter import load_adapter

        return load_adapter(layout.standard(header), model)


@hookimpl
def controls() -> Sequence[Control]:
    """Offer T2I-Adapter."""
    return [T2IAdapter()]
