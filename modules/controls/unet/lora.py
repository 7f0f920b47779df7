"""A Control-LoRA in memory, and the ring of one unit around `predict`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers.models.controlnets.controlnet import ControlNetModel
from torch import Tensor, nn

from modules.controls.control import Guide, Ring
from modules.controls.unet.controlnet import LoadedControlNet
from modules.controls.unet.networks import unet_of
from modules.errors import BrokenFile
from modules.families.family import Entry, Header, Model
from modules.families.unet.making import made, suit
from modules.families.unet.model import UnetModel
from modules.families.unet.unfilled import unfilled
from modules.families.unet.weights import DTYPES, Mapped

PART = "control"
HINT = "controlnet_cond_embedding"


class _LowRank(nn.Module):
    """A layer of the U-Net with a change of low rank: W x + up(down(x)). W is read from the U-Net at each call."""

    def __init__(self, layer: nn.Module, up: Tensor, down: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            raise ValueError(f"{type(layer).__name__} has no weight to change")
        self._layer = (layer,)  # in a tuple: it stays the U-Net's
        rank = up.flatten(1).shape[1]
        self._up = up.reshape(-1, rank, *[1] * (layer.weight.ndim - 2))
        self._down = down.reshape(rank, *layer.weight.shape[1:])
        if self._up.shape[0] != layer.weight.shape[0]:
            raise ValueError(f"{list(up.shape)} does not fit {list(layer.weight.shape)}")
        self._bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """Return what the changed layer makes of `x`."""
        layer = self._layer[0]
        weight = layer.weight.to(x)
        bias = self._bias if self._bias is not None else None if layer.bias is None else layer.bias.to(x)
        if isinstance(layer, nn.Linear):
            return F.linear(x, weight, bias) + F.linear(F.linear(x, self._down), self._up)
        stride, padding = layer.stride, layer.padding
        if layer.padding_mode != "zeros":  # the U-Net looks beyond its borders, and so does this
            x, padding = F.pad(x, layer._reversed_padding_repeated_twice, mode=layer.padding_mode), (0, 0)
        narrow = F.conv2d(x, self._down, None, stride, padding)
        return F.conv2d(x, weight, bias, stride, padding) + F.conv2d(narrow, self._up)


class LoadedControlLora:
    """The tensors of the file. The rest of the network is the U-Net's, LoRAs and all, and is not kept with them."""

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self._path = path
        self._tensors = tensors
        self.size = sum(each.nbytes for each in tensors.values())

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit; raise `BrokenFile` when the file and the U-Net do not make a ControlNet."""
        network = self._put_together(unet_of(model, self._path.name))
        return LoadedControlNet(network, pooled=False, turned=False).ring(model, guide)

    def _put_together(self, model: UnetModel) -> ControlNetModel:
        header = Header(self._path, {}, {PART: self._config(model)})
        with unfilled():
            network: ControlNetModel = made(header, PART, ControlNetModel.from_config)
        suit(network, model.device, model.dtype)
        unet = dict(model.unet.named_modules())
        for name, module in list(network.named_modules()):
            up, down = self._tensors.get(f"{name}.up"), self._tensors.get(f"{name}.down")
            if up is None or down is None:
                self._fill(name, module, unet.get(name))
                continue
            owner, _, place = name.rpartition(".")
            try:
                changed = _LowRank(unet[name], up, down, self._tensors.get(f"{name}.bias"))
            except (KeyError, ValueError, RuntimeError) as error:
                raise BrokenFile("model_config", file=str(self._path), part=name, reason=str(error)) from error
            setattr(network.get_submodule(owner), place, changed)
        return network.eval().requires_grad_(False)

    def _fill(self, name: str, module: nn.Module, original: nn.Module | None) -> None:
        """Give a module its own weights: those of the file, or else those of the U-Net's module of that name."""
        for kind, empty in list(module.named_parameters(recurse=False)):
            found = self._tensors.get(f"{name}.{kind}")
            if found is None:
                found = getattr(original, kind, None)
            if found is None:
                raise BrokenFile("weights_missing", file=str(self._path), count=1, keys=f"{name}.{kind}")
            if found.shape != empty.shape:
                shapes = {"shape": list(found.shape), "wanted": list(empty.shape)}
                raise BrokenFile("weights_shape", file=str(self._path), tensor=f"{name}.{kind}", **shapes)
            setattr(module, kind, nn.Parameter(found.data, requires_grad=False))

    def _config(self, model: UnetModel) -> dict[str, object]:
        """Return the U-Net's config with how the hint is read."""
        known = inspect.signature(ControlNetModel.__init__).parameters
        config = {name: value for name, value in model.unet.config.items() if name in known}
        reads = [
            self._tensors.get(f"{HINT}.{name}.weight")
            for name in ("conv_in", *(f"blocks.{n}" for n in range(1, 99, 2)))
        ]
        widths = [each.shape[0] for each in reads if each is not None]
        channels = 3 if reads[0] is None else reads[0].shape[1]
        return {**config, "conditioning_channels": channels, "conditioning_embedding_out_channels": widths}


def load_control_lora(path: Path, entries: Mapping[str, Entry], model: Model) -> LoadedControlLora:
    """Load the tensors of a Control-LoRA (in diffusers' names) in the dtype and onto the device of `model`.

    Raises `BrokenFile` for tensors of a type that is none of weights.
    """
    maps = {file: Mapped(file) for file in {entry.file for entry in entries.values()}}
    tensors = {}
    with torch.inference_mode(False):
        for key, entry in entries.items():
            if entry.dtype not in DTYPES or not math.prod(entry.shape):
                raise BrokenFile("weights_dtype", file=str(path), tensor=key, dtype=entry.dtype)
            tensors[key] = maps[entry.file].tensor(entry).to(model.device, model.dtype)
    return LoadedControlLora(path, tensors)
