"""Which family a LoRA was trained on, by its keys and shapes; where those do not tell, by what its trainer wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from modules.families.family import Header
from modules.model_manager.lora_keys import Roles, inputs, sort_keys

# How wide the words are that attention reads, and the text encoders that say them.
CONTEXT = MappingProxyType({768: "sd1", 1024: "sd2", 1280: "sdxl", 2048: "sdxl"})
ENCODER = MappingProxyType({768: "sd1", 1024: "sd2", 1280: "sdxl"})
# Only SDXL has two text encoders, and only in SDXL does an attention have more than one block.
SDXL = re.compile(r"^(lora|oft)_te[12]_|^text_encoder_2_|clip_g|transformer_blocks_[1-9]")
# Blocks of other architectures, whose first text encoder trainers also call "te1".
FOREIGN = re.compile(r"(double|single|joint)_(transformer_)?blocks|^(lora_)?transformer_(?!resblocks)|^lora_te3_")
STATED = (
    (re.compile(r"sdxl|xl"), "sdxl"),
    (re.compile(r"sd_?v?2|diffusion-v2"), "sd2"),
    (re.compile(r"sd_?v?1|diffusion-v1"), "sd1"),
)


def lora_family(header: Header) -> str:
    """Return "sd1", "sd2" or "sdxl"; an empty string when nothing in the file tells, or it is of another kind."""
    layers = sort_keys(header).layers
    if any(FOREIGN.search(name) for name in layers):
        return ""
    if any(SDXL.search(name) for name in layers):
        return "sdxl"
    return (
        _by_width(_having(layers, ("attn2_to_k", "attn2_to_v")), CONTEXT)
        or _by_width(_having(layers, ("self_attn_q_proj", "self_attn_k_proj", "self_attn_v_proj", "mlp_fc1")), ENCODER)
        or _by_projection(layers)
        or _stated(header.metadata)
    )


def _having(layers: Mapping[str, Roles], endings: tuple[str, ...]) -> Iterable[Roles]:
    return (roles for name, roles in layers.items() if name.endswith(endings))


def _by_width(layers: Iterable[Roles], known: Mapping[int, str]) -> str:
    return next((known[width] for roles in layers if (width := inputs(roles) or 0) in known), "")


def _by_projection(layers: Mapping[str, Roles]) -> str:
    """Tell SD 1 by its projections into attention, which are convolutions; those of SD 2 are matrices."""
    for roles in _having(layers, ("_proj_in", "_proj_out")):
        tensor = roles.get("down") or roles.get("diff")
        if tensor is not None and len(tensor.shape) == 4:
            return "sd1"
    return ""


def _stated(metadata: Mapping[str, str]) -> str:
    """Return the family that kohya's trainer ("ss_…") or the file's own description ("modelspec.…") names."""
    if metadata.get("ss_v2", "").lower() == "true":
        return "sd2"
    stated = f"{metadata.get('ss_base_model_version', '')} {metadata.get('modelspec.architecture', '')}".lower()
    return next((family for pattern, family in STATED if pattern.search(stated)), "")
