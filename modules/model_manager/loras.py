"""LoRAs on a loaded model: `with loras.applied(model, wanted)`, and the weights are as before when it is left.

A patched weight is a tensor of its own that takes the parameter's place; leaving puts the original back, the very same
tensor, so that nothing is rounded and nothing copied. What was patched is kept aside until another set is wanted or the
model goes: the same set again is an exchange of pointers. A step costs what it costs without (engine.md, 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from modules.errors import WrongFamily
from modules.families.family import Model
from modules.model_manager.embeddings import Embedding, embedding_of
from modules.model_manager.lora_file import LoraFile, Stamp, read_lora, stamp_of_file
from modules.model_manager.lora_patch import Change, patch_bias, patch_weight
from modules.model_manager.lora_room import make_room
from modules.model_manager.lora_targets import Targets
from modules.model_manager.memory import memory
from modules.model_manager.model_file import ModelFile

PATCHES = MappingProxyType({"weight": patch_weight, "bias": patch_bias})
BIASES = frozenset({"diff_b", "b_norm", "up_bias"})
SCALES = frozenset({"alpha", "scale"})  # say nothing by themselves
Place = tuple[nn.Module, str]  # a module, and "weight" or "bias"


@dataclass(frozen=True)
class Wanted:
    """A LoRA and how strongly: `te` on text encoders, `unet` on the U-Net; `dyn` takes the first ranks only."""

    file: ModelFile
    te: float = 1.0
    unet: float = 1.0
    dyn: int | None = None


@dataclass(frozen=True)
class Misfit:
    """A LoRA of which `count` of `total` layers have no place in the model, or another shape."""

    name: str
    count: int
    total: int


@dataclass(frozen=True)
class Applied:
    """What came of it: the learned words that were bundled, and which LoRAs fit in part only."""

    bundled: Mapping[str, Embedding] = field(default_factory=dict)
    misfits: tuple[Misfit, ...] = ()


Key = tuple[tuple[Stamp, float, float, int | None], ...]


@dataclass
class _Kept:
    """What belongs to one model: its modules by name, and the last set that was applied to it."""

    targets: Targets
    key: Key = ()
    patched: dict[Place, Tensor] = field(default_factory=dict)
    applied: Applied = field(default_factory=Applied)
    busy: bool = False


def room(device: torch.device) -> float:
    """Return how many bytes may be put on `device`. Main memory is all there is: nothing could wait elsewhere."""
    return math.inf if device.type == "cpu" else memory(device)[0]


class Loras:
    """Applies LoRAs to models; owned by the engine, like the models themselves.

    `room` says how many bytes a device has free. Where a second set of weights would take more than half of that, the
    originals wait in main memory instead, and nothing is kept aside.
    """

    def __init__(self, room: Callable[[torch.device], float] = room) -> None:
        self._room = room
        self._kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()
        self._files: dict[Stamp, LoraFile] = {}  # those of the last set: another strength needs no reading

    @contextmanager
    def applied(self, model: Model, wanted: Sequence[Wanted]) -> Iterator[Applied]:
        """Apply `wanted` to `model` until the `with` is left; then every weight is what it was, bit for bit.

        Raises `WrongFamily` for a LoRA of another family or one that fits nowhere, `BrokenFile` and `UnsafeFile`.
        """
        wanted = [each for each in wanted if each.te or each.unet]
        if not wanted:
            yield Applied()
            return
        kept = self._of(model)
        if kept.busy:
            raise RuntimeError("LoRAs are applied to this model already: leave that first")
        originals: list[tuple[Place, Tensor]] = []
        kept.busy = True
        try:
            with torch.no_grad():
                found = self._enter(model, kept, wanted, originals)
            yield found
        finally:
            for place, original in reversed(originals):
                _put(place, original)
            kept.busy = False

    def forget(self) -> None:
        """Let go of everything that is kept aside for the next time."""
        self._files.clear()
        for kept in self._kept.values():
            if not kept.busy:
                kept.key, kept.patched = (), {}

    def aside(self, model: Model) -> int:
        """Return how many bytes are kept aside for `model`."""
        kept = self._kept.get(model.parts["unet"])
        return sum(tensor.nbytes for tensor in kept.patched.values()) if kept else 0

    def _of(self, model: Model) -> _Kept:
        whole = model.parts["unet"]  # stands for the model: what is kept goes when it goes
        kept = self._kept.get(whole)
        if kept is None:
            kept = self._kept[whole] = _Kept(Targets(model))
        return kept

    def _enter(
        self, model: Model, kept: _Kept, wanted: Sequence[Wanted], originals: list[tuple[Place, Tensor]]
    ) -> Applied:
        key = tuple((stamp_of_file(each.file.path), each.te, each.unet, each.dyn) for each in wanted)
        if not kept.key or kept.key != key:
            self._build(model, kept, wanted, key, originals)
        for place, patched in kept.patched.items():
            originals.append((place, _tensor(place)))
            _put(place, patched)
        return kept.applied

    def _build(
        self, model: Model, kept: _Kept, wanted: Sequence[Wanted], key: Key, originals: list[tuple[Place, Tensor]]
    ) -> None:
        stamps = [stamp for stamp, _, _, _ in key]
        files = [
            self._files.get(stamp) or read_lora(each.file.path) for stamp, each in zip(stamps, wanted, strict=True)
        ]
        self._files = dict(zip(stamps, files, strict=True))
        for each, file in zip(wanted, files, strict=True):
            if file.family and file.family != model.family.name:
                raise WrongFamily(
                    "lora_family", name=each.file.name, family=file.family, model_family=model.family.name
                )
        changes, missed = _planned(kept.targets, wanted, files)
        spare, kept.patched, kept.key = kept.patched, {}, ()
        tight = self._is_tight(changes)
        if not tight:
            kept.patched = make_room({place: _tensor(place) for place in changes}, spare)
        for place, these in changes.items():
            original = _tensor(place)
            with torch.inference_mode(original.is_inference()):  # a parameter takes tensors of its own kind only
                out = torch.empty_like(original) if tight else kept.patched[place]
                for misfit in PATCHES[place[1]](original, these, out):
                    missed[misfit.source] += 1
            if tight:
                originals.append((place, original.to("cpu")))
                _put(place, out)
        kept.applied = _applied(wanted, files, missed)
        if not tight:
            kept.key = key

    def _is_tight(self, places: Iterable[Place]) -> bool:
        needed: dict[torch.device, int] = {}
        for place in places:
            tensor = _tensor(place)
            needed[tensor.device] = needed.get(tensor.device, 0) + tensor.nbytes
        return any(2 * size > self._room(device) for device, size in needed.items())


def _planned(
    targets: Targets, wanted: Sequence[Wanted], files: Sequence[LoraFile]
) -> tuple[dict[Place, list[Change]], list[int]]:
    """Return what is done to each weight, in the order of `wanted`, and how many keys of each file find no place."""
    changes: dict[Place, list[Change]] = {}
    missed = [len(file.unknown) for file in files]
    for source, (each, file) in enumerate(zip(wanted, files, strict=True)):
        for name, roles in file.layers.items():
            target = targets.find(name)
            if target is None:
                missed[source] += 1
                continue
            strength = each.te if target.is_text else each.unet
            if not strength:
                continue
            one = Change(roles, strength, each.dyn, source)
            of_weight = bool(roles.keys() - BIASES - SCALES)
            of_bias = bool(roles.keys() & BIASES) and target.tensor("bias") is not None
            if of_weight:
                changes.setdefault((target.module, "weight"), []).append(one)
            if of_bias:
                changes.setdefault((target.module, "bias"), []).append(one)
            missed[source] += not of_weight and not of_bias
    return changes, missed


def _applied(wanted: Sequence[Wanted], files: Sequence[LoraFile], missed: Sequence[int]) -> Applied:
    bundled: dict[str, Embedding] = {}
    misfits: list[Misfit] = []
    for each, file, count in zip(wanted, files, missed, strict=True):
        total = len(file.layers) + len(file.unknown)
        if count >= total and not file.bundled:
            raise WrongFamily("lora_fits_nothing", name=each.file.name)
        if count:
            misfits.append(Misfit(each.file.name, count, total))
        bundled |= {name: embedding_of(entries, file.path.name) for name, entries in file.bundled.items()}
    return Applied(bundled, tuple(misfits))


def _tensor(place: Place) -> Tensor:
    """Return the tensor a parameter holds now."""
    parameter: nn.Parameter = getattr(*place)
    return parameter.data


def _put(place: Place, tensor: Tensor) -> None:
    """Make `tensor` what the parameter holds, on the device it is on now."""
    parameter: nn.Parameter = getattr(*place)
    with torch.inference_mode(tensor.is_inference()):
        parameter.data = tensor.to(parameter.device)

