"""Weights come from files unchanged but for the cast, in the order and the place they are wanted."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.families.unet.weights import fill
from modules.model_manager.header import read_safetensors

CPU = torch.device("cpu")


class Small(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        self.point = nn.Conv2d(width, 4, 1)
        self.line = nn.Linear(4, 6)
        self.register_buffer("places", torch.arange(5))


def written(path: Path, dtype: torch.dtype, width: int = 8) -> dict[str, Tensor]:
    torch.manual_seed(1)
    tensors = {key: _as(value, dtype) for key, value in Small(width).state_dict().items()}
    save_file(tensors, path)
    return tensors


def _as(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype).contiguous() if value.is_floating_point() else value


def entries(path: Path) -> Mapping[str, Entry]:
    return dict(read_safetensors(path))


def filled(found: Mapping[str, Entry], dtype: torch.dtype, width: int = 8) -> Small:
    with torch.device("meta"):
        module = Small(width)
    fill(module, found, CPU, dtype)
    return module


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("wanted", [torch.float32, torch.bfloat16])
def test_weights_are_those_of_the_file_cast_once(tmp_path: Path, stored: torch.dtype, wanted: torch.dtype) -> None:
    tensors = written(tmp_path / "a.safetensors", stored)
    module = filled(entries(tmp_path / "a.safetensors"), wanted)
    for key, value in module.state_dict().items():
        assert value.dtype == (wanted if tensors[key].is_floating_point() else torch.int64)
        assert torch.equal(value, _as(tensors[key], wanted)), key
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_convolutions_lie_in_channels_last_order(tmp_path: Path) -> None:
    tensors = written(tmp_path / "a.safetensors", torch.float32)
    module = filled(entries(tmp_path / "a.safetensors"), torch.float32)
    assert module.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(module.conv.weight, tensors["conv.weight"])


def test_a_stored_transpose_comes_out_the_right_way_round(tmp_path: Path) -> None:
    matrix = torch.randn(4, 6)
    save_file({"weight": matrix, "bias": torch.zeros(6)}, tmp_path / "a.safetensors")
    found = dict(entries(tmp_path / "a.safetensors"))
    stored = found["weight"]
    found["weight"] = Entry(stored.file, stored.dtype, (6, 4), stored.start, stored.size, transposed=True)
    for dtype in (torch.float32, torch.bfloat16):
        with torch.device("meta"):
            module = nn.Linear(4, 6)
        fill(module, found, CPU, dtype)
        assert torch.equal(module.weight, matrix.T.to(dtype))


def test_a_third_of_a_fused_matrix_is_cut_out(tmp_path: Path) -> None:
    fused = torch.randn(12, 4)
    save_file({"weight": fused, "bias": torch.zeros(4)}, tmp_path / "a.safetensors")
    found = dict(entries(tmp_path / "a.safetensors"))
    whole = found["weight"]
    third = whole.size // 3
    found["weight"] = Entry(whole.file, whole.dtype, (4, 4), whole.start + third, third)
    with torch.device("meta"):
        module = nn.Linear(4, 4)
    fill(module, found, CPU, torch.float32)
    assert torch.equal(module.weight, fused[4:8])


def test_a_tensor_that_lies_at_an_odd_place_is_read_all_the_same(tmp_path: Path) -> None:
    values = torch.randn(6, 4)
    (tmp_path / "odd.bin").write_bytes(b"x" * 3 + values.numpy().tobytes() + b"y" * 5)
    found = {"weight": Entry(tmp_path / "odd.bin", "F32", (6, 4), 3, 96)}
    with torch.device("meta"):
        module = nn.Linear(4, 6, bias=False)
    fill(module, found, CPU, torch.float32)
    assert torch.equal(module.weight, values)


def test_the_file_never_changes_whatever_is_done_to_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    written(path, torch.float32)
    before = path.read_bytes()
    module = filled(entries(path), torch.float32)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    assert path.read_bytes() == before


def test_memory_goes_back_to_the_system_with_the_module(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    written(path, torch.float16, width=200_000)  # 11 MB in float16
    process = psutil.Process()
    filled(entries(path), torch.float32, width=200_000)
    gc.collect()
    before = process.memory_info().rss
    module = filled(entries(path), torch.float32, width=200_000)
    held = process.memory_info().rss - before
    del module
    gc.collect()
    assert held > 20_000_000
    assert process.memory_info().rss - before < held / 10


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda found: found.pop("line.bias"), "weights_missing"),
        (lambda found: found.update(more=found["line.bias"]), "weights_unknown"),
        (lambda found: found.update({"line.bias": found["point.bias"]}), "weights_shape"),
    ],
)
def test_what_does_not_fit_is_told_apart(tmp_path: Path, change: object, key: str) -> None:
    written(tmp_path / "a.safetensors", torch.float16)
    found = dict(entries(tmp_path / "a.safetensors"))
    change(found)  # type: ignore[operator]
    with pytest.raises(BrokenFile) as error:
        filled(found, torch.float32)
    assert error.value.key == key
