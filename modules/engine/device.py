"""Where pictures are computed, and in what numbers."""

from __future__ import annotations

import math
from pathlib import Path
from types import MappingProxyType

import torch

from modules.errors import SetupError
from modules.families.family import Header
from modules.settings import Settings

DTYPES = MappingProxyType({"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16})
BIG = 100_000_000  # parameters; below that a CPU is no faster in bf16
CPU_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # names in /proc/cpuinfo, x86 and Arm


def choose_device(settings: Settings) -> torch.device:
    """Return the device of the settings, "auto" being the first GPU if there is one.

    Raises `SetupError` when there is no such device.
    """
    if settings.device == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(settings.device)
    except RuntimeError as error:
        raise SetupError("no_such_device", device=settings.device, allowed=", ".join(_devices())) from error
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", 0)
    if str(device) not in _devices():
        raise SetupError("no_such_device", device=settings.device, allowed=", ".join(_devices()))
    return device


def _devices() -> list[str]:
    return ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]


def choose_dtype(settings: Settings, device: torch.device, header: Header) -> torch.dtype:
    """Return what a checkpoint is computed in.

    A GPU computes in bf16, or fp16 before Ampere. A CPU computes big models in bf16 where it has instructions for it,
    everything else in fp32. Raises `SetupError` for fp16 on a CPU: it would take minutes a step.
    """
    if settings.dtype != "auto":
        if device.type == "cpu" and settings.dtype == "fp16":
            raise SetupError("fp16_on_cpu")
        return DTYPES[settings.dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    big = sum(math.prod(entry.shape) for entry in header.entries.values()) >= BIG
    return torch.bfloat16 if big and _cpu_has_bf16() else torch.float32


def _cpu_has_bf16() -> bool:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    return not CPU_BF16.isdisjoint(flags.split())


def name_of(dtype: torch.dtype) -> str:
    """Return the short name of a dtype: "bf16"."""
    return next(name for name, each in DTYPES.items() if each == dtype)


def describe(device: torch.device) -> str:
    """Return the device by name: "cpu", or the GPU's."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def tune(device: torch.device) -> None:
    """Choose the faster float32 matrix products, in this process: oneDNN's on a CPU, TF32 on a GPU."""
    torch.set_float32_matmul_precision("medium" if device.type == "cpu" else "high")
