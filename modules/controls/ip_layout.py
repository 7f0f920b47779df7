"""An IP-Adapter's own names to those of diffusers' projections, and what its shapes tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from modules.controls.control import Sight
from modules.errors import BrokenFile
from modules.families.family import Entry, Header

PROJECTION, LAYERS = "image_proj.", "ip_adapter."
PLAIN, FULL, PLUS = "proj.weight", "proj.3.weight", "latents"  # what tells the three ways apart
FACE_WIDTH = 512  # of what InsightFace says of a face, which such a file wants instead of a picture
HEAD_WIDTH = 64
_KEY = re.compile(r"ip_adapter\.(\d{1,4})\.to_([kv])_ip\.weight")
_LAYER = re.compile(r"layers\.(\d{1,3})\.(.+)")
_PLAIN = MappingProxyType({"proj": "image_embeds", "norm": "norm"})
_FULL = MappingProxyType({"proj.0": "ff.net.0.proj", "proj.2": "ff.net.2", "proj.3": "norm"})
_PLUS = MappingProxyType(
    {"0.norm1": "ln0", "0.norm2": "ln1", "0.to_q": "attn.to_q", "0.to_kv": "attn.to_kv", "0.to_out": "attn.to_out.0"}
    | {"1.0": "ff.0", "1.1": "ff.1.net.0.proj", "1.3": "ff.1.net.2"}
)


@dataclass(frozen=True)
class Pair:
    """The two matrices of one cross-attention: tokens of the picture to keys and to values."""

    key: Entry
    value: Entry


def is_ip_adapter(raw: Header) -> bool:
    """Tell whether a file holds an IP-Adapter that sees pictures by CLIP."""
    inner = _inner(raw)
    named = PLAIN in inner or FULL in inner or (PLUS in inner and "proj_in.weight" in inner)
    return named and bool(pairs(raw)) and not _wants_face(inner)


def sight(raw: Header) -> Sight:
    """Return which image encoder it was made for."""
    inner = _inner(raw)
    if PLAIN in inner:
        return Sight(whole=_side(inner, PLAIN, 1))
    return Sight(parts=_side(inner, "proj.0.weight" if FULL in inner else "proj_in.weight", 1))


def pairs(raw: Header) -> list[Pair]:
    """Return its pairs of matrices in the order of the U-Net's cross-attentions: down, up, middle."""
    found: dict[int, dict[str, Entry]] = {}
    for key, entry in raw.entries.items():
        if (named := _KEY.fullmatch(key)) and len(entry.shape) == 2:
            found.setdefault(int(named[1]), {})[named[2]] = entry
    return [Pair(each["k"], each["v"]) for _, each in sorted(found.items()) if len(each) == 2]


def widths_of(unet: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return (width, width of words) of each cross-attention of a U-Net of that diffusers config, in that order."""
    channels = list(unet.get("block_out_channels") or (320, 640, 1280, 1280))
    context = int(unet.get("cross_attention_dim") or 1280)
    layers = _listed(unet.get("layers_per_block", 2), channels)
    depths = _listed(unet.get("transformer_layers_per_block", 1), channels)
    down = list(unet.get("down_block_types") or [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"])
    up = list(unet.get("up_block_types") or ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3])
    levels = list(zip(channels, layers, depths, strict=False))
    counts = [(level[0], level[1] * level[2]) for kind, level in zip(down, levels, strict=False) if "CrossAttn" in kind]
    turned = zip(up, reversed(levels), strict=False)
    counts += [(level[0], (level[1] + 1) * level[2]) for kind, level in turned if "CrossAttn" in kind]
    counts += [(channels[-1], depths[-1])]
    return [(width, context) for width, count in counts for _ in range(count)]


def projection(raw: Header) -> tuple[dict[str, Entry], dict[str, Any]]:
    """Return the tensors of what turns the encoder's answer into tokens, in diffusers' names, and its arguments.

    The arguments are those of `ImageProjection`, `IPAdapterFullImageProjection` or `IPAdapterPlusImageProjection`.
    Raises `BrokenFile` for one that lacks what its structure is read from.
    """
    inner = _inner(raw)
    if PLAIN in inner:
        context = _side(inner, "norm.weight", 0)
        told = {"image_embed_dim": _side(inner, PLAIN, 1), "cross_attention_dim": context}
        tokens = _side(inner, PLAIN, 0) // max(1, context)
        return _renamed(inner, _PLAIN), {**told, "num_image_text_embeds": tokens}
    if FULL in inner:
        told = {"image_embed_dim": _side(inner, "proj.0.weight", 1), "cross_attention_dim": _side(inner, FULL, 0)}
        return _renamed(inner, _FULL), told
    hidden, query = _side(inner, PLUS, 2), _side(inner, "layers.0.0.to_q.weight", 0)
    arguments = {
        "embed_dims": _side(inner, "proj_in.weight", 1),
        "output_dims": _side(inner, "proj_out.weight", 0),
        "hidden_dims": hidden,
        "depth": 1 + max(int(found[1]) for key in inner if (found := _LAYER.fullmatch(key))),
        "heads": query // HEAD_WIDTH,
        "num_queries": _side(inner, PLUS, 1),
        "ffn_ratio": _side(inner, "layers.0.1.1.weight", 0) / max(1, hidden),
    }
    return _resampler(inner), arguments


def _inner(raw: Header) -> dict[str, Entry]:
    return raw.part(PROJECTION.removesuffix("."))


def _wants_face(inner: Mapping[str, Entry]) -> bool:
    read = inner.get("proj_in.weight")
    return any("perceiver_resampler" in key for key in inner) or (
        read is not None and len(read.shape) == 2 and read.shape[1] == FACE_WIDTH
    )


def _side(inner: Mapping[str, Entry], key: str, place: int) -> int:
    """Return one side of a tensor that must be there."""
    entry = inner.get(key)
    if entry is None or len(entry.shape) <= place:
        file = next((each.file.name for each in inner.values()), "")
        raise BrokenFile("weights_missing", file=file, count=1, keys=f"{PROJECTION}{key}")
    return entry.shape[place]


def _renamed(inner: Mapping[str, Entry], names: Mapping[str, str]) -> dict[str, Entry]:
    found = {}
    for key, entry in inner.items():
        place, _, kind = key.rpartition(".")
        found[f"{names.get(place, place)}.{kind}"] = entry
    return found


def _resampler(inner: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the tensors of the perceiver that IP-Adapter Plus reads parts with: keys and values lie in one there."""
    found = {}
    for key, entry in inner.items():
        named = _LAYER.fullmatch(key)
        if named is None:
            found[key] = entry
            continue
        place, _, kind = named[2].rpartition(".")
        own = f"layers.{named[1]}.{_PLUS.get(place, place)}.{kind}"
        if own.endswith("attn.to_kv.weight"):
            for name, half in zip("kv", _halves(entry), strict=True):
                found[own.replace("to_kv", f"to_{name}")] = half
        else:
            found[own] = entry
    return found


def _halves(entry: Entry) -> Sequence[Entry]:
    """Return the upper and the lower half of a matrix."""
    rows, size = entry.shape[0] // 2, entry.size // 2
    shape = (rows, *entry.shape[1:])
    return [replace(entry, shape=shape, start=entry.start + place * size, size=size) for place in range(2)]


def _listed(value: Any, channels: Sequence[int]) -> list[int]:
    return [int(value)] * len(channels) if isinstance(value, int) else [int(each) for each in value]
