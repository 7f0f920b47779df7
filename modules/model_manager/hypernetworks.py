"""Hypernetworks at work: what attention reads is changed on its way to keys and values, and then it is not any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modules.errors import WrongFamily
from modules.families.family import Model
from modules.model_manager.hypernetwork_file import HypernetworkFile, Layer, hypernetwork_family, read_hypernetwork
from modules.model_manager.tensors import read_tensor

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "relu": F.relu,
        "leakyrelu": F.leaky_relu,
        "elu": F.elu,
        "swish": F.hardswish,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "rrelu": F.rrelu,
        "hardtanh": F.hardtanh,
        "relu6": F.relu6,
        "hardsigmoid": F.hardsigmoid,
        "silu": F.silu,
        "mish": F.mish,
        "hardswish": F.hardswish,
        "celu": F.celu,
        "selu": F.selu,
        "gelu": F.gelu,
        "hardshrink": F.hardshrink,
        "logsigmoid": F.logsigmoid,
        "softplus": F.softplus,
        "softshrink": F.softshrink,
        "softsign": F.softsign,
        "tanhshrink": F.tanhshrink,
        "softmin": partial(F.softmin, dim=-1),
        "softmax": partial(F.softmax, dim=-1),
        "logsoftmax": partial(F.log_softmax, dim=-1),
    }
)


@dataclass(frozen=True)
class _Step:
    """One layer with its weights; `then` is what follows it."""

    linear: bool
    weight: Tensor
    bias: Tensor | None
    then: Activation | None

    def on(self, like: Tensor) -> _Step:
        """Return the step where `like` is, in the kind of number it is in."""
        return _Step(self.linear, self.weight.to(like), None if self.bias is None else self.bias.to(like), self.then)

    def __call__(self, x: Tensor) -> Tensor:
        if self.linear:
            x = F.linear(x, self.weight, self.bias)
        else:
            x = F.layer_norm(x, (x.shape[-1],), self.weight, self.bias)
        return x if self.then is None else self.then(x)


class Stack:
    """The layers of one width for keys or for values: x -> x + strength * layers(x)."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self._read = tuple(steps)
        self._placed = self._read

    def __call__(self, x: Tensor, strength: float) -> Tensor:
        """Return `x` (B, L, width) changed; the weights follow `x` to its device and stay there."""
        at = self._placed[0].weight
        if (at.device, at.dtype) != (x.device, x.dtype):
            self._placed = tuple(step.on(x) for step in self._read)
        changed = x
        for step in self._placed:
            changed = step(changed)
        return x + strength * changed


@dataclass(frozen=True)
class Hypernetwork:
    """A hypernetwork in memory: by width, its stack for keys and its stack for values."""

    name: str
    stacks: Mapping[int, tuple[Stack, Stack]]

    @property
    def family(self) -> str:
        """The family it is for; empty when that is not clear."""
        return hypernetwork_family(self.stacks)


def load_hypernetwork(path: Path) -> Hypernetwork:
    """Read the hypernetwork at `path`. Raises `BrokenFile`, or `UnsafeFile` for a file with code in it."""
    file = read_hypernetwork(path)
    stacks = {width: (_stack(file, keys), _stack(file, values)) for width, (keys, values) in file.stacks.items()}
    return Hypernetwork(path.stem, MappingProxyType(stacks))


def _stack(file: HypernetworkFile, layers: Sequence[Layer]) -> Stack:
    last = max(place for place, layer in enumerate(layers) if layer.linear)
    steps = []
    for place, layer in enumerate(layers):
        weight, bias = read_tensor(layer.weight), None if layer.bias is None else read_tensor(layer.bias)
        active = layer.linear and (place != last or file.activate_last)
        steps.append(_Step(layer.linear, weight, bias, ACTIVATIONS.get(file.activation) if active else None))
    return Stack(steps)


@contextmanager
def applied(model: Model, wanted: Sequence[tuple[Hypernetwork, float]]) -> Iterator[None]:
    """Let `model` read through these hypernetworks, each at its strength, one after the other, while the `with` lasts.

    Weights are not touched: leaving takes hooks away. Strength 0 hooks nothing. Raises `WrongFamily` when one was made
    for models that read words of another width.
    """
    used = [(network, strength) for network, strength in wanted if strength]
    unet = model.parts["unet"]
    places = [module for module in unet.modules() if _reads(module)]
    for network, _ in used:
        _check(network, places, model)
    with ExitStack() as undo:
        for network, strength in used:
            for place in places:
                for name, branch in (("to_k", 0), ("to_v", 1)):
                    projection: Any = getattr(place, name)
                    if stacks := network.stacks.get(projection.in_features):
                        change = partial(_change, stacks[branch], strength)
                        undo.callback(projection.register_forward_pre_hook(change).remove)
        yield


def _reads(module: nn.Module) -> bool:
    return all(isinstance(getattr(module, name, None), nn.Linear) for name in ("to_k", "to_v"))


def _change(stack: Stack, strength: float, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return stack(given[0], strength), *given[1:]


def _check(network: Hypernetwork, places: Sequence[Any], model: Model) -> None:
    """Refuse a hypernetwork with a stack of a width that nothing here reads, unless it has one for the words too."""
    widths = {place.to_k.in_features for place in places}
    words = {place.to_k.in_features for place in places if place.to_k.in_features != place.to_q.in_features}
    strange = set(network.stacks) - widths
    if strange and not words & set(network.stacks):
        made_for = network.family or ", ".join(str(width) for width in sorted(strange))
        raise WrongFamily("hypernetwork_family", name=network.name, family=made_for, wanted=model.family.name)
