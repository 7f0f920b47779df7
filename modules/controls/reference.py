"""Reference: a picture in the style and with the things of another, without any weights (sd-webui-controlnet, 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modules.controls.control import Control, Identify, Loaded
from modules.families.family import Header, Model
from modules.hooks import hookimpl


class Reference:
    """The U-Net's self-attention looks at another picture too, as far as it would be noised at that step."""

    name = "Reference"

    def detect(self, header: Header) -> bool:
        """Return False: it needs no file."""
        return False

    def family(self, header: Header, identify: Identify) -> str:
        """Return that it is for every family with a U-Net."""
        return ""

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return None: it fits every U-Net."""
        return None

    def load(self, header: Header, model: Model) -> Loaded:
        """Make it; there is nothing to load."""
        from modules.controls.unet.reference import LoadedReference

        return LoadedReference()


@hookimpl
def controls() -> Sequence[Control]:
    """Offer Reference."""
    return [Reference()]
