"""Weights from safetensors files into modules: mapped, cast once, assigned, and counted."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
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


class _Mapped:
    """A file mapped copy-on-write: pages arrive when they are touched, and what is written to them stays in memory."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def tensor(self, entry: Entry) -> Tensor:
        """Return a view of the mapping; the mapping lives as long as the view."""
        dtype = DTYPES[entry.dtype]
        count = entry.size // dtype.itemsize
        if not count:
            return torch.empty(entry.shape, dtype=dtype)
        return torch.frombuffer(self._map, dtype=dtype, count=count, offset=entry.start).reshape(entry.shape)

    def forget(self, entry: Entry) -> None:
        """Give the pages of a tensor that was copied back to the system: a model is not held twice while it loads."""
        start = -(-entry.start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = (entry.start + entry.size) // mmap.PAGESIZE * mmap.PAGESIZE - start
        if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, start, length)


def fill(
    module: nn.Module,
    entries: Mapping[str, Entry],
    device: torch.device,
    dtype: torch.dtype,
    rename: Callable[[str], str | None] = lambda key: key,
) -> None:
    """Fill a `module` made on the meta device with the weights of `entries`.

    `rename` turns a stored key into the module's (None: not wanted). Tensors already of `dtype` on the CPU stay mapped
    to the file; others are cast one by one, 4-D ones into channels-last order on the CPU, where convolutions want it.
    Raises `BrokenFile` when keys are missing, unknown or of another shape.
    """
    wanted = dict(module.state_dict())
    found = {name: entry for key, entry in entries.items() if (name := rename(key)) is not None}
    _compare(wanted, found)
    state: dict[str, Tensor] = {}
    maps = {file: _Mapped(file) for file in {entry.file for entry in found.values()}}
    for name, entry in found.items():
        stored = maps[entry.file].tensor(entry)
        target = dtype if stored.is_floating_point() else stored.dtype
        layout = torch.channels_last if stored.ndim == 4 and device.type == "cpu" else torch.preserve_format
        state[name] = stored.to(device, target, memory_format=layout)
        if state[name].data_ptr() != stored.data_ptr():
            maps[entry.file].forget(entry)
    module.load_state_dict(state, assign=True)
    module.requires_grad_(False).eval()


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
