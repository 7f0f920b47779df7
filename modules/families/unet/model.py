"""A loaded checkpoint of CLIP and a U-Net, and how a diffusers folder becomes one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel

from modules.errors import BrokenFile
from modules.families.family import Conditioning, Family, Header, LatentFormat
from modules.families.unet.attention import SlicedAttention
from modules.families.unet.convolution import quicken
from modules.families.unet.weights import fill
from modules.prompts.chunks import Chunk
from modules.prompts.emphasis import emphasise
from modules.prompts.vocabulary import ClipTokenizer
from modules.sampling.prediction import DiscreteTable, Eps, Prediction, V

# What a malformed config makes the libraries' constructors raise.
MALFORMED = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError, ZeroDivisionError)
# The names of a VAE's projections before diffusers 0.15, and now.
VAE_ATTENTION = MappingProxyType({"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"})
MOST_TIMESTEPS = 100_000


@dataclass(frozen=True)
class UnetModel:
    """U-Net, autoencoder and text encoder on one device, in one dtype."""

    family: Family
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: ClipTokenizer
    prediction: Prediction
    latent: LatentFormat
    native_size: int
    device: torch.device
    dtype: torch.dtype

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """U-Net, autoencoder and text encoder by component."""
        return {"unet": self.unet, "vae": self.vae, "text_encoder": self.text_encoder}

    def encode(self, prompts: Sequence[Sequence[Chunk]]) -> Conditioning:
        """Return (B, 77 * chunks, D) of B prompts of equally many chunks: each chunk is read on its own."""
        chunks = [chunk for prompt in prompts for chunk in prompt]
        ids = torch.tensor([chunk.ids for chunk in chunks], device=self.device)
        said = self.text_encoder(input_ids=ids).last_hidden_state
        said = emphasise(said, [chunk.weights for chunk in chunks])
        return Conditioning(said.reshape(len(prompts), -1, said.shape[-1]))

    def predict(self, x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        """Return the clean latents guessed for `x` (B, C, h, w; float32) at `sigma`: one network call."""
        scaled = self.prediction.scale(x, sigma).to(self.dtype)
        time = torch.tensor(self.prediction.timestep(sigma), device=self.device)
        said = self.unet(self._laid_out(scaled), time, conditioning.context, return_dict=False)[0]
        return self.prediction.denoised(x, sigma, said.to(x.dtype))

    def decode(self, latents: Tensor) -> Tensor:
        """Return the pictures of `latents` (B, C, h, w): (B, 3, H, W), float32, about -1..1."""
        plain = (latents / self.latent.scale + self.latent.shift).to(self.dtype)
        picture: Tensor = self.vae.decode(self._laid_out(plain), return_dict=False)[0]
        return picture.float()

    def _laid_out(self, x: Tensor) -> Tensor:
        """Return `x` in the order convolutions are fastest in on this device."""
        return x.contiguous(memory_format=torch.channels_last) if self.device.type == "cpu" else x


def load_folder(family: Family, header: Header, device: torch.device, dtype: torch.dtype) -> UnetModel:
    """Load a diffusers folder; raise `BrokenFile` when a component, a config or weights are missing or malformed."""
    with torch.device("meta"):
        unet = _made(header, "unet", UNet2DConditionModel.from_config)
        vae = _made(header, "vae", AutoencoderKL.from_config)
        text_encoder = _made(header, "text_encoder", lambda config: CLIPTextModel(CLIPTextConfig.from_dict(config)))
    if device.type == "cpu" and dtype == torch.float32:
        for module in (unet, vae):
            quicken(module)
    fill(unet, header.part("unet"), device, dtype)
    fill(vae, header.part("vae"), device, dtype, _vae_key)
    nested = any(key.startswith("text_model.") for key in text_encoder.state_dict())
    fill(text_encoder, header.part("text_encoder"), device, dtype, lambda key: _text_key(key, nested))
    for module in (unet, vae, text_encoder):
        _place_buffers(module, device)
    if device.type == "cpu" and dtype == torch.bfloat16:
        unet.set_attn_processor(SlicedAttention())
        vae.set_attn_processor(SlicedAttention())
    return UnetModel(
        family=family,
        unet=unet,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=ClipTokenizer(),
        prediction=_prediction(header),
        latent=_latent(family, header),
        native_size=family.native_size(header),
        device=device,
        dtype=dtype,
    )


def _made(header: Header, part: str, make: Any) -> Any:
    config = header.configs.get(part)
    if config is None:
        raise BrokenFile("model_part_missing", file=str(header.path), part=part)
    try:
        return make(dict(config))
    except MALFORMED as error:
        raise BrokenFile("model_config", file=str(header.path), part=part, reason=str(error)) from error


def _vae_key(key: str) -> str:
    """Return a VAE key by its present name."""
    before, attention, after = key.partition(".attentions.0.")
    name, _, kind = after.partition(".")
    return f"{before}{attention}{VAE_ATTENTION.get(name, name)}.{kind}" if attention else key


def _text_key(key: str, nested: bool) -> str | None:
    """Return a text encoder key as the installed transformers names it: with or without "text_model." in front."""
    if key.endswith("position_ids"):  # a table of 0..76 that older files hold; it is no weight
        return None
    plain = key.removeprefix("text_model.")
    return f"text_model.{plain}" if nested else plain


def _place_buffers(module: nn.Module, device: torch.device) -> None:
    """Make the position tables, which no file holds; they are the only buffers these networks have."""
    for owner in module.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(owner, name, torch.arange(buffer.shape[-1], device=device).expand(buffer.shape))


def _prediction(header: Header) -> Prediction:
    config = header.configs.get("scheduler", {})
    try:
        table = _table(config)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise BrokenFile("model_config", file=str(header.path), part="scheduler", reason=str(error)) from error
    kinds: dict[str, type[Eps] | type[V]] = {"epsilon": Eps, "v_prediction": V}
    kind = str(config.get("prediction_type", "epsilon"))
    if kind not in kinds:
        raise BrokenFile("prediction_type", file=str(header.path), value=kind, allowed=", ".join(kinds))
    return kinds[kind](table)


def _table(config: Mapping[str, Any]) -> DiscreteTable:
    makers = {"scaled_linear": DiscreteTable.scaled_linear, "linear": DiscreteTable.linear}
    schedule = config.get("beta_schedule", "scaled_linear")
    if schedule not in makers:
        raise ValueError(f"beta_schedule is {schedule}, not one of {', '.join(makers)}")
    first, last = float(config.get("beta_start", 0.00085)), float(config.get("beta_end", 0.012))
    count = int(config.get("num_train_timesteps", 1000))
    if not 2 <= count <= MOST_TIMESTEPS:
        raise ValueError(f"num_train_timesteps is {count}, not between 2 and {MOST_TIMESTEPS}")
    return makers[schedule](first, last, count)


def _latent(family: Family, header: Header) -> LatentFormat:
    """Return the family's latent format with what the folder says of its own."""
    vae, own = header.configs.get("vae", {}), header.configs.get("easel", {})
    try:
        rgb = tuple((float(r), float(g), float(b)) for r, g, b in own.get("latent_rgb", family.latent.rgb))
        red, green, blue = (float(each) for each in own.get("latent_rgb_bias", family.latent.bias))
        scale = float(vae.get("scaling_factor", family.latent.scale))
        shift = float(vae.get("shift_factor") or family.latent.shift)
    except (TypeError, ValueError) as error:
        raise BrokenFile("model_config", file=str(header.path), part="easel", reason=str(error)) from error
    if len(rgb) != family.latent.channels or not scale:
        raise BrokenFile("model_config", file=str(header.path), part="easel", reason="latent_rgb")
    return replace(family.latent, scale=scale, shift=shift, rgb=rgb, bias=(red, green, blue))
