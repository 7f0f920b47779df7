"""ControlNet-LLLite (kohya-ss 2023): a small network before some of a U-Net's linear layers, told what a hint shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.controls import lllite_layout as layout
from modules.controls.control import Control, Identify, Loaded
from modules.families.family import Header, Model
from modules.hooks import hookimpl

FAMILY = "sdxl"  # the one it is trained for


class LLLite:
    """What goes into a layer is changed by a little, according to the part of the hint at that place."""

    name = "ControlNet-LLLite"

    def detect(self, header: Header) -> bool:
        """Return whether the file holds one."""
        return bool(layout.modules(header))

    def family(self, header: Header, identify: Identify) -> str:
        """Return the one family such files are made for."""
        return FAMILY

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the names of layers that the U-Net lacks, or the widths that differ."""
        return layout.misfit(header, unet)

    def load(self, header: Header, model: Model) -> Loaded:
        """Load its networks."""
        from modules.controls.unet.lllite import load_lllite

        return load_lllite(header, model)


@hookimpl
def controls() -> Sequence[Control]:
    """Offer ControlNet-LLLite."""
    return [LLLite()]
