"""What happens when there is no room: an error with figures instead of a library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from modules.engine.job import Job
from modules.errors import OutOfMemory

GIB = 2**30


def roomy(call: Callable[..., Any], device: torch.device, job: Job) -> Callable[..., Any]:
    """Wrap `call`: running out of memory in it becomes `OutOfMemory` with the picture's size and what was free."""

    def guarded(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise _explained(device, job) from error
        except RuntimeError as error:
            if "DefaultCPUAllocator" not in str(error):  # torch has no class of its own for this one
                raise
            raise _explained(device, job) from error

    return guarded


def _explained(device: torch.device, job: Job) -> OutOfMemory:
    free, total = memory(device)
    return OutOfMemory(
        "out_of_memory",
        width=job.width,
        height=job.height,
        batch=len(job.shots),
        device=str(device),
        free=f"{free / GIB:.1f}",
        total=f"{total / GIB:.1f}",
    )


def memory(device: torch.device) -> tuple[int, int]:
    """Return (free, total) bytes of the device's memory."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return int(free), int(total)
    main = psutil.virtual_memory()
    return int(main.available), int(main.total)
