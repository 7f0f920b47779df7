"""The autoencoder of the U-Net families: a checkpoint's own, or a file of its own."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from modules.errors import BrokenFile, WrongFamily
from modules.families.family import Family, Header, LatentFormat
from modules.families.unet.making import made, place_buffers, suit
from modules.families.unet.unfilled import unfilled
from modules.families.unet.weights import fill

# The names of a VAE's projections before diffusers 0.15, and now.
VAE_ATTENTION = MappingProxyType({"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"})


class VaeTraits(Family, Protocol):
    """What a family says of its autoencoders. `example_vae`: a file a person may look for."""

    example_vae: str


def load_autoencoder(
    family: VaeTraits, header: Header, device: torch.device, dtype: torch.dtype, home: torch.device | None = None
) -> AutoencoderKL:
    """Load the autoencoder of a checkpoint or of a file of its own.

    Raises `BrokenFile` when there is none or weights are missing, `WrongFamily` when it is made for other latents.
    """
    check_there(family, header)
    with unfilled():
        vae: AutoencoderKL = made(header, "vae", AutoencoderKL.from_config)
    _check(family, header, vae)
    suit(vae, device, dtype)
    fill(vae, header.part("vae"), device, dtype, _vae_key, home)
    place_buffers(vae, home or device)
    return vae


def check_there(family: VaeTraits, header: Header) -> None:
    """Raise `BrokenFile` that says where to get an autoencoder when there is none."""
    if "vae" not in header.configs:
        raise BrokenFile("vae_missing", file=str(header.path), family=family.name, example=family.example_vae)


def scaled(latent: LatentFormat, header: Header) -> LatentFormat:
    """Return `latent` with the scale and shift that an autoencoder's config states; raises `BrokenFile`."""
    config = header.configs.get("vae", {})
    try:
        scale = float(config.get("scaling_factor", latent.scale))
        shift = float(config.get("shift_factor") or latent.shift)
    except (TypeError, ValueError) as error:
        raise BrokenFile("model_config", file=str(header.path), part="vae", reason=str(error)) from error
    if not scale:
        raise BrokenFile("model_config", file=str(header.path), part="vae", reason="scaling_factor")
    return replace(latent, scale=scale, shift=shift)


def _check(family: Family, header: Header, vae: AutoencoderKL) -> None:
    """Raise `WrongFamily` for an autoencoder whose latents are not the family's."""
    channels, factor = vae.config.latent_channels, 2 ** (len(vae.config.block_out_channels) - 1)
    if (channels, factor) != (family.latent.channels, family.latent.factor):
        raise WrongFamily(
            "vae_latents",
            file=str(header.path),
            family=family.name,
            channels=channels,
            factor=factor,
            wanted=f"{family.latent.channels}, 1/{family.latent.factor}",
        )


def _vae_key(key: str) -> str:
    """Return a VAE key by its present name."""
    before, attention, after = key.partition(".attentions.0.")
    name, _, kind = after.partition(".")
    return f"{before}{attention}{VAE_ATTENTION.get(name, name)}.{kind}" if attention else key
