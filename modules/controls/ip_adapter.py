"""IP-Adapter (Ye et al. 2023): a picture as a prompt, for Stable Diffusion 1 and XL; plain, plus, and full face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from modules.controls import ip_layout as layout
from modules.controls.control import Control, Identify, Loaded, Sight
from modules.families.family import Header, Model
from modules.hooks import hookimpl

FAMILIES = MappingProxyType({768: "sd1", 1024: "sd2", 2048: "sdxl"})  # by how wide the words are


class IpAdapter:
    """The U-Net's cross-attentions look at tokens of a picture as well, and what they find is added."""

    name = "IP-Adapter"

    def detect(self, header: Header) -> bool:
        """Return whether the file holds one that sees pictures by CLIP; one for InsightFace is another thing."""
        return layout.is_ip_adapter(header)

    def family(self, header: Header, identify: Identify) -> str:
        """Return the family whose words are as wide as its tokens."""
        return FAMILIES.get(layout.pairs(header)[0].key.shape[1], "")

    def misfit(self, header: Header, unet: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the widths of the cross-attentions that differ."""
        mine = [each.key.shape for each in layout.pairs(header)]
        theirs = layout.widths_of(unet)
        return None if mine == theirs else (_told(mine), _told(theirs))

    def sight(self, header: Header) -> Sight:
        """Return which image encoder it was made for."""
        return layout.sight(header)

    def load(self, header: Header, model: Model) -> Loaded:
        """Load its projection and its matrices; the image encoder is a file of its own."""
        from modules.controls.unet.ip_adapter import load_ip_adapter

        return load_ip_adapter(header, model)


@hookimpl
def controls() -> Sequence[Control]:
    """Offer IP-Adapter."""
    return [IpAdapter()]


def _told(widths: Sequence[tuple[int, ...]]) -> str:
    """Return widths in words: "16 × (320 … 1280; 768)"."""
    sides = sorted({each[0] for each in widths})
    words = "/".join(str(each) for each in sorted({each[1] for each in widths}))
    return f"{len(widths)} × ({', '.join(map(str, sides))}; {words})"
