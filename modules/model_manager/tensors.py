"""Single tensors out of a file, for networks that are small beside a checkpoint."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.families.unet.weights import DTYPES


def read_tensor(entry: Entry) -> Tensor:
    """Return a copy of the tensor at `entry` in float32; raises `BrokenFile` when it is not there as stated."""
    dtype = DTYPES.get(entry.dtype)
    if dtype is None:
        raise BrokenFile("weights_dtype", file=entry.file.name, tensor=str(entry.shape), dtype=entry.dtype)
    try:
        with entry.file.open("rb") as file:
            file.seek(entry.start)
            data = bytearray(file.read(entry.size))
    except OSError as error:
        raise BrokenFile("unreadable", file=entry.file.name, reason=error.strerror or "") from error
    if len(data) != entry.size or len(data) != math.prod(entry.shape) * dtype.itemsize:
        raise BrokenFile("not_safetensors", file=entry.file.name)
    if not data:
        return torch.empty(entry.shape)
    stored = entry.shape[::-1] if entry.transposed else entry.shape
    tensor = torch.frombuffer(data, dtype=dtype).reshape(stored).float()
    return tensor.T.contiguous() if entry.transposed else tensor
