"""Tiny random checkpoints as single files, in the key layouts of the original code: every kind there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.families.unet.layout_blocks import blocks_of_diffusers
from modules.families.unet.layout_names import Pair, clip_pairs, open_clip_pairs, unet_pairs, vae_pairs
from modules.families.unet.layout_places import places
from tests.fake_models import EASEL, NATIVE, TEXT

State = dict[str, Tensor]

WIDTH, WIDTH_2, POOLED = 16, 24, 40  # of the two text encoders, and of the second one's projection
TIME = 256  # of each number about the picture that SDXL is told
LATENT = 4
CLIP_LAYERS, OPEN_LAYERS = 2, 3
V_YAML = "model:\n  params:\n    parameterization: v\n    linear_start: 0.00085\n    linear_end: 0.012\n"


@dataclass(frozen=True)
class Kind:
    """What a kind of checkpoint is made of; `numbers` says how many numbers about the picture SDXL is told."""

    unet: Mapping[str, Any]
    texts: tuple[str, ...]  # "clip" and "open", in the order of the file
    channels: int = LATENT
    numbers: int = 0
    yaml: str = ""


def _cross(attention: Iterable[int]) -> dict[str, Any]:
    down = ["CrossAttnDownBlock2D" if each else "DownBlock2D" for each in attention]
    up = ["CrossAttnUpBlock2D" if "Cross" in each else "UpBlock2D" for each in reversed(down)]
    return {"down_block_types": down, "up_block_types": up}


SD1_UNET = {"block_out_channels": [32, 32, 64, 64], "attention_head_dim": 8, **_cross([1, 1, 1, 0])}
SD2_UNET = {**SD1_UNET, "attention_head_dim": 1, "use_linear_projection": True}
SDXL_UNET = {
    "block_out_channels": [32, 64, 64],
    "attention_head_dim": 1,
    "use_linear_projection": True,
    "transformer_layers_per_block": [1, 1, 2],
    **_cross([0, 1, 1]),
}
REFINER_UNET = {**SD2_UNET, "transformer_layers_per_block": 2, **_cross([0, 1, 1, 0])}
KINDS = MappingProxyType(
    {
        "sd1": Kind(SD1_UNET, ("clip",)),
        "sd1-inpaint": Kind(SD1_UNET, ("clip",), channels=9),
        "sd1-pix2pix": Kind(SD1_UNET, ("clip",), channels=8),
        "sd2": Kind(SD2_UNET, ("open",)),
        "sd2-v": Kind(SD2_UNET, ("open",), yaml=V_YAML),
        "sd2-inpaint": Kind(SD2_UNET, ("open",), channels=9),
        "sdxl": Kind(SDXL_UNET, ("clip", "open"), numbers=6),
        "sdxl-inpaint": Kind(SDXL_UNET, ("clip", "open"), channels=9, numbers=6),
        "refiner": Kind(REFINER_UNET, ("open",), numbers=5),
    }
)
VAE = {
    "block_out_channels": [8, 8, 16, 16],
    "norm_num_groups": 8,
    "layers_per_block": 2,
    "latent_channels": LATENT,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


@dataclass(frozen=True)
class Networks:
    """The networks of one tiny checkpoint, with random weights."""

    unet: nn.Module
    vae: nn.Module
    texts: tuple[tuple[str, nn.Module], ...] = field(default=())  # (layout, module)


def write_single(
    path: Path,
    kind: str,
    seed: int = 0,
    dtype: torch.dtype | str = torch.float16,
    *,
    ema: bool = False,
    vae: bool = True,
    text: bool = True,
    ckpt: bool = False,
    markers: Iterable[str] = (),
    metadata: Mapping[str, str] | None = None,
    easel: Mapping[str, Any] | None = EASEL,
    widths: tuple[int, int] = (WIDTH, WIDTH_2),
) -> Path:
    """Write a tiny checkpoint of `kind` (a key of `KINDS`) and return its path.

    `dtype`: "mixed" is fp16 with an fp32 autoencoder and bf16 text; of fp8 only matrices are. `ckpt`: by torch.save as
    trainers do. `widths`: of the first and second text encoder. "sd2-v" has its YAML beside it. `easel=None` leaves out
    what says that its pictures are 64 pixels wide.
    """
    networks = make_networks(kind, seed, widths)
    state = original_state(kind, networks, vae, text)
    state = {key: _cast(key, value, dtype) for key, value in state.items()}
    if ema:
        prefix = "model.diffusion_model."
        inner = {key: value for key, value in state.items() if key.startswith(prefix)}
        state |= {
            f"model_ema.{key.removeprefix('model.').replace('.', '')}": torch.zeros_like(value)
            for key, value in inner.items()
        }
        state |= {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(1)}
    state |= {marker: torch.tensor([]) for marker in markers}
    said = dict(metadata or {}) | ({"easel": json.dumps(dict(easel))} if easel is not None else {})
    return save_single(path, state, said, ckpt, KINDS[kind].yaml)


def save_single(path: Path, state: State, said: Mapping[str, str], ckpt: bool = False, yaml: str = "") -> Path:
    """Write a state as .safetensors, or as a trainer's checkpoint, with a YAML beside it where there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if yaml:
        path.with_suffix(".yaml").write_text(yaml, encoding="utf-8")
    if ckpt:
        torch.save({"epoch": 0, "global_step": 470000, "state_dict": state, **said}, path)
    else:
        save_file({key: value.contiguous().clone() for key, value in state.items()}, path, {"format": "pt", **said})
    return path


def make_networks(kind: str, seed: int = 0, widths: tuple[int, int] = (WIDTH, WIDTH_2)) -> Networks:
    """Return diffusers' networks for a tiny checkpoint of `kind`, with random weights."""
    torch.manual_seed(seed)
    about = KINDS[kind]
    context = sum(width for width, name in zip(widths, ("clip", "open"), strict=True) if name in about.texts)
    added = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": TIME,
        "projection_class_embeddings_input_dim": about.numbers * TIME + POOLED,
    }
    unet = UNet2DConditionModel.from_config(
        {
            "sample_size": NATIVE // 8,
            "in_channels": about.channels,
            "out_channels": LATENT,
            "layers_per_block": 2,
            "cross_attention_dim": context,
            **about.unet,
            **(added if about.numbers else {}),
        }
    )
    return Networks(
        unet, AutoencoderKL.from_config(VAE), tuple((name, _text(kind, name, widths)) for name in about.texts)
    )


def original_state(kind: str, networks: Networks, vae: bool = True, text: bool = True) -> State:
    """Return the networks' weights under the names of the original code, with what else such files hold."""
    weights = networks.unet.state_dict()
    state = renamed(weights, unet_pairs(blocks_of_diffusers(weights)), "model.diffusion_model.")
    if vae:
        state |= renamed(networks.vae.state_dict(), vae_pairs(4, 2), "first_stage_model.")
    for number, (name, module) in enumerate(networks.texts if text else ()):
        stage = f"conditioner.embedders.{number}" if KINDS[kind].numbers else "cond_stage_model"
        state |= _text_state(name, module, stage)
    if not KINDS[kind].numbers:  # what no network reads
        state |= {"betas": torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, "model_ema.decay": torch.tensor(0.9)}
    return state


def renamed(weights: Mapping[str, Tensor], pairs: Iterable[Pair], prefix: str) -> State:
    """Return diffusers' weights as the original layout has them; none may be left over."""
    state: State = {}
    used = set()
    for own, place in places(pairs):
        if (value := weights.get(own)) is None:
            continue
        used.add(own)
        if place.turned:
            value = value.T
        if place.matrix and value.ndim == 2:
            value = value[:, :, None, None]
        key = prefix + place.key
        state[key] = torch.cat([state[key], value]) if place.third else value
    assert used == weights.keys(), sorted(weights.keys() - used)[:5]
    return state


def _text(kind: str, name: str, widths: tuple[int, int]) -> nn.Module:
    width = widths[0] if name == "clip" else widths[1]
    about: dict[str, Any] = {**TEXT, "hidden_size": width, "num_attention_heads": 1}
    if name == "open":
        about |= {"hidden_act": "gelu", "num_hidden_layers": OPEN_LAYERS, "projection_dim": POOLED}
    projected = name == "open" and KINDS[kind].numbers
    module = (CLIPTextModelWithProjection if projected else CLIPTextModel)(CLIPTextConfig(**about))
    for key, value in module.named_parameters():
        if key.endswith("final_layer_norm.bias"):
            nn.init.normal_(value, 0.2, 0.2)  # a fresh one is 0: what it says would have no mean
    return module


def _text_state(name: str, module: nn.Module, stage: str) -> State:
    weights = {
        key if key.startswith(("text_model.", "text_projection.")) else f"text_model.{key}": value
        for key, value in module.state_dict().items()
    }
    weights = {key: value for key, value in weights.items() if not key.endswith("position_ids")}
    if name == "clip":
        table = {f"{stage}.transformer.text_model.embeddings.position_ids": torch.arange(77)[None]}
        return table | renamed(weights, clip_pairs(CLIP_LAYERS, "text_model."), f"{stage}.transformer.")
    projected = "text_projection.weight" in weights
    state = renamed(weights, open_clip_pairs(OPEN_LAYERS, projected), f"{stage}.model.")
    width = weights["text_model.final_layer_norm.weight"].shape[0]
    spare = {} if projected else {f"{stage}.model.text_projection": torch.zeros(width, POOLED)}
    return state | spare | {f"{stage}.model.logit_scale": torch.tensor(4.6)}


def _cast(key: str, value: Tensor, dtype: torch.dtype | str) -> Tensor:
    if not value.is_floating_point():
        return value
    if isinstance(dtype, torch.dtype):
        small = dtype.itemsize == 1 and value.ndim < 2
        return value.to(torch.float16 if small else dtype)
    assert dtype == "mixed"
    if key.startswith("first_stage_model."):
        return value
    return value.to(torch.float16 if key.startswith("model.") else torch.bfloat16)
