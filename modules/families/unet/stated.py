"""What a single file says of itself beside its weights: Easel's own metadata, an ldm config beside it or in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from modules.errors import BrokenFile
from modules.families.family import Header

NOTHING: Mapping[str, Any] = MappingProxyType({})
PARAMETERIZATIONS: Mapping[str, str] = MappingProxyType({"eps": "epsilon", "v": "v_prediction"})
SCALINGS: Mapping[str, str] = MappingProxyType({"EpsScaling": "epsilon", "VScaling": "v_prediction"})


@dataclass(frozen=True)
class Stated:
    """What a file says: `easel` is what Easel wrote into it, `params` the "model.params" of an ldm or sgm config."""

    easel: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def config(self, part: str) -> Mapping[str, Any]:
        """Return the fields of one network's config that its weights do not tell."""
        return _inner(self.easel, "configs", part)

    def heads(self, part: str, channels: tuple[int, ...] = ()) -> Any:
        """Return the heads stated for a network: one number, one for each level of `channels`, or None."""
        heads = self.easel.get("heads")
        if isinstance(heads, Mapping):
            heads = heads.get(part)
        elif part != "unet":
            heads = None
        if heads is None and part == "unet":
            network = _inner(self.params, "unet_config", "params") or _inner(self.params, "network_config", "params")
            count, width = network.get("num_heads", -1), network.get("num_head_channels", -1)
            if _positive(width):
                heads = [max(1, each // width) for each in channels]
            elif _positive(count):
                heads = count
        counts = heads if isinstance(heads, list) else [heads]
        return heads if counts and all(_positive(each) for each in counts) else None

    @property
    def layers(self) -> int:
        """How many layers of the first text encoder are used; 0: it does not say."""
        layers = self.config("text_encoder").get("num_hidden_layers", 0)
        return layers if _positive(layers) else 0

    @property
    def scale(self) -> float:
        """What latents are multiplied with; 0: it does not say."""
        scale = self.params.get("scale_factor", 0.0)
        return float(scale) if isinstance(scale, int | float) else 0.0


def what_is_stated(header: Header) -> Stated:
    """Return what the file's metadata and the YAML beside it say; raise `BrokenFile` when that cannot be read."""
    easel: Any = {}
    if text := header.metadata.get("easel"):
        try:
            easel = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BrokenFile("not_json", file=str(header.path)) from error
    config = header.configs.get("yaml") or _written_config(header)
    return Stated(easel if isinstance(easel, Mapping) else {}, _inner(config, "model", "params"))


def scheduler(said: Stated) -> dict[str, Any]:
    """Return the fields of diffusers' scheduler config that a config or Easel's own metadata states.

    Marker tensors and other programs' metadata are the families' to read, and so is what is not stated at all.
    """
    config: dict[str, Any] = {}
    for theirs, own in (("linear_start", "beta_start"), ("linear_end", "beta_end")):
        if isinstance(value := said.params.get(theirs), int | float):
            config[own] = float(value)
    if _positive(steps := said.params.get("timesteps")):
        config["num_train_timesteps"] = steps
    scaling = _inner(said.params, "denoiser_config", "params", "scaling_config").get("target", "")
    if isinstance(scaling, str) and scaling.rpartition(".")[2] in SCALINGS:  # sgm's way of saying it
        config["prediction_type"] = SCALINGS[scaling.rpartition(".")[2]]
    parameterization = said.params.get("parameterization")
    if isinstance(parameterization, str) and parameterization in PARAMETERIZATIONS:
        config["prediction_type"] = PARAMETERIZATIONS[parameterization]
    return config | dict(said.config("scheduler"))


def _written_config(header: Header) -> Mapping[str, Any]:
    """Return the ldm config in the metadata's "config", which may be JSON or YAML (JSON is YAML)."""
    try:
        config = yaml.safe_load(header.metadata.get("config", ""))
    except (yaml.YAMLError, ValueError, RecursionError):
        return NOTHING  # other programs write other things under this name
    return config if isinstance(config, Mapping) else NOTHING


def _inner(tree: Any, *path: str) -> Mapping[str, Any]:
    """Return the mapping at `path`, an empty one where there is none."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else NOTHING


def _positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
