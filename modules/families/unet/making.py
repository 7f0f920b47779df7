"""What every network of a checkpoint goes through: made from its config, suited to the device, completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from modules.errors import BrokenFile
from modules.families.family import Header
from modules.families.unet.attention import SlicedAttention
from modules.families.unet.convolution import quicken

# What a malformed config makes the libraries' constructors raise.
MALFORMED = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError, ZeroDivisionError)


def made(header: Header, part: str, make: Callable[[dict[str, Any]], Any]) -> Any:
    """Return the network of a component; raise `BrokenFile` when its config makes no sense."""
    try:
        return make(dict(header.configs[part]))
    except MALFORMED as error:
        raise BrokenFile("model_config", file=str(header.path), part=part, reason=str(error)) from error


def suit(network: UNet2DConditionModel | AutoencoderKL, device: torch.device, dtype: torch.dtype) -> None:
    """Choose, before it is filled, how a network computes fastest on a CPU."""
    if device.type == "cpu" and dtype == torch.float32:
        quicken(network)
    if device.type == "cpu" and dtype == torch.bfloat16:
        network.set_attn_processor(SlicedAttention())


def place_buffers(module: nn.Module, device: torch.device) -> None:
    """Make the position tables, which no file holds; they are the only buffers these networks have."""
    for owner in module.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(owner, name, torch.arange(buffer.shape[-1], device=device).expand(buffer.shape))
