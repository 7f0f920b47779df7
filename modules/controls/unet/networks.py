"""What loading a network beside a U-Net takes: the U-Net it is for, and its weights put where that one's are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from modules.errors import WrongFamily
from modules.families.family import Entry, Header, Model
from modules.families.unet.making import made, suit
from modules.families.unet.model import UnetModel
from modules.families.unet.unfilled import unfilled
from modules.families.unet.weights import fill

# What the weights do not tell and a copy of a U-Net has from the original.
INHERITED = (
    *("attention_head_dim", "num_attention_heads", "norm_num_groups", "norm_eps", "act_fn", "upcast_attention"),
    *("addition_embed_type", "addition_time_embed_dim", "flip_sin_to_cos", "freq_shift", "use_linear_projection"),
    *("downsample_padding", "resnet_time_scale_shift", "mid_block_scale_factor"),
)
STATED = "_diffusers_version"  # in the config of a folder, which leaves nothing open


def unet_of(model: Model, what: str) -> UnetModel:
    """Return `model` as one with a U-Net; raise `WrongFamily` for another."""
    if not isinstance(model, UnetModel):
        raise WrongFamily("control_needs_unet", name=what, model_family=model.family.name)
    return model


def inheriting(config: Mapping[str, Any], model: UnetModel) -> dict[str, Any]:
    """Return a derived config with what the U-Net says of itself; a stated one as it is."""
    if STATED in config:
        return dict(config)
    unet = model.unet.config
    return {**config, **{name: unet[name] for name in INHERITED if unet.get(name) is not None}}


def filled(
    header: Header,
    part: str,
    entries: Mapping[str, Entry],
    make: Callable[[dict[str, Any]], Any],
    model: UnetModel,
) -> Any:
    """Return the network of a component, made from its config and filled with `entries`.

    Raises `BrokenFile` when its config makes no sense or weights are missing, unknown or of another shape.
    """
    with unfilled():
        network: nn.Module = made(header, part, make)
    suit(network, model.device, model.dtype)
    fill(network, entries, model.device, model.dtype)
    return network


def bytes_of(*modules: nn.Module) -> int:
    """Return how many bytes the weights of modules take."""
    return sum(each.nbytes for module in modules for each in module.parameters())
