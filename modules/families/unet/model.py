"""A loaded checkpoint of CLIP and a U-Net: words, guesses, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.families.family import NOTHING_LEARNED, Conditioning, Header, LatentFormat, Learned, Thrift
from modules.families.unet.autoencoder import VaeTraits, load_autoencoder, scaled
from modules.families.unet.residuals import added
from modules.families.unet.seamless import MARGIN, surrounded, wrapping, wraps
from modules.families.unet.text import TextEncoder
from modules.families.unet.thrift import WHOLE, Sparing
from modules.prompts.chunks import EOS, Chunk
from modules.prompts.emphasis import Apply, emphasise
from modules.prompts.vocabulary import ClipTokenizer
from modules.request import Told
from modules.sampling.prediction import Prediction

GUIDANCE = 7.5  # of a latent consistency model, where 0 would be none
LIKED = "liked"  # in `Conditioning.extra`: 1 for a prompt, 0 for a negative one, where the network is told a score


@dataclass(frozen=True)
class UnetModel:
    """U-Net, autoencoder and text encoders on one device, in one dtype.

    `silent` says that an empty negative prompt is read as zeros (SDXL was trained so); `sized` how many numbers about
    the picture its U-Net is told: none, 5 (size, crop, score) or 6 (size, crop, target size). `told` are those that
    are no sizes.
    """

    family: VaeTraits
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    encoders: tuple[TextEncoder, ...]
    tokenizer: ClipTokenizer
    prediction: Prediction
    latent: LatentFormat
    native_size: int
    device: torch.device
    dtype: torch.dtype
    silent: bool = False
    sized: int = 0
    told: Told = field(default_factory=Told)
    sparing: Sparing | None = None
    _greys: dict[tuple[int, int, bool], Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def further(self) -> int:
        """How many channels the U-Net reads beside the noisy latents."""
        return int(self.unet.config.in_channels) - self.latent.channels

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """U-Net, autoencoder and text encoders by component."""
        return {"unet": self.unet, "vae": self.vae, **{each.reading.part: each.module for each in self.encoders}}

    def encode(
        self,
        prompts: Sequence[Sequence[Chunk]],
        clip_skip: int = 1,
        negative: bool = False,
        learned: Learned = NOTHING_LEARNED,
        apply: Apply = emphasise,
        first_alone: bool = False,
    ) -> Conditioning:
        """Return (B, 77 * chunks, D) of B prompts of equally many chunks: each chunk is read on its own.

        Where there are several text encoders, D is theirs side by side; the pooled vector is the first chunk's. With
        `first_alone` clip skip is for the first of several alone.
        """
        chunks = [chunk for prompt in prompts for chunk in prompt]
        alone = first_alone and any(encoder.reading.first for encoder in self.encoders)
        said = [encoder(chunks, clip_skip, learned, self.device, apply, alone) for encoder in self.encoders]
        context = torch.cat([words for words, _ in said], dim=-1)
        context = context.reshape(len(prompts), -1, context.shape[-1])
        pooled = next((whole[:: len(prompts[0])] for _, whole in said if whole is not None), None)
        if self.silent and negative:
            heard = torch.tensor([any(map(_says_something, prompt)) for prompt in prompts], device=self.device)
            context = context * heard[:, None, None]
            pooled = None if pooled is None else pooled * heard[:, None]
        extra = {}
        if self.sized == 5:
            extra[LIKED] = torch.full((len(prompts), 1), 0.0 if negative else 1.0, device=self.device)
        return Conditioning(context, pooled, extra)

    def predict(self, x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
        """Return the clean latents guessed for `x` (B, C, h, w; float32) at `sigma`: one network call.

        A network that reads further channels gets `conditioning.extra["beside"]` (B, further, h, w), or what stands for
        no picture at all. What controls add comes in `extra` as well (`residuals.py`).
        """
        scaled = self.prediction.scale(x, sigma).to(self.dtype)
        if further := self.further:
            beside = conditioning.extra.get("beside")
            scaled = torch.cat([scaled, self._nothing(x, further) if beside is None else beside.to(scaled)], dim=1)
        sparing = None if WHOLE in conditioning.extra else self.sparing
        with nullcontext() if sparing is None else sparing.during(sigma, *x.shape[2:]):
            said = self.unet(
                self.laid_out(scaled),
                self.time(sigma),
                conditioning.context,
                timestep_cond=self._told_guidance(),
                added_cond_kwargs=self.about(x, conditioning),
                return_dict=False,
                **added(conditioning.extra),
            )[0]
        return self.prediction.denoised(x, sigma, said.to(x.dtype))

    def time(self, sigma: float) -> Tensor:
        """Return the time at `sigma` as its networks read it."""
        return torch.tensor(self.prediction.timestep(sigma), device=self.device)

    def with_vae(self, vae: Header, home: torch.device | None = None) -> UnetModel:
        """Return this model with the autoencoder of `vae`, its weights put to `home`; the others are shared.

        Raises `BrokenFile` when there is none or weights are missing, `WrongFamily` when it is made for other latents.
        """
        made = load_autoencoder(self.family, vae, self.device, self.dtype, home)
        latent = replace(self.latent, scale=self.family.latent.scale, shift=self.family.latent.shift)
        return replace(self, vae=made, latent=scaled(latent, vae))

    def with_prediction(self, prediction: Prediction) -> UnetModel:
        """Return this model with other noise levels; everything else is shared."""
        return replace(self, prediction=prediction)

    def with_told(self, told: Told) -> UnetModel:
        """Return this model that is told something else about pictures; everything else is shared."""
        return replace(self, told=told)

    def with_thrift(self, thrift: Thrift) -> UnetModel:
        """Return this model with self-attention that saves work; everything else is shared."""
        return replace(self, sparing=Sparing.of(self.unet, thrift))

    def seamless(self) -> AbstractContextManager[None]:
        """Let the opposite borders of pictures fit together until the `with` is left."""
        return wrapping(self.unet)

    def encode_pictures(self, pixels: Tensor) -> Tensor:
        """Return the latents (B, C, h, w; float32) of `pixels` (B, 3, H, W; -1..1): the middle of what they may be."""

        def encoded(pixels: Tensor) -> Tensor:
            found: Tensor = self.vae.encode(self.laid_out(pixels)).latent_dist.mode()
            return found.float()

        margin = MARGIN * self.latent.factor if wraps(self.unet) else 0
        pixels = pixels.to(self.device, self.vae.dtype)
        found = surrounded(encoded, pixels, margin) if margin else encoded(pixels)
        return (found - self.latent.shift) * self.latent.scale

    def decode(self, latents: Tensor, tile: int = 0, exact: bool = False) -> Tensor:
        """Return the pictures of `latents` (B, C, h, w): (B, 3, H, W), float32, about -1..1.

        With `tile` they are decoded in overlapping pieces of that side in pixels; `exact` decodes in float32.
        """
        vae = self._exact_vae() if exact and self.dtype != torch.float32 else self.vae
        plain = (latents / self.latent.scale + self.latent.shift).to(vae.dtype)
        vae.use_tiling = bool(tile)
        vae.tile_sample_min_size, vae.tile_latent_min_size = tile, tile // self.latent.factor

        def decoded(latents: Tensor) -> Tensor:
            picture: Tensor = vae.decode(self.laid_out(latents), return_dict=False)[0]
            return picture.float()

        return surrounded(decoded, plain, MARGIN) if wraps(self.unet) else decoded(plain)

    def _exact_vae(self) -> AutoencoderKL:
        """Return the autoencoder once more, in float32: 0.3 GB that are needed for one call only."""
        with torch.device("meta"):
            vae: AutoencoderKL = AutoencoderKL.from_config(self.vae.config)
        weights = {key: value.to(self.device, torch.float32) for key, value in self.vae.state_dict().items()}
        vae.load_state_dict(weights, assign=True)
        return vae.eval()

    def about(self, x: Tensor, conditioning: Conditioning) -> dict[str, Tensor] | None:
        """Return what SDXL is told of the picture: the words as a whole, its size, and how it was cut out or liked."""
        if not self.sized or conditioning.pooled is None:
            return None
        height, width = (side * self.latent.factor for side in x.shape[2:])
        numbers = [height, width, self.told.crop_top, self.told.crop_left]
        told = torch.tensor(numbers, dtype=torch.float32, device=self.device).repeat(len(x), 1)
        last = told[:, :2]
        if self.sized == 5:
            last = torch.where(conditioning.extra[LIKED] > 0, self.told.high_score, self.told.low_score)
        return {"text_embeds": conditioning.pooled, "time_ids": torch.cat([told, last.float()], dim=1)}

    def _told_guidance(self) -> Tensor | None:
        """Return the guidance that a latent consistency model makes by itself, as it reads it (Luo et al. 2023)."""
        if not (width := self.unet.config.time_cond_proj_dim):
            return None
        steps = torch.arange(width // 2, device=self.device) * (-math.log(10_000) / (width // 2 - 1))
        angles = 1000 * GUIDANCE * torch.exp(steps)
        return torch.cat([angles.sin(), angles.cos()])[None].to(self.dtype)

    def _nothing(self, x: Tensor, further: int) -> Tensor:
        """Return what a network made to change pictures reads where there is none.

        One for inpainting: a mask of ones and the latents of a grey picture, all of it to be painted. One that follows
        instructions: zeros.
        """
        if further != x.shape[1] + 1:
            return x.new_zeros((len(x), further, *x.shape[2:]), dtype=self.dtype)
        height, width = (side * self.latent.factor for side in x.shape[2:])
        key = (height, width, wraps(self.unet))
        if key not in self._greys:
            self._greys.clear()  # one size at a time: a batch has one
            self._greys[key] = self.encode_pictures(torch.zeros((1, 3, height, width)))
        grey = self._greys[key].to(self.dtype)
        return torch.cat([torch.ones_like(grey[:, :1]), grey], dim=1).expand(len(x), -1, -1, -1)

    def laid_out(self, x: Tensor) -> Tensor:
        """Return `x` in the order convolutions are fastest in on this device."""
        return x.contiguous(memory_format=torch.channels_last) if self.device.type == "cpu" else x


def _says_something(chunk: Chunk) -> bool:
    return chunk.ids[1] != EOS
