"""What a single file must say of itself beside its weights, so that it is read back as what it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modules.families.family import Header
from modules.families.unet.layout import is_open_clip, text_part
from modules.families.unet.shapes import text_config, unet_config, vae_config

# Fields of configs that say nothing of a network, or what its weights say better.
IDLE = frozenset({"architectures", "dtype", "torch_dtype", "transformers_version", "model_type"})
SCHEDULER = (
    *("prediction_type", "rescale_betas_zero_snr", "beta_schedule"),
    *("beta_start", "beta_end", "num_train_timesteps"),
)
ABSENT = object()


def stating(header: Header) -> dict[str, str]:
    """Return the metadata that a single file of this checkpoint needs: one text, "easel", or nothing.

    It holds what Easel was told, and every field of a config that is not what the weights tell (`stated.py` reads it).
    """
    configs = {part: _untold(header, part) for part in ("unet", "vae", "text_encoder", "text_encoder_2")}
    schedule = header.configs.get("scheduler", {})
    configs["scheduler"] = {name: schedule[name] for name in SCHEDULER if schedule.get(name) is not None}
    if last := _last_layer(header):
        configs["text_encoder"]["num_hidden_layers"] = last
    easel = dict(header.configs.get("easel", {}))
    easel["configs"] = {part: fields for part, fields in configs.items() if fields}
    if not easel["configs"]:
        del easel["configs"]
    return {"easel": json.dumps(easel)} if easel else {}


def _untold(header: Header, part: str) -> dict[str, Any]:
    """Return the fields of a network's config that its weights do not tell."""
    entries, config = header.part(part), header.configs.get(part, {})
    if not entries:
        return {}
    told: Mapping[str, Any]
    if part == "unet":
        told = unet_config(entries)
    elif part == "vae":
        told = vae_config(entries)
    else:
        told = text_config(text_part(header, part), open_clip=part == "text_encoder_2" or is_open_clip(header))
    return {
        name: value
        for name, value in config.items()
        if not name.startswith("_")
        and name not in IDLE
        and _plain(value) != _plain(told.get(name, ABSENT))
        and (value is not None or name in told)
    }


def _last_layer(header: Header) -> int:
    """Return how many layers an OpenCLIP text encoder has when none follows the last one read; 0: nothing to say."""
    layers = header.configs.get("text_encoder", {}).get("num_hidden_layers")
    if not isinstance(layers, int) or not is_open_clip(header):
        return 0
    return 0 if f"cond_stage_model.model.transformer.resblocks.{layers}.ln_1.weight" in header.entries else layers


def _plain(value: Any) -> Any:
    """Return a list of equal numbers as that number: configs write both."""
    if isinstance(value, list | tuple) and value and all(each == value[0] for each in value):
        return value[0]
    return value
