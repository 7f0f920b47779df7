"""ControlNet Union (xinsir 2024): one network for many kinds of hints, that is told which one it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.controls import layout
from modules.controls.control import Control, Identify, Loaded
from modules.families.family import Header, Model
from modules.hooks import hookimpl

MARK = "task_embedding"


class Union:
    """A ControlNet that is told what kind of hint it reads: by the preprocessor, or the option "union_control_type"."""

    name = "ControlNet Union"

    def detect(self, header: Header) -> bool:
        """Return whether the file holds one."""
        return MARK in header.entries and layout.is_controlnet(header)

    def family(self, header: Header, identify: Identify) -> str:
        """Return the family of the U-Net it is a copy of."""
        return identify(layout.as_unet(layout.standard(header)))

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the widths that differ."""
        return layout.misfit(layout.standard(header).configs[layout.PART], unet)

    def load(self, header: Header, model: Model) -> Loaded:
        """Load the network."""
        from modules.controls.unet.union import load_union

        return load_union(layout.standard(header), model)


@hookimpl
def controls() -> Sequence[Control]:
    """Offer ControlNet Union."""
    return [Union()]
