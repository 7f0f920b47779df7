"""How much memory is free, in a container too, and which errors say that there was not enough."""

from __future__ import annotations

import errno
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import torch

from modules.model_manager import memory as module
from modules.model_manager.memory import is_shortage, memory

CPU = torch.device("cpu")


def limited(folder: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: int, cached: int) -> None:
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon {used - cached}\ninactive_file {cached}\nactive_file 0\n")
    monkeypatch.setattr(module, "CGROUP", folder)


def test_without_a_container_it_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    free, total = memory(CPU)
    assert total == psutil.virtual_memory().total
    assert 0 < free <= total
    limited(tmp_path, monkeypatch, "max", 5000, 0)
    assert memory(CPU)[1] == total


def test_a_containers_limit_counts_and_its_cache_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(tmp_path, monkeypatch, "100000", 70000, 30000)
    assert memory(CPU) == (60000, 100000)


@pytest.mark.parametrize(
    ("error", "shortage"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOENT, "No such file"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_a_shortage_is_told_from_other_errors(error: Exception, shortage: bool) -> None:
    assert is_shortage(error) == shortage


def test_torch_says_so_in_the_words_that_are_looked_for() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_shortage(caught.value)
