"""Writes the starter as a folder that diffusers, and this project, load as a Stable Diffusion 1 model.

Its ControlNet is written beside it in the same way.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from modules.prompts.tokenizer_files import write_tokenizer
from modules.starter.scenes import SIZE
from modules.starter.unet import Cache


def latent_rgb(cache: Cache, pictures: Tensor) -> tuple[list[list[float]], list[float]]:
    """The linear map from scaled latents to small pictures in -1..1 that fits best: (4 x 3) rows and a bias.

    `pictures`: bytes, (n, 3, 128, 128), of the cache's first n scenes.
    """
    small = F.avg_pool2d(pictures.float() / 127.5 - 1, 8)
    latents = cache.mean[: len(pictures)].float() * cache.scale
    known = torch.cat([latents, torch.ones_like(latents[:, :1])], 1).movedim(1, -1).flatten(0, 2)
    fit = torch.linalg.lstsq(known, small.movedim(1, -1).flatten(0, 2)).solution
    rows: list[list[float]] = [[round(v, 5) for v in row] for row in fit.tolist()]
    return rows[:4], rows[4]


def export(
    folder: Path,
    unet: UNet2DConditionModel,
    encoder: CLIPTextModel,
    vae: AutoencoderKL,
    scale: float,
    preview: tuple[list[list[float]], list[float]],
) -> None:
    """Writes every part beside its place, then puts each in its place by renaming: a reader never sees half a file."""
    fresh = _beside(folder)
    unet_config = {"_class_name": "UNet2DConditionModel", **_plain(unet.config)}
    vae_config = {"_class_name": "AutoencoderKL", **_plain(vae.config), "scaling_factor": scale}
    _part(fresh / "unet", unet_config, "diffusion_pytorch_model.safetensors", unet)
    _part(fresh / "vae", vae_config, "diffusion_pytorch_model.safetensors", vae)
    text_config = {
        key: value for key, value in encoder.config.to_diff_dict().items() if not key.startswith(("_", "transformers"))
    }
    text_config |= {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "dtype": "float32"}
    _part(fresh / "text_encoder", text_config, "model.safetensors", encoder)
    write_tokenizer(fresh / "tokenizer")
    _json(fresh / "scheduler" / "scheduler_config.json", _SCHEDULER)
    _json(fresh / "model_index.json", _INDEX)
    _json(fresh / "easel.json", {"native_size": SIZE, "latent_rgb": preview[0], "latent_rgb_bias": preview[1]})
    _into_place(fresh, folder)


def export_control(folder: Path, control: ControlNetModel) -> None:
    """Writes a ControlNet as a folder that diffusers loads, in half precision, in the same careful way."""
    fresh = _beside(folder)
    config = {"_class_name": "ControlNetModel", **_plain(control.config)}
    _part(fresh, config, "diffusion_pytorch_model.safetensors", control)
    _into_place(fresh, folder)


_SCHEDULER: Mapping[str, Any] = MappingProxyType(
    {
        "_class_name": "PNDMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": "epsilon",
        "skip_prk_steps": True,
        "steps_offset": 1,
        "set_alpha_to_one": False,
        "clip_sample": False,
    }
)
_INDEX: Mapping[str, Any] = MappingProxyType(
    {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
)


def _beside(folder: Path) -> Path:
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    return fresh


def _into_place(fresh: Path, folder: Path) -> None:
    for file in sorted(fresh.rglob("*")):
        if file.is_file():
            place = folder / file.relative_to(fresh)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.chmod(0o644)
            file.replace(place)
    shutil.rmtree(fresh)


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _json(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(value), indent=2) + "\n", encoding="utf-8")


def _part(folder: Path, config: Mapping[str, Any], name: str, module: nn.Module) -> None:
    _json(folder / "config.json", config)
    weights = {key: value.detach().cpu().half().contiguous() for key, value in module.state_dict().items()}
    save_file(
        {key: value for key, value in weights.items() if "position_ids" not in key}, folder / name, {"format": "pt"}
    )
