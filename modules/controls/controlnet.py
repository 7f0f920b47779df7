"""ControlNet (Zhang, Rao, Agrawala 2023) for Stable Diffusion 1, 2 and XL, in cldm's layout or diffusers'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.controls import layout
from modules.controls.control import Control, Identify, Loaded
from modules.families.family import Header, Model
from modules.hooks import hookimpl

UNION = "task_embedding"  # one network for many kinds of hints is another kind of control
SIZED = "control.add_embedding.linear_1.weight"  # told about the picture's size
UNATTENTIVE = "sdxl"  # the one family with ControlNets that have no attention to be known by


class ControlNet:
    """A copy of a U-Net's first half that reads a hint, and adds to the second half what it makes of it."""

    name = "ControlNet"

    def detect(self, header: Header) -> bool:
        """Return whether the file holds one, in either layout."""
        return UNION not in header.entries and layout.is_controlnet(header)

    def family(self, header: Header, identify: Identify) -> str:
        """Return the family of the U-Net it is a copy of."""
        standard = layout.standard(header)
        found = identify(layout.as_unet(standard))
        attends = any(".attentions." in key for key in standard.entries if ".down_blocks." in key)
        return UNATTENTIVE if not found and not attends and SIZED in standard.entries else found

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the widths that differ."""
        return layout.misfit(layout.standard(header).configs[layout.PART], unet)

    def load(self, header: Header, model: Model) -> Loaded:
        """Load the network."""
        # torch and diffusers are needed from here on only: the web process asks the questions above without them.
        from modules.controls.unet.controlnet import load_controlnet

        return load_controlnet(layout.standard(header), model)


@hookimpl
def controls() -> Sequence[Control]:
    """Offer ControlNet."""
    return [ControlNet()]
