"""How much memory there is, and how to tell that there was not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")  # a container's limits (version 2): the machine may have more than is ours

Memory = Callable[[torch.device], tuple[int, int]]
"""Tells (free, total) bytes of a device's memory."""


def memory(device: torch.device) -> tuple[int, int]:
    """Return (free, total) bytes of the device's memory; what torch holds in reserve on a GPU counts as free."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        spare = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free) + int(spare), int(total)
    main = psutil.virtual_memory()
    free, total = int(main.available), int(main.total)
    limit = _number(CGROUP / "memory.max")
    if limit is None or limit >= total:
        return free, total
    used = (_number(CGROUP / "memory.current") or 0) - _reclaimable(CGROUP / "memory.stat")
    return max(0, min(free, limit - used)), limit


def is_shortage(error: BaseException) -> bool:
    """Return whether `error` says that there was no room for something: on a GPU, or in main memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    if isinstance(error, RuntimeError):  # torch has no class of its own for these
        return "DefaultCPUAllocator" in text or "CUDA out of memory" in text or "CUBLAS_STATUS_ALLOC_FAILED" in text
    return isinstance(error, OSError) and error.errno == 12  # ENOMEM: a mapping


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return int(text) if text.isdecimal() else None


def _reclaimable(file: Path) -> int:
    """Return the bytes of the container's page cache that go when something else needs room."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    found = dict(line.split(" ", 1) for line in lines if " " in line)
    return sum(int(found.get(name, "0")) for name in ("inactive_file", "active_file"))
