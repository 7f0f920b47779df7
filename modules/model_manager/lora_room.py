"""Room for patched weights: one piece of memory for all of them, and what is left of the last set is used again."""

from __future__ import annotations

import math
import mmap
from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from modules.families.unet.weights import room_for

P = TypeVar("P", bound=Hashable)


def make_room(originals: Mapping[P, Tensor], spare: dict[P, Tensor]) -> dict[P, Tensor]:
    """Return a tensor for each of `originals`, laid out as it is on the same device; their contents are undefined.

    Those of `spare` are taken where all of them can be: pages that are there already cost nothing. Otherwise `spare` is
    emptied before anything is made. Raises `MemoryError` or torch's own error when there is no room.
    """
    if not all(place in originals and _is_like(tensor, originals[place]) for place, tensor in spare.items()):
        spare.clear()
    wanted = {place: tensor for place, tensor in originals.items() if place not in spare}
    here = {place: tensor for place, tensor in wanted.items() if tensor.device.type == "cpu"}
    made = dict(zip(here, _in_one_piece(list(here.values())), strict=True))
    for place in wanted.keys() - here.keys():
        with torch.inference_mode(wanted[place].is_inference()):
            made[place] = torch.empty_like(wanted[place])
    return {place: spare[place] if place in spare else made[place] for place in originals}


def _in_one_piece(originals: list[Tensor]) -> Iterator[Tensor]:
    """Yield tensors like `originals` in main memory; it goes back to the system when the last of them is gone."""
    sizes = [room_for(tensor.shape, tensor.dtype) for tensor in originals]
    room = _pages(sum(sizes)) if originals else None
    start = 0
    for original, size in zip(originals, sizes, strict=True):
        with torch.inference_mode(original.is_inference()):  # a parameter takes tensors of its own kind only
            count = original.numel()
            if not count or room is None:
                yield torch.empty_like(original)
                continue
            flat = torch.frombuffer(room, dtype=original.dtype, count=count, offset=start)
            dense = _is_dense(original)
            yield flat.as_strided(original.shape, original.stride()) if dense else flat.view(original.shape)
        start += size


def _pages(size: int) -> mmap.mmap:
    """Return `size` bytes of memory whose pages are there: all at once that takes less than one at a time.

    Large pages would take less still, but for a system whose memory is in pieces: it moves them about for seconds.
    """
    try:
        if hasattr(mmap, "MAP_POPULATE"):
            return mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
        return mmap.mmap(-1, max(size, 1))
    except OSError as error:  # the system refuses
        raise MemoryError(str(error)) from error


def _is_dense(tensor: Tensor) -> bool:
    """Return whether the tensor covers its memory without gaps, in whatever order."""
    extent = 1 + sum((side - 1) * step for side, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.numel() > 0 and extent == math.prod(tensor.shape)


def _is_like(spare: Tensor, original: Tensor) -> bool:
    alike = (spare.shape, spare.dtype, spare.device) == (original.shape, original.dtype, original.device)
    return alike and spare.stride() == original.stride() and spare.is_inference() == original.is_inference()
