"""Weights from files into modules: mapped, cast once into one piece of memory, assigned, and counted."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from modules.errors import BrokenFile
from modules.families.family import Entry

DTYPES = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "F8_E4M3": torch.float8_e4m3fn,
        "F8_E5M2": torch.float8_e5m2,
    }
)
NAMED = 4  # keys a message names before it stops
ALIGNED = 64  # bytes, as torch's own memory is


class Mapped:
    """A file mapped copy-on-write: pages arrive when they are touched, and what is written to them stays in memory."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def tensor(self, entry: Entry) -> Tensor:
        """Return the tensor of `entry`, a view of the mapping where that can be; the mapping lives as long as it."""
        dtype = DTYPES[entry.dtype]
        count = entry.size // dtype.itemsize
        if not count:
            return torch.empty(entry.shape, dtype=dtype)
        if entry.start % dtype.itemsize:  # no file of a library that writes such files, but a possible one
            piece = bytearray(self._map[entry.start : entry.start + entry.size])
            flat = torch.frombuffer(piece, dtype=dtype)
        else:
            flat = torch.frombuffer(self._map, dtype=dtype, count=count, offset=entry.start)
        return flat.view(entry.shape[::-1]).T if entry.transposed else flat.view(entry.shape)

    def forget(self, entry: Entry) -> None:
        """Give the pages of a tensor that was copied back to the system: a model is not held twice while it loads."""
        start = -(-entry.start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (entry.start + entry.size) // mmap.PAGESIZE * mmap.PAGESIZE - start
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, start, length)


class _Arena:
    """One piece of main memory for the weights of a module.

    It goes back to the system as a whole when its last tensor is gone; nothing is left behind between small pieces.
    """

    def __init__(self, size: int) -> None:
        self._used = 0
        if hasattr(mmap, "MAP_PRIVATE"):
            # Not Python's default, which is shared memory; that is counted and paged differently. Large pages are not
            # asked for: on a machine that has run for a while they cost several times what they save.
            self._room = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        else:
            self._room = mmap.mmap(-1, max(size, 1))

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return an unfilled tensor of that shape; a 4-D one in channels-last order, where convolutions want it."""
        count = math.prod(shape)
        if not count:
            return torch.empty(shape, dtype=dtype)
        flat = torch.frombuffer(self._room, dtype=dtype, count=count, offset=self._used)
        self._used += room_for(shape, dtype)
        if len(shape) != 4:
            return flat.view(shape)
        outer, inner, height, width = shape
        return flat.view(outer, height, width, inner).permute(0, 3, 1, 2)


def room_for(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Return the bytes a tensor takes, up to the next one."""
    return -(-math.prod(shape) * dtype.itemsize // ALIGNED) * ALIGNED


def fill(
    module: nn.Module,
    entries: Mapping[str, Entry],
    device: torch.device,
    dtype: torch.dtype,
    rename: Callable[[str], str | None] = lambda key: key,
    home: torch.device | None = None,
) -> None:
    """Fill a `module` made on the meta device with the weights of `entries`.

    `rename` turns a stored key into the module's (None: not wanted). `device` is where it computes, `home` where the
    weights are put, if that is elsewhere. Those in main memory that are of `dtype` and in order already stay mapped to
    the file; others are cast one by one, 4-D ones into channels-last order if a CPU computes with them.
    Raises `BrokenFile` when keys are missing, unknown or of another shape, `MemoryError` or torch's own error when
    there is no room.
    """
    wanted = dict(module.state_dict())
    found = {name: entry for key, entry in entries.items() if (name := rename(key)) is not None}
    _compare(wanted, found)
    maps = {file: Mapped(file) for file in {entry.file for entry in found.values()}}
    place = home or device
    with torch.inference_mode(False), torch.no_grad():  # inference tensors could not be changed in place by anybody
        if place.type == "cpu":
            state = _in_main_memory(found, maps, dtype, reorder=device.type == "cpu")
        else:
            state = _elsewhere(found, maps, place, dtype)
        module.load_state_dict(state, assign=True)
    module.requires_grad_(False).eval()


def _in_main_memory(
    found: Mapping[str, Entry], maps: Mapping[Path, Mapped], dtype: torch.dtype, reorder: bool
) -> dict[str, Tensor]:
    def target(entry: Entry) -> torch.dtype:
        stored = DTYPES[entry.dtype]
        return dtype if stored.is_floating_point else stored

    def stays(entry: Entry) -> bool:
        ordered = len(entry.shape) != 4 or not reorder or entry.shape[1] == 1 or entry.shape[2:] == (1, 1)
        return DTYPES[entry.dtype] == target(entry) and ordered and not entry.transposed

    size = sum(room_for(entry.shape, target(entry)) for entry in found.values() if not stays(entry))
    arena = _Arena(size)
    state: dict[str, Tensor] = {}
    casts: list[tuple[Tensor, Entry]] = []
    for name, entry in found.items():
        if stays(entry):
            state[name] = maps[entry.file].tensor(entry)
            continue
        shape = entry.shape
        plain = len(shape) == 4 and not reorder
        place = arena.empty((shape[0], math.prod(shape[1:])) if plain else shape, target(entry))
        state[name] = place.view(shape) if plain else place
        casts.append((state[name], entry))

    def cast(place: Tensor, entry: Entry) -> None:
        with torch.no_grad():
            place.copy_(maps[entry.file].tensor(entry))
        maps[entry.file].forget(entry)

    # torch's own threads do not help here: what takes the time is that pages arrive, in the file and in the arena.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for done in [pool.submit(cast, *each) for each in casts]:
            done.result()
    return state


def _elsewhere(
    found: Mapping[str, Entry], maps: Mapping[Path, Mapped], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, entry in found.items():
        # First there, then cast: the device does that faster, and what travels is as small as what is stored.
        moved = maps[entry.file].tensor(entry).to(device)
        state[name] = moved.to(dtype) if moved.is_floating_point() else moved
        maps[entry.file].forget(entry)
    return state


def _compare(wanted: Mapping[str, Tensor], found: Mapping[str, Entry]) -> None:
    file = next((str(entry.file) for entry in found.values()), "")
    if missing := [key for key in wanted if key not in found]:
        raise BrokenFile("weights_missing", file=file, count=len(missing), keys=_some(missing))
    if unknown := [key for key in found if key not in wanted]:
        raise BrokenFile("weights_unknown", file=file, count=len(unknown), keys=_some(unknown))
    for key, entry in found.items():
        if entry.shape != tuple(wanted[key].shape):
            raise BrokenFile(
                "weights_shape", file=file, tensor=key, shape=list(entry.shape), wanted=list(wanted[key].shape)
            )
        if entry.dtype not in DTYPES:
            raise BrokenFile("weights_dtype", file=file, tensor=key, dtype=entry.dtype)


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:NAMED]) + (", …" if len(keys) > NAMED else "")
