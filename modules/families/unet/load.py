"""How the header of a checkpoint becomes a loaded model: its networks made, filled and put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

from modules.errors import BrokenFile
from modules.families.family import Header, LatentFormat
from modules.families.unet.autoencoder import VaeTraits, check_there, load_autoencoder, scaled
from modules.families.unet.making import made, place_buffers, suit
from modules.families.unet.model import UnetModel
from modules.families.unet.objective import prediction_of
from modules.families.unet.reading import Reading
from modules.families.unet.text import TextEncoder
from modules.families.unet.unfilled import unfilled
from modules.families.unet.velocity import says_velocity
from modules.families.unet.weights import fill
from modules.prompts.vocabulary import ClipTokenizer

# What text encoders are stored with and no picture needs, unless the encoder has a place for it.
UNREAD = ("position_ids", "logit_scale", "text_projection", "text_projection.weight", "text_projection.bias")


class UnetTraits(VaeTraits, Protocol):
    """What a U-Net family says of its checkpoints, beyond what every family does (`unet/base.py`)."""

    aligned: tuple[float, ...]
    silent: bool

    @property
    def tokenizer(self) -> ClipTokenizer:
        """What cuts prompts into tokens: one for all models of the family."""
        ...

    def readings(self, header: Header) -> tuple[Reading, ...]:
        """Return the text encoders a checkpoint must have, and how words are read with each."""
        ...

    def asks_network(self, header: Header) -> bool:
        """Return whether only the network itself can tell if it says noise or velocity."""
        ...

    def native_size(self, header: Header, velocity: bool = False) -> int:
        """Return the side in pixels a checkpoint was trained on, knowing what its network says."""
        ...


def load_unet(
    family: UnetTraits,
    header: Header,
    device: torch.device,
    dtype: torch.dtype,
    vae: Header | None = None,
    home: torch.device | None = None,
) -> UnetModel:
    """Load a checkpoint, with the autoencoder of `vae` where one is given; the weights are put to `home` or `device`.

    Raises `BrokenFile` when a component, a config or weights are missing or malformed. Never touches the network.
    """
    vae = header if vae is None else vae
    place = home or device
    readings = family.readings(header)
    _complete(family, header, vae, readings)
    with unfilled():
        encoders = tuple(TextEncoder(each, made(header, each.part, _text_maker(each))) for each in readings)
    with ThreadPoolExecutor(1) as beside:  # their weights are cast while the other networks are made
        filling = []
        for each in encoders:
            weights, names = header.part(each.reading.part), _text_keys(each.module)
            filling.append(beside.submit(fill, each.module, weights, device, dtype, names, home))
        with unfilled():
            unet = made(header, "unet", UNet2DConditionModel.from_config)
        suit(unet, device, dtype)
        autoencoder = load_autoencoder(family, vae, device, dtype, home)
        tokenizer = family.tokenizer
        for filled in filling:
            filled.result()
    fill(unet, header.part("unet"), device, dtype, home=home)
    for module in (unet, *(each.module for each in encoders)):
        place_buffers(module, place)
    velocity = family.asks_network(header) and says_velocity(unet, place, dtype)
    return UnetModel(
        family=family,
        unet=unet,
        vae=autoencoder,
        encoders=encoders,
        tokenizer=tokenizer,
        prediction=prediction_of(header, family.aligned, velocity),
        latent=_latent(family, header, vae),
        native_size=family.native_size(header, velocity),
        device=device,
        dtype=dtype,
        silent=family.silent,
        sized=_sized(header, unet, encoders),
    )


def _complete(family: UnetTraits, header: Header, vae: Header, readings: tuple[Reading, ...]) -> None:
    """Raise `BrokenFile` naming the component that is not there, and where to get it."""
    if "unet" not in header.configs:
        raise BrokenFile("model_part_missing", file=str(header.path), part="unet")
    for reading in readings:
        if reading.part not in header.configs:
            raise BrokenFile("text_encoder_missing", file=str(header.path), part=reading.part, family=family.name)
    check_there(family, vae)


def _text_maker(reading: Reading) -> Callable[[dict[str, Any]], nn.Module]:
    kind = CLIPTextModelWithProjection if reading.pooled else CLIPTextModel
    return lambda config: kind(CLIPTextConfig.from_dict(config))


def _text_keys(module: nn.Module) -> Callable[[str], str | None]:
    """Return what names a stored key as the installed transformers does: with or without "text_model." in front.

    Layers behind the last that the config wants are left out, as is what no picture needs.
    """
    places = module.state_dict().keys()
    nested = any(place.startswith("text_model.") for place in places)
    layers: int = module.config.num_hidden_layers  # type: ignore[union-attr, assignment]

    def rename(key: str) -> str | None:
        plain = key.removeprefix("text_model.")
        if key in places and not plain.startswith("encoder."):
            return key
        if plain.endswith(UNREAD):
            return None
        if plain.startswith("encoder.layers.") and int(plain.split(".")[2]) >= layers:
            return None
        return f"text_model.{plain}" if nested else plain

    return rename


def _latent(family: UnetTraits, header: Header, vae: Header) -> LatentFormat:
    """Return the family's latent format with what the checkpoint, or the autoencoder beside it, says of its own."""
    own = header.configs.get("easel", {})
    try:
        rgb = tuple((float(r), float(g), float(b)) for r, g, b in own.get("latent_rgb", family.latent.rgb))
        red, green, blue = (float(each) for each in own.get("latent_rgb_bias", family.latent.bias))
    except (TypeError, ValueError) as error:
        raise BrokenFile("model_config", file=str(header.path), part="easel", reason=str(error)) from error
    if len(rgb) != family.latent.channels:
        raise BrokenFile("model_config", file=str(header.path), part="easel", reason="latent_rgb")
    return scaled(replace(family.latent, rgb=rgb, bias=(red, green, blue)), vae)


def _sized(header: Header, unet: UNet2DConditionModel, encoders: tuple[TextEncoder, ...]) -> int:
    """Return how many numbers about the picture the U-Net wants to be told: by the width of what takes them in."""
    if unet.config.addition_embed_type != "text_time":
        return 0
    config: Mapping[str, Any] = unet.config
    pooled = next((each.module.config.projection_dim for each in encoders if each.reading.pooled), 0)
    room, each = config["projection_class_embeddings_input_dim"] - pooled, config["addition_time_embed_dim"]
    if room not in (5 * each, 6 * each):
        wanted = f"projection_class_embeddings_input_dim {room + pooled} != {pooled} + 5|6 * {each}"
        raise BrokenFile("model_config", file=str(header.path), part="unet", reason=wanted)
    return int(room // each)
