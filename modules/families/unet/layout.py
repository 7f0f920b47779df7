"""A single file's own names to diffusers' and back; the table of names itself is in `layout_names.py`.

What has no place in diffusers (markers such as "v_pred", noise schedules, SD 2's unused last layer) keeps its own name,
so that `original` gives it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from modules.errors import BrokenFile
from modules.families.family import Entry, Header
from modules.families.unet.layout_blocks import blocks_of_diffusers, blocks_of_ldm
from modules.families.unet.layout_names import (
    Pair,
    clip_pairs,
    open_clip_pairs,
    text_names,
    unet_names,
    unet_pairs,
    vae_pairs,
)
from modules.families.unet.layout_places import THIRDS, places
from modules.families.unet.shapes import text_config, text_layers, unet_config, vae_config, vae_levels
from modules.families.unet.stated import Stated, scheduler, what_is_stated

__all__ = ["Stored", "is_open_clip", "original", "standard", "text_names", "text_part", "unet_names"]

Entries = Mapping[str, Entry]

LEFT_OUT = ("model_ema.", "loss.", "first_stage_model.loss.", "first_stage_model.model_ema.", "optimizer")
CONTROLS = ("control_model.", "zero_convs.", "input_hint_block.")  # a ControlNet looks like half a U-Net
UNET_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "unet.", "")
VAE_PREFIXES = ("first_stage_model.", "vae.", "")
CLIP_PREFIXES = MappingProxyType(
    {
        "cond_stage_model.transformer.": "text_encoder",
        "conditioner.embedders.0.transformer.": "text_encoder",
        "conditioner.embedders.1.transformer.": "text_encoder_2",
    }
)
OPEN_CLIP_PREFIXES = MappingProxyType(
    {
        "cond_stage_model.model.": "text_encoder",
        "conditioner.embedders.1.model.": "text_encoder_2",
        "conditioner.embedders.0.model.": "text_encoder_2",  # the refiner has the second one only
    }
)
# The names of an autoencoder's projections before diffusers 0.15, and now.
OLD_ATTENTION = MappingProxyType({"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"})
VIT_H_LAYERS = 24  # SD 2 reads the output of the last but one, and diffusers leaves the last one out


@dataclass(frozen=True)
class Stored:
    """One tensor as the original layout has it: `parts`, one after another along the first side, make its `shape`.

    Each part's own shape and `transposed` say how its bytes are read into what is stored.
    """

    key: str
    parts: tuple[Entry, ...]
    shape: tuple[int, ...]
    dtype: str


def standard(raw: Header) -> Header:
    """Return the header in diffusers' names, with configs derived from names and shapes.

    A file that is neither a checkpoint nor an autoencoder comes back unchanged, and so does a folder. Raises
    `BrokenFile` for one that lacks what its structure is read from.
    """
    if "unet" in raw.configs or "vae" in raw.configs:
        return raw
    left = {key.removeprefix("state_dict."): entry for key, entry in raw.entries.items()}
    left = {key: entry for key, entry in left.items() if not key.startswith(LEFT_OUT)}
    if any(key.startswith(CONTROLS) for key in left):
        return raw
    said, found = what_is_stated(raw), dict[str, Entry]()
    is_checkpoint, is_vae = _take_unet(left, found), _take_vae(left, found)
    if not is_checkpoint and not is_vae:
        return raw
    open_clip = _take_texts(left, found, said) if is_checkpoint else frozenset[str]()
    header = replace(raw, entries=found | left)
    return replace(header, configs={**raw.configs, **_configs(header, said, open_clip)})


def original(header: Header) -> Iterator[Stored]:
    """Yield the tensors of a header in diffusers' names as a single file of the original code has them.

    An autoencoder alone has no prefix, as files of their own have it. Raises `BrokenFile` for a query, key or value
    without the other two.
    """
    unet, vae = header.part("unet"), {_vae_key(key): entry for key, entry in header.part("vae").items()}
    first, second = text_part(header, "text_encoder"), text_part(header, "text_encoder_2")
    yield from _given_back(unet, unet_pairs(blocks_of_diffusers(unet)), "model.diffusion_model.")
    yield from _given_back(vae, vae_pairs(*vae_levels(vae)), "first_stage_model." if unet else "")
    if first and second:
        yield from _given_back(
            first, clip_pairs(text_layers(first), "text_model."), "conditioner.embedders.0.transformer."
        )
    elif first and is_open_clip(header):
        yield from _given_back(first, open_clip_pairs(text_layers(first), False), "cond_stage_model.model.")
    elif first:
        yield from _given_back(first, clip_pairs(text_layers(first), "text_model."), "cond_stage_model.transformer.")
    prefix = f"conditioner.embedders.{1 if first else 0}.model."
    yield from _given_back(second, open_clip_pairs(text_layers(second), True), prefix)
    for key, entry in header.entries.items():
        if not key.startswith(("unet.", "vae.", "text_encoder.", "text_encoder_2.")):
            yield Stored(key, (entry,), entry.shape, entry.dtype)


def is_open_clip(header: Header) -> bool:
    """Tell whether the first text encoder is OpenCLIP's (SD 2): projections into attention are matrices, as in SDXL."""
    if header.part("text_encoder_2"):
        return False
    return any(key.endswith(".proj_in.weight") and len(entry.shape) == 2 for key, entry in header.part("unet").items())


def _take_unet(left: dict[str, Entry], found: dict[str, Entry]) -> bool:
    for prefix in UNET_PREFIXES:
        if prefix + "input_blocks.0.0.weight" in left and prefix + "out.2.weight" in left:
            blocks = blocks_of_ldm(key.removeprefix(prefix) for key in left if key.startswith(prefix))
            _take(left, found, prefix, "unet", unet_pairs(blocks))
        elif prefix + "conv_in.weight" not in left or prefix + "up_blocks.0.resnets.0.conv1.weight" not in left:
            continue
        _take_rest(left, found, prefix, "unet")
        return True
    return False


def _take_vae(left: dict[str, Entry], found: dict[str, Entry]) -> bool:
    for prefix in VAE_PREFIXES:
        first, last = left.get(prefix + "encoder.conv_in.weight"), left.get(prefix + "decoder.conv_in.weight")
        if first is None or last is None or len(first.shape) != 4:
            continue
        if prefix + "decoder.mid.block_1.conv1.weight" in left:
            levels, layers = vae_levels(key.removeprefix(prefix) for key in left)
            _take(left, found, prefix, "vae", vae_pairs(levels, layers))
        elif prefix + "decoder.mid_block.resnets.0.conv1.weight" not in left:
            continue
        _take_rest(left, found, prefix, "vae")
        return True
    return False


def _take_texts(left: dict[str, Entry], found: dict[str, Entry], said: Stated) -> frozenset[str]:
    """Take what text encoders there are; return which of them lay there as OpenCLIP has them."""
    open_clip = set[str]()
    for prefix, part in CLIP_PREFIXES.items():
        for own in ("text_model.", ""):  # the oldest files leave the name out
            if f"{prefix}{own}embeddings.token_embedding.weight" in left:
                here = [key.removeprefix(prefix + own) for key in left if key.startswith(prefix + own)]
                _take(left, found, prefix, part, clip_pairs(text_layers(here), own))
    for prefix, part in OPEN_CLIP_PREFIXES.items():
        if prefix + "token_embedding.weight" in left:
            layers = text_layers([key.removeprefix(prefix) for key in left if key.startswith(prefix)])
            if part == "text_encoder":
                layers = said.layers or (layers if layers == VIT_H_LAYERS - 1 else layers - 1)
            _take(left, found, prefix, part, open_clip_pairs(layers, projection=part == "text_encoder_2"))
            if turned := left.pop(prefix + "text_projection.weight", None):  # some programs write a module's there
                found[f"{part}.text_projection.weight"] = turned
            open_clip.add(part)
    return frozenset(open_clip)


def _take(left: dict[str, Entry], found: dict[str, Entry], prefix: str, part: str, pairs: Iterable[Pair]) -> None:
    """Move what the pairs name out of `left` into `found`."""
    used = set()
    for own, place in places(pairs):
        if (entry := left.get(prefix + place.key)) is not None:
            found[f"{part}.{own}"] = place.read(entry)
            used.add(prefix + place.key)
    for key in used:
        del left[key]


def _take_rest(left: dict[str, Entry], found: dict[str, Entry], prefix: str, part: str) -> None:
    """Move the other keys of a network too, so that loading it says what has no place in it."""
    for key in [key for key in left if key.startswith(prefix)]:
        own = key.removeprefix(prefix)
        found[f"{part}.{_vae_key(own) if part == 'vae' else own}"] = left.pop(key)


def _given_back(entries: Entries, pairs: Iterable[Pair], prefix: str) -> Iterator[Stored]:
    """Yield the tensors of one network under the original's names; parts of one tensor come together."""
    parts: dict[str, list[Entry]] = {}
    named, shared = set[str](), set[str]()
    for own, place in places(pairs):
        if (entry := entries.get(own)) is not None:
            shared |= {place.key} if place.third is not None else set()
            parts.setdefault(place.key, []).append(place.written(entry))
            named.add(own)
    for key, entry in entries.items():
        if key not in named and not key.endswith("position_ids"):
            parts[key] = [entry]
    for key, pieces in parts.items():
        yield Stored(prefix + key, tuple(pieces), _joined(key, pieces, key in shared), pieces[0].dtype)


def _joined(key: str, pieces: list[Entry], shared: bool) -> tuple[int, ...]:
    """Return the shape of what the pieces make; those of a shared tensor must be complete and alike."""
    first = pieces[0]
    if not shared:
        return first.shape
    if len(pieces) != len(THIRDS) or not first.shape or {each.shape for each in pieces} != {first.shape}:
        raise BrokenFile("weights_missing", file=str(first.file), count=1, keys=key)
    return (first.shape[0] * len(pieces), *first.shape[1:])


def _configs(header: Header, said: Stated, open_clip: frozenset[str]) -> dict[str, Mapping[str, Any]]:
    """Return the derived configs of the networks there are, with what the file states of its own."""
    configs: dict[str, Mapping[str, Any]] = {}
    if unet := header.part("unet"):
        config = unet_config(unet)
        heads = said.heads("unet", tuple(config["block_out_channels"]))
        configs["unet"] = {**config, **({"attention_head_dim": heads} if heads else {}), **said.config("unet")}
        configs["scheduler"] = scheduler(said)
    if vae := header.part("vae"):
        scale = {"scaling_factor": said.scale} if said.scale else {}
        configs["vae"] = {**vae_config(vae), **scale, **said.config("vae")}
    for part in ("text_encoder", "text_encoder_2"):
        if text := header.part(part):
            configs[part] = {**text_config(text, said.heads(part), part in open_clip), **said.config(part)}
    if said.easel:
        configs["easel"] = said.easel
    return configs


def text_part(header: Header, part: str) -> dict[str, Entry]:
    """Return a text encoder's entries with the "text_model." that newer folders leave out."""
    whole = ("text_model.", "text_projection.")
    return {key if key.startswith(whole) else f"text_model.{key}": entry for key, entry in header.part(part).items()}


def _vae_key(key: str) -> str:
    """Return an autoencoder's key by its present name."""
    before, attention, after = key.partition(".mid_block.attentions.0.")
    name, _, kind = after.rpartition(".")
    return f"{before}{attention}{OLD_ATTENTION.get(name, name)}.{kind}" if attention else key
