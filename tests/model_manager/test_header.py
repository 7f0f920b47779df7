from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from modules.errors import BrokenFile, ModelError, UnsafeFile
from modules.model_manager.header import read_header, read_safetensors


def written(path: Path, table: Any, data: bytes = b"", length: int | None = None) -> Path:
    """Write a file that begins as a safetensors file does."""
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def place(first: int = 0, last: int = 8, dtype: str = "F32", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def test_keys_shapes_and_places_are_those_the_library_wrote(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}
    file = tmp_path / "model.safetensors"
    save_file(tensors, file, {"format": "pt"})
    header = read_header(file)
    assert {key: (entry.dtype, entry.shape) for key, entry in header.entries.items()} == {
        "a.weight": ("F32", (2, 3)),
        "b": ("BF16", (4,)),
    }
    entry = header.entries["a.weight"]
    stored = file.read_bytes()[entry.start : entry.start + entry.size]
    assert torch.equal(torch.frombuffer(bytearray(stored), dtype=torch.float32).reshape(2, 3), tensors["a.weight"])


@pytest.mark.parametrize("name", ["model.ckpt", "model.PT", "model.bin", "model.pth"])
def test_pickles_are_refused_unopened(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    os.mkfifo(file)  # opening it would wait for ever
    with pytest.raises(UnsafeFile, match=name):
        list(read_safetensors(file))


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"not json",
        b"[" * 100_000,
        b"\xff\xfe",
        [],
        {"a": 1},
        {"a": {}},
        {"a": place(shape=[-2])},
        {"a": place(shape="ab")},
        {"a": place(shape=[2.0])},
        {"a": place(shape=[2, True])},
        {"a": {**place(), "dtype": ["F32"]}},
        {"a": {**place(), "data_offsets": [0, 8, 9]}},
        {"a": place(first=8, last=0)},
        {"a": place(first=-8, last=0)},
        {"a": place(last=16)},
        {"a": place(shape=[3])},
        {"a": place(shape=[2**62, 2**62])},
    ],
    ids=repr,
)
def test_nonsense_is_an_error_of_the_file(tmp_path: Path, table: Any) -> None:
    with pytest.raises(BrokenFile, match=r"model\.safetensors"):
        read_header(written(tmp_path / "model.safetensors", table, bytes(8)))


@pytest.mark.parametrize("length", [0, 1, 101 * 2**20, 2**63, 2**64 - 1])
def test_a_header_of_impossible_length_is_not_read(tmp_path: Path, length: int) -> None:
    with pytest.raises(BrokenFile):
        read_header(written(tmp_path / "model.safetensors", {"a": place()}, bytes(8), length))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_model_error_or_a_header(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "model.safetensors"
    file.write_bytes(content)
    try:
        read_header(file)
    except ModelError as error:
        assert str(error)


def test_a_folder_of_pickles_is_read_as_data_and_safetensors_are_preferred(tmp_path: Path) -> None:
    part = tmp_path / "unet"
    part.mkdir()
    (part / "config.json").write_text("{}")
    with pytest.raises(BrokenFile, match="unet"):
        read_header(tmp_path)
    torch.save({"a": torch.ones(2, 3)}, part / "diffusion_pytorch_model.bin")
    assert read_header(tmp_path).entries["unet.a"].shape == (2, 3)
    written(part / "diffusion_pytorch_model.fp16.safetensors", {"b": place()}, bytes(8))
    assert list(read_header(tmp_path).entries) == ["unet.b"]


def test_a_component_in_several_files_is_read_as_its_index_says(tmp_path: Path) -> None:
    part = tmp_path / "unet"
    part.mkdir()
    (part / "config.json").write_text("{}")
    names = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for key, name in zip("ab", names, strict=True):
        written(part / name, {key: place()}, bytes(8))
    index = part / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict(zip("ab", names, strict=True))}))
    assert list(read_header(tmp_path).entries) == ["unet.a", "unet.b"]
    wrongs: list[dict[str, Any]] = [{"weight_map": {"a": "../../secret.safetensors"}}, {}, {"weight_map": []}]
    for wrong in wrongs:
        index.write_text(json.dumps(wrong))
        with pytest.raises(BrokenFile, match="index"):
            read_header(tmp_path)


def test_metadata_is_the_text_the_file_carries(tmp_path: Path) -> None:
    table = {"__metadata__": {"ss_tag": "café", "number": 1}, "a": place()}
    header = read_header(written(tmp_path / "model.safetensors", table, bytes(8)))
    assert header.metadata == {"ss_tag": "café"}
    assert list(header.entries) == ["a"]


@pytest.mark.parametrize("name", ["page.safetensors", "page.ckpt"])
def test_a_web_page_saved_as_a_model_is_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("\n <!DOCTYPE html><html><title>404</title></html>")
    with pytest.raises(BrokenFile, match=rf"{name} is a web page"):
        read_header(tmp_path / name)


def test_a_key_twice_or_tensors_over_each_other_are_an_error(tmp_path: Path) -> None:
    twice = json.dumps({"a": place()})[:-1] + ', "a": ' + json.dumps(place(8, 16)) + "}"
    with pytest.raises(BrokenFile):
        read_header(written(tmp_path / "twice.safetensors", twice.encode(), bytes(16)))
    over = {"a": place(), "b": place(4, 12)}
    with pytest.raises(BrokenFile, match="place of b"):
        read_header(written(tmp_path / "over.safetensors", over, bytes(16)))
    apart = {"a": place(), "none": place(8, 8, shape=(0,)), "b": place(8, 16)}
    assert len(read_header(written(tmp_path / "apart.safetensors", apart, bytes(16))).entries) == 3


def test_a_file_cut_off_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(100)}, file)
    whole = file.read_bytes()
    for length in (0, 7, 8, 40, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(BrokenFile):
            read_header(file)


def test_a_damaged_yaml_beside_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    file = written(tmp_path / "model.safetensors", {"a": place()}, bytes(8))
    (tmp_path / "model.yaml").write_text("model:\n  params: {parameterization: v}")
    assert read_header(file).configs == {"yaml": {"model": {"params": {"parameterization": "v"}}}}
    for text in ("a: [", "!!python/object/apply:os.system ['true']", "- " * 5_000):
        (tmp_path / "model.yaml").write_text(text)
        with pytest.raises(BrokenFile, match=r"model\.yaml"):
            read_header(file)


def test_the_safety_checker_is_not_read(tmp_path: Path) -> None:
    part = tmp_path / "safety_checker"
    part.mkdir()
    (part / "config.json").write_text("{}")
    (part / "pytorch_model.bin").write_bytes(b"")
    assert read_header(tmp_path).entries == {}


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, " " * 2**21])
def test_a_damaged_config_is_an_error_of_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "model_index.json").write_text(content)
    with pytest.raises(BrokenFile, match="model_index"):
        read_header(tmp_path)
