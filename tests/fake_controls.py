"""Tiny random controls, in the key layouts that such files are published in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from modules.families.unet.layout_blocks import blocks_of_diffusers
from modules.families.unet.layout_names import Pair, unet_names, unet_pairs
from modules.families.unet.model import UnetModel
from tests.fake_checkpoints import State, renamed
from tests.fake_ip_adapters import ip_adapter_state
from tests.fake_models import UNET, write_part

# What the U-Nets of full-size checkpoints say of themselves, as far as controls ask.
FULL_SD1 = {"cross_attention_dim": 768}
FULL_SDXL = {
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "transformer_layers_per_block": [1, 2, 10],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
}
HINT_WIDTHS = (4, 8, 8, 16)


def controls_folder(root: Path) -> Path:
    """Return the folder of ControlNets below the data folder `root`."""
    return root / "models" / "ControlNet"


def make_controlnet(unet: Mapping[str, Any] = UNET, seed: int = 5) -> ControlNetModel:
    """Return a ControlNet for U-Nets of that config, with random weights that all say something."""
    torch.manual_seed(seed)
    original = UNet2DConditionModel.from_config(dict(unet))
    network = ControlNetModel.from_unet(original, conditioning_embedding_out_channels=HINT_WIDTHS)
    stirred(network)
    return network.eval()


def stirred(network: nn.Module, deviation: float = 0.2) -> None:
    """Draw the weights that begin as zero: a fresh control says nothing at all."""
    with torch.no_grad():
        for weight in network.parameters():
            if not bool(weight.any()):
                nn.init.normal_(weight, 0, deviation)


def write_control_folder(folder: Path, network: ControlNetModel, dtype: torch.dtype = torch.float32) -> Path:
    """Write a ControlNet as diffusers does: a folder with its config and its weights."""
    config = {**dict(network.config), "_class_name": "ControlNetModel", "_diffusers_version": "0.30.0"}
    config = {name: value for name, value in config.items() if name != "_use_default_values"}
    write_part(folder, config, "diffusion_pytorch_model", network, dtype)
    return folder


def write_control_file(path: Path, network: ControlNetModel, layout: str = "diffusers") -> Path:
    """Write a ControlNet as one file: "diffusers" names, "cldm" names, or those behind "control_model."."""
    state = dict(network.state_dict())
    if layout != "diffusers":
        state = renamed(state, control_pairs(state), "control_model." if layout == "control_model" else "")
    return write_state(path, state)


def write_state(path: Path, state: Mapping[str, Tensor]) -> Path:
    """Write tensors as .safetensors, or as torch's own file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".pth":
        torch.save(dict(state), path)
    else:
        save_file({key: value.contiguous().clone() for key, value in state.items()}, path)
    return path


def control_pairs(state: State) -> list[Pair]:
    """Return the names of a ControlNet in diffusers and in the original code."""
    hints = sum(key.startswith("controlnet_cond_embedding.blocks.") and key.endswith("weight") for key in state)
    zeros = sum(key.startswith("controlnet_down_blocks.") and key.endswith("weight") for key in state)
    places = ["conv_in", *(f"blocks.{n}" for n in range(hints)), "conv_out"]
    return [
        *unet_pairs(blocks_of_diffusers(state)),
        *((f"controlnet_cond_embedding.{own}", f"input_hint_block.{2 * n}") for n, own in enumerate(places)),
        *((f"controlnet_down_blocks.{n}", f"zero_convs.{n}.0") for n in range(zeros)),
        ("controlnet_mid_block", "middle_block_out.0"),
    ]


def make_adapter(kind: str, channels: list[int], seed: int = 6, colours: int = 3) -> T2IAdapter:
    """Return a T2I-Adapter of a kind ("full_adapter", "full_adapter_xl", "light_adapter") with random weights."""
    torch.manual_seed(seed)
    factor = 16 if kind == "full_adapter_xl" else 8
    network = T2IAdapter(colours, channels, 2, factor, kind)
    return network.eval()


def adapter_state(network: T2IAdapter) -> State:
    """Return an adapter's weights under the names of the original code."""
    state: State = {}
    for key, value in network.state_dict().items():
        place = key.removeprefix("adapter.").split(".")
        if network.config.adapter_type == "light_adapter":
            place[2:3] = ["body"] if place[2] == "resnets" else place[2:3]
        elif place[0] == "body" and place[2] == "resnets":
            place[1:4] = [str(2 * int(place[1]) + int(place[3]))]
        elif place[0] == "body":
            place[1] = str(2 * int(place[1]))
        state[".".join(place)] = value
    return state


def make_union(unet: Mapping[str, Any], seed: int = 7) -> ControlNetUnionModel:
    """Return a ControlNet Union for U-Nets of that config, with random weights that all say something."""
    torch.manual_seed(seed)
    width = unet["block_out_channels"][0]
    names = ("in_channels", "down_block_types", "block_out_channels", "layers_per_block", "cross_attention_dim")
    more = ("attention_head_dim", "norm_num_groups", "use_linear_projection", "addition_embed_type")
    sized = ("addition_time_embed_dim", "projection_class_embeddings_input_dim")
    own = {name: unet[name] for name in (*names, *more, *sized) if name in unet}
    trans = {"num_trans_channel": width, "num_proj_channel": width}
    network = ControlNetUnionModel(**own, conditioning_embedding_out_channels=HINT_WIDTHS, **trans)
    stirred(network)
    return network.eval()


def control_lora_state(network: ControlNetModel, unet: nn.Module, rank: int = 3, seed: int = 9) -> tuple[State, State]:
    """Return a Control-LoRA in its own names, and the weights of the whole ControlNet it makes with `unet`."""
    random = torch.Generator().manual_seed(seed)
    whole, own = dict(network.state_dict()), dict[str, Tensor]()
    originals = unet.state_dict()
    for key, value in list(whole.items()):
        module, _, kind = key.rpartition(".")
        if key not in originals:
            own[key] = value
        elif kind == "weight" and value.ndim in (2, 4):
            up = torch.randn(value.shape[0], rank, *[1] * (value.ndim - 2), generator=random) * 0.1
            down = torch.randn(rank, *value.shape[1:], generator=random) * 0.1
            own |= {f"{module}.up": up, f"{module}.down": down}
            whole[key] = originals[key] + (up.flatten(1) @ down.flatten(1)).reshape(value.shape)
        elif "norm" in module:
            own[key] = whole[key] = originals[key] + 0.1  # some come whole,
        else:
            whole[key] = originals[key]  # and some are the U-Net's
    names = dict(control_pairs(whole))
    state = {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in own.items()}
    return state | {"lora_controlnet": torch.tensor([])}, whole


def lllite_state(unet: UNet2DConditionModel, seed: int = 13) -> State:
    """Return a ControlNet-LLLite for the self-attentions' three inputs and the cross-attentions' queries of a U-Net."""
    torch.manual_seed(seed)
    state: State = {}
    hint, rank, levels = 6, 5, len(unet.down_blocks)
    for own, theirs in unet_names(unet.config).items():
        if not own.endswith((".attn1.to_q", ".attn1.to_k", ".attn1.to_v", ".attn2.to_q")) or "mid_block" in own:
            continue
        width = unet.get_parameter(f"{own}.weight").shape[1]
        level = int(own.split(".")[1]) if own.startswith("down") else levels - 1 - int(own.split(".")[1])
        step = 2 * 2**level  # pixels that the second convolution makes one of, after the first one's four
        parts = {
            "conditioning1.0": nn.Conv2d(3, hint // 2, 4, 4),
            "conditioning1.2": nn.Conv2d(hint // 2, hint, step, step),
            "down.0": nn.Linear(width, rank),
            "mid.0": nn.Linear(rank + hint, rank),
            "up.0": nn.Linear(rank, width),
        }
        for part, made in parts.items():
            prefix = f"lllite_unet_{theirs.replace('.', '_')}.{part}"
            state |= {f"{prefix}.{key}": value for key, value in made.state_dict().items()}
    return state


def write_any_control(kind: str, folder: Path, model: UnetModel) -> Path | None:
    """Write a file of that kind of control for a tiny Stable Diffusion 1 and return where; None: it needs none."""
    path = folder / f"{kind}.safetensors"
    match kind:
        case "ControlNet":
            return write_control_file(path, make_controlnet())
        case "T2I-Adapter":
            return write_state(path, adapter_state(make_adapter("full_adapter", [32, 64])))
        case "Control-LoRA":
            return write_state(path, control_lora_state(make_controlnet(), model.unet)[0])
        case "ControlNet Union":
            sized = {"addition_embed_type": None, "addition_time_embed_dim": 8}
            return write_state(path, make_union({**UNET, **sized}).state_dict())
        case "IP-Adapter":
            return write_state(path, ip_adapter_state("plain", model.unet))
        case "ControlNet-LLLite":
            return write_state(path, lllite_state(model.unet))
        case "Reference":
            return None
    raise ValueError(f"the tests need to know how a file of {kind} looks")
