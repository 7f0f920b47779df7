"""Tiny random controls, in the key layouts that such files are published in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from modules.families.unet.layout_blocks import blocks_of_diffusers
from modules.families.unet.layout_names import Pair, unet_pairs
from tests.fake_checkpoints import State, renamed
from tests.fake_models import UNET, write_part

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
