"""What happens when there is no room: an error with figures instead of a library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from modules.engine.job import Job
from modules.errors import OutOfMemory
from modules.model_manager.memory import GIB, is_shortage, memory
from modules.model_manager.residency import Limits
from modules.settings import Settings


class NoRoom(OutOfMemory):
    """There was no room for a batch; only the engine sees it. What it held is let go of with the failed call."""


def roomy(call: Callable[..., Any], device: torch.device, job: Job) -> Callable[..., Any]:
    """Wrap `call`: running out of memory in it becomes `NoRoom` with the picture's size and what was free."""

    def guarded(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except (RuntimeError, MemoryError) as error:
            if not is_shortage(error):
                raise
            raise _explained(device, job) from error

    return guarded


def patient(
    call: Callable[..., Any], make_room: Callable[[], bool], no_room: Callable[[], OutOfMemory]
) -> Callable[..., Any]:
    """Wrap `call`: when there is no room other weights go, and it is made again as long as any did, else `no_room`."""

    def guarded(*arguments: Any) -> Any:
        while True:
            try:
                return call(*arguments)
            except (RuntimeError, MemoryError) as error:
                if not is_shortage(error):
                    raise
            if not make_room():  # only now: with the error, all that the call held was still there
                raise no_room()

    return guarded


def alone(error: NoRoom) -> NoRoom:
    """Return the error without what led to it: that holds every tensor of the calls that failed."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def limits_of(settings: Settings) -> Limits:
    """Return how much may stay in memory, by the settings."""
    reserve = int(settings.memory_reserve * GIB)
    return Limits(count=settings.models_in_memory, reserve=reserve, offload=settings.offload)


def _explained(device: torch.device, job: Job) -> NoRoom:
    free, total = memory(device)
    return NoRoom(
        "out_of_memory",
        width=job.width,
        height=job.height,
        batch=len(job.shots),
        device=str(device),
        free=f"{free / GIB:.1f}",
        total=f"{total / GIB:.1f}",
    )
