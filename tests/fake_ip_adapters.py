"""Tiny random IP-Adapters and image encoders, in the key layouts that such files are published in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.fake_checkpoints import State
from tests.fake_models import write_part

TOKENS = 4  # as every plain one has
PARTS = 64  # width of what a tiny image encoder says of parts: one head of attention
WHOLE = 12  # of what it says of a picture as a whole
EYE: Mapping[str, Any] = {
    "hidden_size": PARTS,
    "intermediate_size": 32,
    "projection_dim": WHOLE,
    "num_hidden_layers": 3,
    "num_attention_heads": 1,
    "num_channels": 3,
    "image_size": 32,
    "patch_size": 8,
    "hidden_act": "gelu",
}
OPEN_CLIP = {
    "pre_layrnorm": "ln_pre",
    "post_layernorm": "ln_post",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "encoder.layers.": "transformer.resblocks.",
    "embeddings.class_embedding": "class_embedding",
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.patch_embedding": "conv1",
    "vision_model.": "visual.",
}


def ip_adapter_state(kind: str, unet: UNet2DConditionModel, seed: int = 11) -> State:
    """Return an IP-Adapter ("plain", "full" or "plus") for a U-Net, in its own names, with random weights."""
    torch.manual_seed(seed)
    crossed = [name.removesuffix(".processor") for name in unet.attn_processors if ".attn2." in name]
    shapes = [unet.get_parameter(f"{name}.to_k.weight").shape for name in crossed]
    projection = {"plain": _plain, "full": _full, "plus": _plus}[kind](shapes[0][1])
    state = {f"image_proj.{key}": value for key, value in projection.items()}
    for place, shape in enumerate(shapes):
        state |= {f"ip_adapter.{2 * place + 1}.to_{name}_ip.weight": torch.randn(shape) * 0.5 for name in "kv"}
    return state


def write_nested(path: Path, state: State) -> Path:
    """Write an IP-Adapter as its authors did at first: torch's file of two dictionaries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(nested(state), path)
    return path


def nested(state: State) -> dict[str, State]:
    """Return the two dictionaries that an IP-Adapter's authors think of it as."""
    parts = ("image_proj", "ip_adapter")
    return {part: {key.removeprefix(f"{part}."): state[key] for key in state if key.startswith(part)} for part in parts}


def _plain(context: int) -> State:
    return _named("proj", nn.Linear(WHOLE, TOKENS * context)) | _norm("norm", context)


def _full(context: int) -> State:
    first, last = nn.Linear(PARTS, PARTS), nn.Linear(PARTS, context)
    return _named("proj.0", first) | _named("proj.2", last) | _norm("proj.3", context)


def _plus(context: int) -> State:
    width, heads = 24, 128  # two heads of 64
    state = {"latents": torch.randn(1, TOKENS, width)} | _named("proj_in", nn.Linear(PARTS, width))
    state |= _named("proj_out", nn.Linear(width, context)) | _norm("norm_out", context)
    sides = {"0.to_q": (heads, width), "0.to_kv": (2 * heads, width), "0.to_out": (width, heads)}
    sides |= {"1.1": (4 * width, width), "1.3": (width, 4 * width)}
    for layer in range(4):
        for place in ("0.norm1", "0.norm2", "1.0"):
            state |= _norm(f"layers.{layer}.{place}", width)
        state |= {f"layers.{layer}.{place}.weight": torch.randn(shape) * 0.2 for place, shape in sides.items()}
    return state


def _norm(place: str, width: int) -> State:
    return {f"{place}.weight": torch.rand(width) + 0.5, f"{place}.bias": torch.randn(width)}


def _named(place: str, layer: nn.Module) -> State:
    return {f"{place}.{key}": value for key, value in layer.state_dict().items()}


def make_image_encoder(seed: int = 12) -> CLIPVisionModelWithProjection:
    """Return a tiny image encoder of CLIP with random weights."""
    torch.manual_seed(seed)
    network = CLIPVisionModelWithProjection(CLIPVisionConfig(**EYE))
    for weight in network.parameters():
        nn.init.normal_(weight, 0, 0.3)
    return network.train(False)  # type: ignore[no-any-return]


def write_image_encoder(path: Path, network: CLIPVisionModelWithProjection, layout: str = "transformers") -> Path:
    """Write an image encoder as a file in transformers' names or OpenCLIP's, or as a folder where `path` has no end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = dict(network.state_dict())
    if not path.suffix:
        write_part(path, {"model_type": "clip_vision_model", **EYE}, "model", network, torch.float32)
    elif path.suffix == ".safetensors":
        save_file(open_clip(state) if layout == "open_clip" else state, path)
    else:
        torch.save(state, path)
    return path


def open_clip(state: Mapping[str, Tensor]) -> State:
    """Return the weights of an image encoder under OpenCLIP's names, with something of the text encoder beside them."""
    found: State = {"visual.proj": state["visual_projection.weight"].T.contiguous(), "logit_scale": torch.ones(1)}
    for key, value in state.items():
        if ".q_proj." in key:
            thirds = torch.cat([state[key.replace(".q_proj.", f".{each}_proj.")] for each in "qkv"])
            found[_open_clip_name(key).replace("self_attn.q_proj.", "attn.in_proj_")] = thirds
        elif key.startswith("vision_model.") and "k_proj" not in key and "v_proj" not in key:
            found[_open_clip_name(key)] = value
    return found


def _open_clip_name(key: str) -> str:
    for own, theirs in OPEN_CLIP.items():
        key = key.replace(own, theirs)
    return key
