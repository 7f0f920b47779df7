"""Safetensors files written tensor by tensor: no more than one of them is in memory."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from modules.errors import BrokenFile, SaveError
from modules.families.family import Entry
from modules.families.unet.layout import Stored
from modules.families.unet.weights import DTYPES

ALIGNED = 8  # bytes the header is filled up to, as the format asks


@dataclass(frozen=True)
class Outgoing:
    """A tensor to be written: `dtype` is the safetensors name, `read` gives it when its turn comes."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


def read_stored(stored: Stored) -> Tensor:
    """Return the tensor as the original layout has it, as stored; raises `BrokenFile` when it is not there."""
    parts = [read_entry(entry) for entry in stored.parts]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).reshape(stored.shape)


def read_entry(entry: Entry) -> Tensor:
    """Return a copy of one tensor, as a module wants it; raises `BrokenFile` when it is not there as stated."""
    dtype = DTYPES.get(entry.dtype)
    if dtype is None:
        raise BrokenFile("weights_dtype", file=entry.file.name, tensor=str(entry.shape), dtype=entry.dtype)
    try:
        with entry.file.open("rb") as file:
            file.seek(entry.start)
            data = bytearray(file.read(entry.size))
    except OSError as error:
        raise BrokenFile("unreadable", file=entry.file.name, reason=error.strerror or "") from error
    if len(data) != entry.size or entry.size != math.prod(entry.shape) * dtype.itemsize:
        raise BrokenFile("not_safetensors", file=entry.file.name)
    if not data:
        return torch.empty(entry.shape, dtype=dtype)
    plain = torch.frombuffer(data, dtype=dtype)
    return plain.reshape(entry.shape[::-1]).T if entry.transposed else plain.reshape(entry.shape)


def write_tensors(
    path: Path,
    tensors: Sequence[Outgoing],
    metadata: Mapping[str, str],
    done: Callable[[int, int], None] = lambda step, steps: None,
) -> None:
    """Write a safetensors file at `path`, which appears when it is complete; `done` hears (tensors written, all).

    What `done` raises ends the writing and leaves nothing behind. Raises `SaveError` when there is no room.
    """
    with _appearing(path) as temporary, temporary.open("wb") as file:
        file.write(_header(tensors, metadata))
        for step, each in enumerate(tensors, 1):
            tensor = each.read().to(DTYPES[each.dtype]).reshape(each.shape).contiguous()
            tensor.reshape(-1).view(torch.uint8).numpy().tofile(file)
            done(step, len(tensors))
        file.flush()
        os.fsync(file.fileno())


def _header(tensors: Sequence[Outgoing], metadata: Mapping[str, str]) -> bytes:
    table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    for each in tensors:
        table[each.key] = {"dtype": each.dtype, "shape": list(each.shape), "data_offsets": [place, place + each.size]}
        place += each.size
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(8, "little") + text


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """Give a name to write to; what is there takes the name `path` when the block ends, and goes when it raises."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise SaveError("file_write", file=path.name, folder=str(path.parent), reason=error.strerror or "") from error
    finally:
        temporary.unlink(missing_ok=True)
