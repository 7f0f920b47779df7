"""A ControlNet-LLLite in memory, and the ring of one unit around `predict`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modules.controls import lllite_layout as layout
from modules.controls.control import Guide, Predict, Ring
from modules.controls.unet.hooked import acting_rows, hooked, layer_weights, place_of
from modules.controls.unet.networks import unet_of
from modules.errors import BrokenFile
from modules.families.family import Conditioning, Header, Model
from modules.families.unet.thrift import wholly
from modules.families.unet.weights import DTYPES, Mapped

Tensors = Mapping[str, Tensor]


class LoadedLLLite:
    """The small networks by the name of their layer, which is the U-Net's."""

    def __init__(self, name: str, networks: Mapping[str, Tensors]) -> None:
        self._name = name
        self._networks = networks
        self.size = sum(each.nbytes for network in networks.values() for each in network.values())

    def ring(self, model: Model, guide: Guide) -> Ring:
        """Return the ring of one unit; raise `BrokenFile` when a layer is not there, or of another width."""
        network = unet_of(model, self._name)
        linears = {name: self._linear(network.unet, name) for name in self._networks}
        weights = layer_weights(list(linears), guide)
        shown = (guide.hint * 2 - 1).to(model.device, model.dtype)
        read = {name: _read(own, shown) for name, own in self._networks.items()}

        def ring(predict: Predict) -> Predict:
            def controlled(x: Tensor, sigma: float, conditioning: Conditioning) -> Tensor:
                acting = acting_rows(conditioning, guide)
                height, width = x.shape[2:]
                changed = []
                for (name, linear), weight in zip(linears.items(), weights, strict=True):
                    strength = torch.full((1, 1, 1), weight, device=x.device)
                    if guide.mask is not None:
                        strength = strength * place_of(guide.mask, read[name].shape[1], height, width)
                    strength = strength if acting is None else strength * acting
                    changed.append(_Changed(linear, self._networks[name], read[name], strength))
                with hooked(changed):
                    return predict(x, sigma, wholly(conditioning))

            return controlled

        return ring

    def _linear(self, unet: nn.Module, name: str) -> nn.Linear:
        """Return the layer of that name."""
        try:
            layer = unet.get_submodule(name)
        except AttributeError as error:
            raise BrokenFile("model_config", file=self._name, part=name, reason=str(error)) from error
        width = self._networks[name]["down.0.weight"].shape[1]
        if not isinstance(layer, nn.Linear) or layer.in_features != width:
            raise BrokenFile("model_config", file=self._name, part=name, reason=f"{width}: {layer}")
        return layer


class _Changed:
    """A layer into which x + up(mid([hint, down(x)])) goes instead of x."""

    def __init__(self, layer: nn.Linear, own: Tensors, read: Tensor, strength: Tensor) -> None:
        self._layer = layer
        self._own = own
        self._hint = read
        self._strength = strength

    def attach(self) -> Iterator[RemovableHandle]:
        """Change what goes in."""
        yield self._layer.register_forward_pre_hook(self._entering)

    def _entering(self, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        rows: Tensor = given[0]
        count = self._hint.shape[1]
        # Self-attention may look at another picture beside its own (Reference): what the hint is not of stays.
        own, other = rows[:, :count], rows[:, count:]
        changed = own + self._strength.to(own) * self._said(own)
        return (torch.cat([changed, other], dim=1) if other.shape[1] else changed, *given[1:])

    def _said(self, rows: Tensor) -> Tensor:
        down = F.relu(_linear(self._own, "down.0", rows))
        both = torch.cat([self._hint.expand(len(rows), -1, -1), down], dim=2)
        return _linear(self._own, "up.0", F.relu(_linear(self._own, "mid.0", both)))


def load_lllite(header: Header, model: Model) -> LoadedLLLite:
    """Load a ControlNet-LLLite in the dtype and onto the device of `model`.

    Raises `BrokenFile` for tensors that are none of weights, and for layers that the U-Net has not.
    """
    names = layout.layers(unet_of(model, header.path.name).unet.config)
    maps = {file: Mapped(file) for file in {each.file for each in header.entries.values()}}
    networks: dict[str, dict[str, Tensor]] = {}
    with torch.inference_mode(False):
        for theirs, entries in layout.modules(header).items():
            if theirs not in names:
                raise BrokenFile("weights_unknown", file=header.path.name, count=1, keys=theirs)
            own = networks.setdefault(names[theirs], {})
            for key, entry in entries.items():
                sides = 4 if key.startswith("conditioning1") else 2
                whole = len(entry.shape) == (sides if key.endswith("weight") else 1)
                if entry.dtype not in DTYPES or not whole or not math.prod(entry.shape):
                    tensor = f"{theirs}.{key} {list(entry.shape)}"
                    raise BrokenFile("weights_dtype", file=header.path.name, tensor=tensor, dtype=entry.dtype)
                own[key] = maps[entry.file].tensor(entry).to(model.device, model.dtype)
    return LoadedLLLite(header.path.name, networks)


def _read(own: Tensors, shown: Tensor) -> Tensor:
    """Return (1, L, C) of what a network reads in the hint (1, 3, H, W; -1..1), one row for each token of its layer.

    Its convolutions step as far as they are wide. A hint that is no multiple of that is drawn out at its edge, as a
    U-Net draws out what it makes smaller.
    """
    places = sorted({int(key.split(".")[1]) for key in own if key.startswith("conditioning1.")})
    steps = [own[f"conditioning1.{place}.weight"].shape[-1] for place in places]
    cell = math.prod(steps)
    height, width = shown.shape[2:]
    found = F.pad(shown, (0, -width % cell, 0, -height % cell), mode="replicate")
    for number, (place, step) in enumerate(zip(places, steps, strict=True)):
        weight, bias = own[f"conditioning1.{place}.weight"], own.get(f"conditioning1.{place}.bias")
        found = F.conv2d(found if not number else F.relu(found), weight, bias, stride=step)
    return found.flatten(2).transpose(1, 2)


def _linear(own: Tensors, name: str, rows: Tensor) -> Tensor:
    return F.linear(rows, own[f"{name}.weight"], own[f"{name}.bias"])
