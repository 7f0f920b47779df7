"""What is in memory: models stay under a budget, and the one used longest ago leaves first."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch

from modules.errors import OutOfMemory
from modules.families.family import Family, Header, Model
from modules.model_manager.catalog import ModelFile, Stamp, stamp_of
from modules.model_manager.header import read_header
from modules.model_manager.identify import identify
from modules.model_manager.memory import GIB, Memory, is_shortage, memory
from modules.model_manager.reading import Reader
from modules.model_manager.resident import Resident
from modules.model_manager.turns import OFFLOADS, Offload, Turns

MAIN = torch.device("cpu")
STAYING = MappingProxyType({torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"})
Key = tuple[Path, Stamp]


@dataclass(frozen=True)
class Limits:
    """How much may stay: `count` models at most, as long as `reserve` bytes of each memory are free beside them.

    `offload` says what of a model is on a GPU at once; "auto": as much as there is room for.
    """

    count: int = 3
    reserve: int = 2 * GIB
    offload: Offload | Literal["auto"] = "auto"


@dataclass(eq=False)
class _Kept:
    """A model in memory. `lent` counts its borrowers; `turns` moves its weights, where they do not all stay."""

    key: Key
    name: str
    header: Header
    model: Model
    offload: Offload
    vae: ModelFile | None
    vae_key: Key | None
    turns: Turns | None = None
    lent: int = 0
    told: Resident = field(init=False)

    def __post_init__(self) -> None:
        self.describe()

    def describe(self) -> None:
        """Work out what is told of it."""
        parts = {name: sum(each.nbytes for each in part.parameters()) for name, part in self.model.parts.items()}
        device = str(self.model.device)
        self.told = Resident(
            name=self.name,
            family=self.model.family.name,
            size=sum(parts.values()),
            place=device if self.turns is None else f"{device} + {MAIN}",
            dtype=str(self.model.dtype).removeprefix("torch."),
            vae="" if self.vae is None else self.vae.name,
            parts=tuple(parts.items()),
        )


class ModelManager:
    """Owns the weights of one worker.

    `dtype_for` says what a checkpoint is computed in on `device`. A model that is borrowed stays, whatever else is
    asked for meanwhile.
    """

    def __init__(
        self,
        families: Mapping[str, Family],
        device: torch.device,
        dtype_for: Callable[[Header], torch.dtype],
        limits: Limits | None = None,
        memory: Memory = memory,
    ) -> None:
        self.device = device
        self._families = families
        self._dtype_for = dtype_for
        self._limits = limits or Limits()
        self._memory = memory
        self._kept: dict[Path, _Kept] = {}  # the one used last at the end
        self._reader = Reader(lambda: self._memory(MAIN)[0] - self._limits.reserve)

    def holds(self, file: ModelFile, vae: ModelFile | None = None) -> bool:
        """Return whether `file`, as it is on disk now, is loaded, with the autoencoder of `vae` or else its own."""
        kept = self._kept.get(file.path)
        return kept is not None and kept.key == _key(file) and kept.vae_key == _vae_key(vae)

    def limit(self, limits: Limits) -> None:
        """Let other limits hold from now on; models beyond their number go at once, those used longest ago first."""
        self._limits = limits
        while len(self._kept) > limits.count and self._drop_oldest():
            pass

    def resident(self, beside: Callable[[Model], int] = lambda model: 0) -> tuple[Resident, ...]:
        """Return what is in memory, the model used last at the end.

        `beside` tells how many bytes are kept elsewhere for a model's sake: they are counted with it, as "loras".
        """
        return tuple(_with(kept.told, beside(kept.model)) for kept in self._kept.values())

    @contextmanager
    def borrow(self, file: ModelFile, vae: ModelFile | None = None) -> Iterator[Model]:
        """Lend the model of `file` until the `with` is left, with the autoencoder of `vae`; load what is needed.

        Raises `BrokenFile`, `UnsafeFile` or `WrongFamily` when it cannot be loaded, `OutOfMemory` when there is no room
        for it even alone; then nothing of it is kept.
        """
        kept = self._get(file, vae)
        kept.lent += 1
        try:
            yield kept.model
        finally:
            kept.lent -= 1

    @contextmanager
    def working(self, model: Model) -> Iterator[None]:
        """Let the weights of a borrowed `model` come and go as they are used; they may not be changed meanwhile."""
        kept = next((each for each in self._kept.values() if each.model is model), None)
        with kept.turns.working() if kept is not None and kept.turns is not None else nullcontext():
            yield

    def evict(self, but: str) -> bool:
        """Let go of every model that is not lent, but of that name; return whether any went."""
        idle = [kept for kept in self._kept.values() if not kept.lent and kept.name != but]
        for kept in idle:
            self._drop(kept)
        self._tidy()
        return bool(idle)

    def release(self, name: str = "") -> None:
        """Let go of the model of that name, or of every one, and give the memory back; what is lent stays."""
        for kept in list(self._kept.values()):
            if not kept.lent and name in ("", kept.name):
                self._drop(kept)
        self._tidy()

    def offload(self, file: ModelFile) -> Offload | None:
        """Have the model of `file`, which nobody has borrowed, need less of the device; return how, None at the end.

        Where everything is computed in main memory there is nothing to be gained.
        """
        kept = self._kept.get(file.path)
        if kept is None or kept.lent:
            return None
        less = self._less(kept.offload)
        if less is None:
            return None
        vae, header = kept.vae, kept.header
        self._drop(kept)
        del kept
        self._tidy()
        return self._load(file, header, vae, less).offload

    def prefetch(self, file: ModelFile, vae: ModelFile | None = None) -> None:
        """Read the files of a model that is wanted next into the system's cache; returns when that is done.

        Any thread may call this. It gives up when there is no room, or when another is wanted.
        """
        if not self.holds(file, vae):
            self._reader.read([file.path, *([vae.path] if vae else [])])

    def _get(self, file: ModelFile, vae: ModelFile | None) -> _Kept:
        """Return the model of `file` as it is on disk now, loaded where needed, as the one used last."""
        self._reader.stop()
        kept = self._kept.pop(file.path, None)
        if kept is not None:
            self._kept[file.path] = kept
            if kept.key != _key(file):
                self._drop(kept)
                kept = None
        if kept is None:
            return self._load(file, read_header(file.path), vae, None)
        if kept.vae_key != _vae_key(vae):
            self._change_vae(kept, vae)
        return kept

    def _load(self, file: ModelFile, header: Header, vae: ModelFile | None, offload: Offload | None) -> _Kept:
        """Load a model, letting others go for it until there is room."""
        family, dtype = identify(header, self._families), self._dtype_for(header)
        vae_header = None if vae is None else read_header(vae.path)
        sizes = _sizes(header, vae_header, dtype)
        while self._too_much(sum(sizes.values())) and self._drop_oldest():
            pass
        if self.device == MAIN and _copied(header, dtype) > self._memory(MAIN)[0]:
            raise self._no_room(file, sum(sizes.values()))  # the system would end the process instead of saying so
        how = offload or self._offload_for(sizes)
        model: Model | None = None
        while model is None:
            home = MAIN if how != "none" else None
            try:
                with torch.inference_mode(False), torch.no_grad():  # inference tensors could not be changed in place
                    model = family.load(header, self.device, dtype, vae_header, home)
            except (RuntimeError, MemoryError, OSError) as error:
                if not is_shortage(error):
                    raise
            if model is None:  # only now: while the error was at hand, so was what had been loaded
                less = how if self._drop_oldest() else self._less(how)
                if less is None:
                    raise self._no_room(file, sum(sizes.values()))
                how = less
        turns = None if how == "none" else Turns(model.parts, self.device, how, self._spare())
        kept = _Kept(_key(file), file.name, header, model, how, vae, _vae_key(vae), turns)
        self._kept[file.path] = kept
        return kept

    def _change_vae(self, kept: _Kept, vae: ModelFile | None) -> None:
        """Give a loaded model another autoencoder: the rest of it stays as it is."""
        header = kept.header if vae is None else read_header(vae.path)
        home = MAIN if kept.turns is not None else None
        with torch.inference_mode(False), torch.no_grad():
            model = kept.model.with_vae(header, home)
        if kept.turns is not None and kept.offload != "none":
            kept.turns.close()
            kept.turns = Turns(model.parts, self.device, kept.offload, self._spare())
        kept.model, kept.vae, kept.vae_key = model, vae, _vae_key(vae)
        kept.describe()

    def _offload_for(self, sizes: Mapping[str, int]) -> Offload:
        if self.device == MAIN:
            return "none"
        if self._limits.offload != "auto":
            return self._limits.offload
        room = self._spare()
        if sum(sizes.values()) <= room:
            return "none"
        return "medvram" if max(sizes.values()) <= room else "lowvram"

    def _less(self, offload: Offload) -> Offload | None:
        """Return what needs less of the device than `offload`, or None at the end."""
        after = OFFLOADS[OFFLOADS.index(offload) + 1 :]
        return after[0] if after and self.device != MAIN else None

    def _spare(self) -> int:
        """Return the bytes of the device that weights may take."""
        return max(0, self._memory(self.device)[0] - self._limits.reserve)

    def _too_much(self, size: int) -> bool:
        if len(self._kept) >= self._limits.count:
            return True
        if self.device == MAIN or self._fits_whole(size):
            return size > self._spare()
        return size > self._memory(MAIN)[0] - self._limits.reserve  # its weights will wait there

    def _fits_whole(self, size: int) -> bool:
        """Return whether a model of that many bytes may be on the device as a whole, if it has it for itself."""
        if self._limits.offload != "auto":
            return self._limits.offload == "none"
        return size <= self._memory(self.device)[1] - self._limits.reserve

    def _drop_oldest(self) -> bool:
        """Let go of the model used longest ago that nobody has borrowed; return whether there was one."""
        oldest = next((kept for kept in self._kept.values() if not kept.lent), None)
        if oldest is None:
            return False
        self._drop(oldest)
        del oldest
        self._tidy()
        return True

    def _drop(self, kept: _Kept) -> None:
        if self._kept.get(kept.key[0]) is kept:
            del self._kept[kept.key[0]]
        if kept.turns is not None and not kept.lent:
            kept.turns.close()

    def _tidy(self) -> None:
        """Give memory back: what torch keeps in reserve on a GPU, and cycles that hold weights."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _no_room(self, file: ModelFile, size: int) -> OutOfMemory:
        free, total = self._memory(self.device)
        return OutOfMemory(
            "out_of_memory_loading",
            model=file.name,
            size=f"{size / GIB:.1f}",
            device=str(self.device),
            free=f"{free / GIB:.1f}",
            total=f"{total / GIB:.1f}",
        )


def _with(told: Resident, size: int) -> Resident:
    return replace(told, size=told.size + size, parts=(*told.parts, ("loras", size))) if size else told


def _key(file: ModelFile) -> Key:
    return file.path, stamp_of(file.path)


def _vae_key(vae: ModelFile | None) -> Key | None:
    return None if vae is None else _key(vae)


def _copied(header: Header, dtype: torch.dtype) -> int:
    """Return the bytes of weights that cannot stay mapped to their file on a CPU: cast, or put into another order."""
    stays = STAYING.get(dtype)
    moved = (entry.shape for entry in header.entries.values() if entry.dtype != stays or len(entry.shape) == 4)
    return sum(math.prod(shape) for shape in moved) * dtype.itemsize


def _sizes(header: Header, vae: Header | None, dtype: torch.dtype) -> dict[str, int]:
    """Return the bytes that each component takes in `dtype`."""
    sizes: dict[str, int] = {}
    for key, entry in header.entries.items():
        part = key.partition(".")[0]
        sizes[part] = sizes.get(part, 0) + math.prod(entry.shape) * dtype.itemsize
    if vae is not None:
        sizes["vae"] = sum(math.prod(entry.shape) for entry in vae.part("vae").values()) * dtype.itemsize
    return sizes
