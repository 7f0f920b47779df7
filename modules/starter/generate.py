"""Pictures from the starter's parts by the project's own sampler: how training and evaluation look at it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from modules.sampling.dpmpp_2m import dpmpp_2m
from modules.sampling.noise import Noise
from modules.sampling.prediction import Eps
from modules.sampling.schedules import karras
from modules.starter.text import tokens

Ask = Callable[[Tensor, float, Tensor], Tensor]  # (x, timestep, words) -> noise


@dataclass(frozen=True)
class Starter:
    """The parts of a loaded starter model, all on one device in float32."""

    unet: UNet2DConditionModel
    encoder: CLIPTextModel
    vae: AutoencoderKL
    words: CLIPTokenizer

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Starter:
        """Load a model folder."""
        parts = {"torch_dtype": torch.float32, "local_files_only": True, "low_cpu_mem_usage": False}
        encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32)
        nn.Module.to(encoder, device)
        return cls(
            UNet2DConditionModel.from_pretrained(folder, subfolder="unet", **parts).to(device).eval(),
            encoder.train(False),
            AutoencoderKL.from_pretrained(folder, subfolder="vae", **parts).to(device).eval(),
            CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        )


def plainly(model: Starter) -> Ask:
    """The U-Net asked as it is."""
    return lambda x, timestep, hidden: model.unet(x, timestep, hidden).sample


@torch.no_grad()
def generate(
    model: Starter,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    steps: int = 20,
    guidance: float = 7.0,
    ask: Ask | None = None,
) -> Tensor:
    """Pictures of 128 x 128 for prompts, by DPM++ 2M Karras: bytes, (n, 3, 128, 128).

    Each picture's noise comes from its own seed alone. `ask` is given the prompts' half of a batch first, then the
    empty prompts'; the U-Net alone answers where it is left out.
    """
    ask = ask or plainly(model)
    device = model.unet.device
    prediction = Eps()
    sigmas = karras(steps, prediction)
    noise = Noise(seeds, (4, 16, 16), device)
    ids = tokens(model.words, [*prompts, *[""] * len(prompts)]).to(device)
    hidden = model.encoder(ids).last_hidden_state

    def denoise(x: Tensor, sigma: float) -> Tensor:
        both = torch.cat([prediction.scale(x, sigma)] * 2)
        asked, free = ask(both, prediction.timestep(sigma), hidden).chunk(2)
        return prediction.denoised(x, sigma, free + guidance * (asked - free))

    x = prediction.start(noise.initial(), sigmas[0])
    x = dpmpp_2m(denoise, x, sigmas, prediction, noise)
    pictures = model.vae.decode(x / model.vae.config.scaling_factor).sample
    shown: Tensor = (pictures.clamp(-1, 1) * 127.5 + 127.5).round().byte().cpu()
    return shown
