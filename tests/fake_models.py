"""Tiny models with random weights, whole enough for every code path: a second to make, under 2 MB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.engine.engine import Engine
from modules.model_manager.catalog import Catalog
from modules.plugins import folder_modules, make_plugins
from modules.server.launch import ROOMS
from modules.settings import Settings

WIDTH, WIDTH_2, POOLED = 16, 24, 20  # of the text encoders, and of the second one's projection
NATIVE = 64  # pixels

UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": NATIVE // 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [32, 64],
    "layers_per_block": 1,
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
}
DEEP_UNET = {  # as many levels as Stable Diffusion has
    **UNET,
    "block_out_channels": [16, 16, 16, 16],
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
}
SD2_UNET = {**UNET, "use_linear_projection": True, "cross_attention_dim": WIDTH_2}
_ADDED = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
SDXL_UNET = {
    **UNET,
    **_ADDED,
    "use_linear_projection": True,
    "cross_attention_dim": WIDTH + WIDTH_2,
    "projection_class_embeddings_input_dim": POOLED + 6 * 8,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
}
REFINER_UNET = {
    **DEEP_UNET,
    **_ADDED,
    "use_linear_projection": True,
    "cross_attention_dim": WIDTH_2,
    "projection_class_embeddings_input_dim": POOLED + 5 * 8,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}
VAE = {
    "_class_name": "AutoencoderKL",
    "block_out_channels": [8, 8, 8, 8],  # four levels: a factor of 8
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "scaling_factor": 0.5,
}
TEXT = {
    "model_type": "clip_text_model",
    "vocab_size": 49408,
    "hidden_size": WIDTH,
    "intermediate_size": 32,
    "projection_dim": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 49407,
}
OPEN_CLIP = {  # as SD 2 and the second encoder of SDXL are
    **TEXT,
    "hidden_size": WIDTH_2,
    "projection_dim": POOLED,
    "num_hidden_layers": 3,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
    "requires_safety_checker": False,
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
EASEL = {"native_size": NATIVE}


def make_sd1(
    folder: Path,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    scheduler: Mapping[str, Any] = SCHEDULER,
    easel: Mapping[str, Any] | None = EASEL,
    unet: Mapping[str, Any] = UNET,
) -> Path:
    """Write a tiny Stable Diffusion 1 as a diffusers folder and return the folder."""
    return write_folder(folder, unet, VAE, TEXT, seed, dtype, scheduler, easel)


def make_sd2(
    folder: Path,
    seed: int = 0,
    scheduler: Mapping[str, Any] = SCHEDULER,
    easel: Mapping[str, Any] | None = EASEL,
    unet: Mapping[str, Any] = SD2_UNET,
) -> Path:
    """Write a tiny Stable Diffusion 2 as a diffusers folder: its text encoder's last layer is left out, as there."""
    return write_folder(folder, unet, VAE, OPEN_CLIP, seed, scheduler=scheduler, easel=easel)


def make_sdxl(
    folder: Path, seed: int = 0, unet: Mapping[str, Any] = SDXL_UNET, scheduler: Mapping[str, Any] = SCHEDULER
) -> Path:
    """Write a tiny SDXL as a diffusers folder."""
    return write_folder(folder, unet, VAE, TEXT, seed, scheduler=scheduler, text_2=OPEN_CLIP)


def make_refiner(folder: Path, seed: int = 0) -> Path:
    """Write a tiny SDXL refiner as a diffusers folder: it has the second text encoder only."""
    return write_folder(folder, REFINER_UNET, VAE, None, seed, text_2=OPEN_CLIP)


def write_folder(
    folder: Path,
    unet: Mapping[str, Any],
    vae: Mapping[str, Any],
    text: Mapping[str, Any] | None,
    seed: int = 0,
    dtype: torch.dtype = torch.float16,
    scheduler: Mapping[str, Any] = SCHEDULER,
    easel: Mapping[str, Any] | None = EASEL,
    text_2: Mapping[str, Any] | None = None,
) -> Path:
    """Write a diffusers folder with random weights of the given configs."""
    torch.manual_seed(seed)
    write_part(folder / "unet", unet, "diffusion_pytorch_model", UNet2DConditionModel.from_config(dict(unet)), dtype)
    write_part(folder / "vae", vae, "diffusion_pytorch_model", AutoencoderKL.from_config(dict(vae)), dtype)
    for part, config, kind in (
        ("text_encoder", text, CLIPTextModel),
        ("text_encoder_2", text_2, CLIPTextModelWithProjection),
    ):
        if config is not None:
            encoder = kind(CLIPTextConfig(**config))
            for name, weight in encoder.named_parameters():
                if name.endswith("final_layer_norm.bias"):
                    nn.init.normal_(weight, 0.2, 0.2)  # a fresh one is 0: what it says would have no mean
            write_part(folder / part, config, "model", encoder, dtype)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    if easel is not None:
        write_json(folder / "easel.json", easel)
    write_json(folder / "model_index.json", INDEX)
    return folder


def write_part(folder: Path, config: Mapping[str, Any], name: str, module: nn.Module, dtype: torch.dtype) -> None:
    """Write one component: its config and its weights."""
    write_json(folder / "config.json", config)
    weights = {key: value.detach().to(dtype).contiguous() for key, value in module.state_dict().items()}
    save_file(weights, folder / f"{name}.safetensors", {"format": "pt"})


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(value)), encoding="utf-8")


def checkpoints(root: Path) -> Path:
    """Return the folder of checkpoints below the data folder `root`."""
    return root / "models" / "Stable-diffusion"


def engine_on(root: Path, *extensions: object, **settings: Any) -> Engine:
    """Return an engine on the models below `root`, with objects or modules as extensions "extension-0", …."""
    chosen = Settings(data_dir=root, device="cpu", **settings)
    plugins = make_plugins("engine", [name for room in ROOMS for name in folder_modules(room)], None)
    for number, extension in enumerate(extensions):
        plugins.manager.register(extension, f"extension-{number}")
    return Engine(chosen, plugins, Catalog(chosen))
