"""An image encoder's own names, and OpenCLIP's, to transformers', with a config derived from its shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from modules.families.family import Entry, Header
from modules.families.unet.layout_names import OPEN_CLIP_LAYER
from modules.families.unet.layout_places import Place, places

PART = "image_encoder"
OWN = ("vision_model.", "visual_projection.")
CLASS, POSITIONS = "vision_model.embeddings.class_embedding", "vision_model.embeddings.position_embedding.weight"
PATCH, PROJECTION = "vision_model.embeddings.patch_embedding.weight", "visual_projection.weight"
FIRST_LAYER = "vision_model.encoder.layers.0.mlp.fc1.weight"
NEEDED = MappingProxyType({CLASS: 1, POSITIONS: 2, PATCH: 4, PROJECTION: 2, FIRST_LAYER: 2})  # key -> its sides
OPEN_CLIP_PREFIXES = ("visual.", "")
OPEN_CLIP_CLASS = "class_embedding"
# No shape tells the heads: ViT-H/14 and bigG/14 have wider ones than the others, whose are 64 wide.
HEADS, HEAD_WIDTH = MappingProxyType({1280: 16, 1408: 16, 1664: 16}), 64
OPENAI_WIDTHS = (768, 1024)  # ViT-B and ViT-L, with a GELU of their own
_LAYER = re.compile(r"vision_model\.encoder\.layers\.(\d{1,3})\.mlp\.fc1\.weight")
_BLOCK = re.compile(r"transformer\.resblocks\.(\d{1,3})\.mlp\.c_fc\.weight")


def standard(raw: Header) -> Header | None:
    """Return the header of an image encoder with its tensors as "image_encoder.…" in transformers' names; None: no one.

    Its config is the folder's, or derived from shapes. A text encoder beside it is left out.
    """
    entries = {key: entry for key, entry in raw.entries.items() if key.startswith(OWN)} or dict(_from_open_clip(raw))
    entries = {key: entry for key, entry in entries.items() if not key.endswith("position_ids")}
    if any(key not in entries or len(entries[key].shape) != sides for key, sides in NEEDED.items()):
        return None
    stated = raw.configs.get("control", {})
    config = {**_config(entries), **_known(stated.get("vision_config", stated))}
    own = {f"{PART}.{key}": entry for key, entry in entries.items()}
    return replace(raw, entries=own, configs={PART: config})


def _from_open_clip(raw: Header) -> Iterator[tuple[str, Entry]]:
    prefix = next((each for each in OPEN_CLIP_PREFIXES if each + OPEN_CLIP_CLASS in raw.entries), None)
    if prefix is None:
        return
    inner = {key.removeprefix(prefix): entry for key, entry in raw.entries.items() if key.startswith(prefix)}
    for own, place in _open_clip_places(inner):
        if (entry := inner.get(place.key)) is not None:
            yield own, place.read(entry)


def _open_clip_places(inner: Mapping[str, Entry]) -> Iterator[tuple[str, Place]]:
    yield from ((CLASS, Place(OPEN_CLIP_CLASS)), (POSITIONS, Place("positional_embedding")))
    yield from ((PATCH, Place("conv1.weight")), (PROJECTION, Place("proj", turned=True)))
    pairs = [("vision_model.pre_layrnorm", "ln_pre"), ("vision_model.post_layernorm", "ln_post")]
    for layer in sorted(int(found[1]) for key in inner if (found := _BLOCK.fullmatch(key))):
        own, theirs = f"vision_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        pairs += [(f"{own}.{mine}", f"{theirs}.{its}") for mine, its in OPEN_CLIP_LAYER]
    yield from places(pairs)


def _config(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Return the config of transformers' `CLIPVisionModelWithProjection`."""
    width, patch = entries[CLASS].shape[0], entries[PATCH].shape[-1]
    return {
        "hidden_size": width,
        "intermediate_size": entries[FIRST_LAYER].shape[0],
        "projection_dim": entries[PROJECTION].shape[0],
        "num_hidden_layers": sum(_LAYER.fullmatch(key) is not None for key in entries),
        "num_attention_heads": HEADS.get(width, max(1, width // HEAD_WIDTH)),
        "num_channels": entries[PATCH].shape[1],
        "image_size": patch * math.isqrt(max(0, entries[POSITIONS].shape[0] - 1)),
        "patch_size": patch,
        "hidden_act": "quick_gelu" if width in OPENAI_WIDTHS else "gelu",
    }


def _known(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a stated config says that shapes do not."""
    return {name: stated[name] for name in ("num_attention_heads", "hidden_act", "layer_norm_eps") if name in stated}
