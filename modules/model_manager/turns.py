"""Weights that take turns on a device with little memory: each comes when it is used and goes when another needs room.

The originals stay in main memory, so that leaving costs nothing: what lies on the device is thrown away. Whoever
changes weights must do so while everything is at home, that is, outside of `Turns.working`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

Offload = Literal["none", "medvram", "lowvram"]
"""What is on the device as a whole: the model, one of its components at a time, or one block of them at a time."""

OFFLOADS: tuple[Offload, ...] = ("none", "medvram", "lowvram")  # from the fastest to what needs least room
LARGEST_BLOCK = 128 * 2**20  # bytes; what is larger comes in pieces, as far as it can be cut

Carry = Callable[[Tensor, torch.device], Tensor]
Place = tuple[nn.Module, str]  # a module, and the name of its parameter or buffer


@dataclass(eq=False)
class Unit:
    """What comes and goes together. `part` names the component it belongs to."""

    part: str
    modules: list[nn.Module]
    size: int = 0  # bytes
    home: dict[Place, Tensor] = field(default_factory=dict)  # the originals, while it is on the device

    def __post_init__(self) -> None:
        self.size = sum(_bytes(module) for module in self.modules)


class Turns:
    """Moves the components of one model to `device` as they are used.

    `room` bytes may stay there besides what is in use: with much of it little moves. `carry` copies a tensor.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        device: torch.device,
        offload: Literal["medvram", "lowvram"],
        room: int = 0,
        largest: int = LARGEST_BLOCK,
        carry: Carry | None = None,
    ) -> None:
        self._device = device
        self._room = room
        self._carry = carry or _carry
        self._there: list[Unit] = []  # the one used last at the end
        self._handles: list[RemovableHandle] = []
        most = math.inf if offload == "medvram" else largest
        self.units = [unit for name, module in parts.items() for unit in _units(name, module, most)]
        for unit in self.units:
            for module in unit.modules:
                for door in _doors(module):
                    self._handles.append(door.register_forward_pre_hook(partial(self._open, unit)))

    @property
    def largest(self) -> int:
        """The most bytes of weights that must be on the device at once."""
        return max((unit.size for unit in self.units), default=0)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let weights come and go until the `with` is left; then all are at home."""
        try:
            yield
        finally:
            self.rest()

    def rest(self) -> None:
        """Send everything home."""
        while self._there:
            self._leave(self._there[-1])

    def close(self) -> None:
        """Send everything home, and let nothing come any more."""
        self.rest()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _open(self, unit: Unit, module: nn.Module, arguments: Any) -> None:
        """Bring `unit`: one of its modules is about to be used."""
        if unit in self._there:
            return
        while self._there and sum(each.size for each in self._there) + unit.size > self._room:
            self._leave(self._departing(unit))
        for place in _places(unit.modules):
            tensor = _get(place)
            unit.home[place] = tensor
            _put(place, self._carry(tensor, self._device))
        self._there.append(unit)

    def _departing(self, coming: Unit) -> Unit:
        """Return who goes: of another component the one used longest ago, else of the same the one used last.

        Blocks are used in turn, again and again: the one used last is the one that is not needed for longest.
        """
        return next((each for each in self._there if each.part != coming.part), self._there[-1])

    def _leave(self, unit: Unit) -> None:
        self._there.remove(unit)
        for place, tensor in unit.home.items():
            _put(place, tensor)
        unit.home.clear()


def _units(part: str, module: nn.Module, most: float) -> Iterator[Unit]:
    """Cut a component into units of at most `most` bytes, as far as its modules allow.

    A list of modules is never called itself, and a module with weights of its own stays whole.
    """
    own = any(True for _ in module.parameters(recurse=False)) or any(True for _ in module.buffers(recurse=False))
    if not isinstance(module, nn.ModuleList | nn.ModuleDict) and (own or _bytes(module) <= most):
        if _bytes(module):
            yield Unit(part, [module])
        return
    for child in module.children():
        yield from _units(part, child, most)


def _doors(module: nn.Module) -> Iterator[nn.Module]:
    """Yield what is called when `module` is used: itself, and what a method other than `forward` may call of it."""
    yield module
    for child in module.children():
        yield from child.children() if isinstance(child, nn.ModuleList | nn.ModuleDict) else (child,)


def _places(modules: list[nn.Module]) -> Iterator[Place]:
    seen: set[int] = set()
    for whole in modules:
        for module in whole.modules():
            for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                if id(value) not in seen:  # tied weights come once
                    seen.add(id(value))
                    yield module, name


def _get(place: Place) -> Tensor:
    value: Tensor = getattr(*place)
    return value.data


def _put(place: Place, tensor: Tensor) -> None:
    value: Tensor = getattr(*place)
    with torch.inference_mode(tensor.is_inference()):
        value.data = tensor


def _carry(tensor: Tensor, device: torch.device) -> Tensor:
    with torch.inference_mode(tensor.is_inference()):
        return tensor.to(device, non_blocking=True)


def _bytes(module: nn.Module) -> int:
    return sum(each.nbytes for each in module.parameters()) + sum(each.nbytes for each in module.buffers())
