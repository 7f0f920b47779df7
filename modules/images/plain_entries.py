"""The parts of a request whose fields each have an entry of their own, where they are not as usual."""

from collections.abc import Mapping
from types import MappingProxyType

from modules.request import Hypertile, Merging, Numbers, Told

PLAIN: Mapping[str, tuple[type[Numbers], Mapping[str, str]]] = MappingProxyType(
    {
        "told": (
            Told,
            MappingProxyType(
                {
                    "crop_top": "SDXL crop top",
                    "crop_left": "SDXL crop left",
                    "high_score": "SDXL high aesthetic score",
                    "low_score": "SDXL low aesthetic score",
                }
            ),
        ),
        "merging": (
            Merging,
            MappingProxyType(
                {"merge_ratio": "Token merging ratio", "merge_ratio_hires": "Token merging ratio hr"},
            ),
        ),
        "hypertile": (
            Hypertile,
            MappingProxyType(
                {
                    "tile_attention": "Hypertile U-Net",
                    "tile_attention_hires": "Hypertile U-Net second pass",
                    "max_depth": "Hypertile U-Net max depth",
                    "max_tile": "Hypertile U-Net max tile size",
                    "swap_size": "Hypertile U-Net swap size",
                }
            ),
        ),
    }
)  # field of a request -> its part, and the entries of that by field
