from __future__ import annotations

import collections
import io
import os
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from modules.errors import BrokenFile, ModelError, UnsafeFile
from modules.families.family import Entry
from modules.model_manager.torch_file import TorchFile, read_torch

NAMES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def loaded(entry: Entry) -> Tensor:
    """Read a tensor from where its entry says it lies."""
    with entry.file.open("rb") as file:
        file.seek(entry.start)
        data = bytearray(file.read(entry.size))
    shape = entry.shape[::-1] if entry.transposed else entry.shape
    tensor = torch.frombuffer(data, dtype=NAMES[entry.dtype]).reshape(shape) if data else torch.empty(shape)
    return tensor.T if entry.transposed else tensor


def saved(path: Path, value: Any, new: bool = True) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=new)
    return path


@pytest.fixture(params=[True, False], ids=["zip", "before torch 1.6"])
def form(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("dtype", [each for each in NAMES.values() if each.itemsize > 1 or each == torch.uint8])
def test_tensors_are_where_the_entries_say(tmp_path: Path, form: bool, dtype: torch.dtype) -> None:
    whole = torch.arange(24).to(dtype).reshape(4, 6)
    tensors = {"whole": whole, "rows": whole[1:3], "turned": whole.T, "none": whole[:0], "scalar": whole[0, 1]}
    file = saved(tmp_path / "some.pt", tensors, form)
    read = read_torch(file)
    assert read.entries.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read.entries[name].shape == tuple(tensor.shape)
        assert torch.equal(loaded(read.entries[name]).to(dtype), tensor), name
    assert read.entries["turned"].transposed and not read.entries["whole"].transposed


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_eight_bit_floats_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.randn(3, 5).to(dtype)
    read = read_torch(saved(tmp_path / "some.pt", {"a": tensor}))
    assert torch.equal(loaded(read.entries["a"]).view(torch.uint8), tensor.view(torch.uint8))


def test_a_checkpoint_is_unwrapped_and_what_trainers_add_is_left_out(tmp_path: Path, form: bool) -> None:
    weight = torch.nn.Parameter(torch.randn(2, 3))
    inner = collections.OrderedDict({"model.weight": weight})
    inner._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    top = {
        "state_dict": inner,
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2, 3), "step": 7}}}],
        "global_step": 470000,
        "loss": numpy.float64(0.25),
        "hyper_parameters": Namespace(lr=1e-4),
        "history": numpy.arange(3),
        "set": {1},
        "device": torch.device("cuda", 0),
        "dtype": torch.float16,
        "size": torch.Size([2, 3]),
        "counts": collections.defaultdict(int, {"a": 1}),
        "bytes": b"\xff\x00",
    }
    read = read_torch(saved(tmp_path / "some.ckpt", top, form))
    assert list(read.entries) == ["model.weight"]
    assert torch.equal(loaded(read.entries["model.weight"]), weight)
    assert read.values == {
        "optimizer_states.0.state.0.step": 7,
        "global_step": 470000,
        "loss": 0.25,
        "set": [1],
        "device": "cuda:0",
        "dtype": "torch.float16",
        "size": [2, 3],
        "counts.a": 1,
        "bytes": b"\xff\x00",
    }


def test_learned_words_and_hypernetworks_keep_their_shape(tmp_path: Path) -> None:
    words = {"string_to_token": {"*": 265}, "string_to_param": torch.nn.ParameterDict({"*": torch.ones(2, 768)})}
    read = read_torch(saved(tmp_path / "word.pt", words))
    assert {key: entry.shape for key, entry in read.entries.items()} == {"string_to_param.*": (2, 768)}
    assert read.values == {"string_to_token.*": 265}
    layer = {"linear.0.weight": torch.ones(4, 2)}
    network = {320: [layer, layer], "layer_structure": [1, 2.5, 1], "activation_func": "relu", "is_layer_norm": False}
    read = read_torch(saved(tmp_path / "network.pt", network))
    assert list(read.entries) == ["320.0.linear.0.weight", "320.1.linear.0.weight"]
    assert read.values == {"layer_structure": [1, 2.5, 1], "activation_func": "relu", "is_layer_norm": False}


def test_names_of_trainers_that_are_not_installed_do_no_harm(tmp_path: Path) -> None:
    """Stable Diffusion 1.4 itself has such a callback as a key."""
    key = b"cpytorch_lightning.callbacks.model_checkpoint\nModelCheckpoint\n"
    call = b"comegaconf.dictconfig\nDictConfig\n)\x81}X\x01\x00\x00\x00aK\x01sb"
    file = as_zip(
        tmp_path / "a.ckpt",
        b"\x80\x02}(X\x09\x00\x00\x00callbacks}" + key + b"K\x05s" + b"X\x01\x00\x00\x00b" + call + b"u.",
    )
    assert read_torch(file).values == {"callbacks.pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint": 5}


class Runs:
    """What an attacker puts into a pickle."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {0}",)),
        (eval, ("open({0!r}, 'w')",)),
        (exec, ("open({0!r}, 'w')",)),
        (getattr, (os, "system")),
        (__import__, ("os",)),
        (torch.load, ("{0}",)),
        (torch.hub.load, ("{0}", "model")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_pickle_with_code_is_refused_by_name_and_runs_nothing(
    tmp_path: Path, form: bool, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    touched = tmp_path / "touched"
    filled = [each.format(str(touched)) if isinstance(each, str) else "os" for each in arguments]
    file = saved(tmp_path / "evil.ckpt", {"state_dict": {"a": torch.ones(1)}, "b": Runs(function, *filled)}, form)
    with pytest.raises(UnsafeFile, match=function.__name__) as raised:
        read_torch(file)
    assert "evil.ckpt" in str(raised.value)
    assert not touched.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cos\nsystem\n(S'touch /tmp/x'\ntR.",
        b"(S'touch /tmp/x'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch /tmp/x'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x04\x8c\x11pytorch_lightning\x8c\x09os.system\x93.",
        b"\x80\x02cpytorch_lightning.utilities\nrun\n.",
        b"\x80\x02ctorch._utils\n_import_dotted_name\n.",
        b"cbuiltins\ngetattr\n.",
    ],
)
def test_every_way_of_naming_is_looked_at(tmp_path: Path, pickled: bytes) -> None:
    plain = tmp_path / "plain.pt"
    plain.write_bytes(pickled)
    for file in (plain, as_zip(tmp_path / "zipped.pt", pickled)):
        with pytest.raises(UnsafeFile):
            read_torch(file)


def as_zip(path: Path, pickled: bytes, compression: int = zipfile.ZIP_STORED, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in more.items():
            archive.writestr(f"archive/{name.replace('__', '/').replace('_pkl', '.pkl')}", content)
    return path


def tensor_pickle(
    offset: int = 0, shape: tuple[int, ...] = (2,), strides: tuple[int, ...] = (1,), count: int = 2
) -> bytes:
    """Return the pickle of {"a": a tensor in storage 0}, protocol 0."""

    def numbers(values: tuple[int, ...]) -> str:
        return "(" + "".join(f"I{value}\n" for value in values) + "t"

    storage = f"(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI{count}\ntQ"
    call = f"ctorch._utils\n_rebuild_tensor_v2\n({storage}I{offset}\n{numbers(shape)}{numbers(strides)}I00\n(dtR"
    return f"(dVa\n{call}s.".encode()


def test_a_hand_made_tensor_is_read(tmp_path: Path) -> None:
    file = as_zip(tmp_path / "a.pt", tensor_pickle(), data__0=b"\0\0\x80\x3f\0\0\0\x40")
    assert loaded(read_torch(file).entries["a"]).tolist() == [1, 2]


@pytest.mark.parametrize(
    "about",
    [
        {"offset": 1},
        {"offset": -1},
        {"shape": (3,)},
        {"shape": (2**40, 2**40), "strides": (2**40, 1)},
        {"strides": (2,)},
        {"strides": (0,)},
        {"shape": (2, 1)},
        {"shape": (-2,)},
    ],
    ids=str,
)
def test_a_tensor_outside_its_storage_or_in_no_order_is_an_error(tmp_path: Path, about: dict[str, Any]) -> None:
    with pytest.raises(BrokenFile, match=r"a\.pt"):
        read_torch(as_zip(tmp_path / "a.pt", tensor_pickle(**about), data__0=bytes(8)))


def test_what_cannot_be_mapped_says_why(tmp_path: Path) -> None:
    squeezed = as_zip(tmp_path / "a.pt", tensor_pickle(), zipfile.ZIP_DEFLATED, data__0=bytes(8))
    with pytest.raises(BrokenFile, match="compressed"):
        read_torch(squeezed)
    with pytest.raises(BrokenFile, match="TorchScript"):
        read_torch(as_zip(tmp_path / "b.pt", b"}.", constants_pkl=b"}."))
    with pytest.raises(BrokenFile, match="channels"):
        odd = torch.zeros(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
        read_torch(saved(tmp_path / "c.pt", {"channels": odd}))
    (tmp_path / "d.ckpt").write_text("<!DOCTYPE html><html>Sign in</html>")
    with pytest.raises(BrokenFile, match="web page"):
        read_torch(tmp_path / "d.ckpt")
    with pytest.raises(BrokenFile):
        read_torch(as_zip(tmp_path / "e.pt", tensor_pickle(), data__0=bytes(8), byteorder=b"big"))
    with pytest.raises(BrokenFile):
        read_torch(as_zip(tmp_path / "f.pt", tensor_pickle()))


def test_a_file_cut_off_anywhere_is_broken(tmp_path: Path, form: bool) -> None:
    whole = saved(tmp_path / "whole.pt", {"a": torch.ones(50), "b": torch.ones(3)}, form).read_bytes()
    file = tmp_path / "cut.pt"
    for length in range(0, len(whole) - 1, 41):
        file.write_bytes(whole[:length])
        with pytest.raises(BrokenFile):
            read_torch(file)


@pytest.mark.parametrize(
    "pickled",
    {
        "deep": b"]" * 100_000 + b"a" * 99_999 + b".",
        "itself": b"]q\0h\0a.",
        "many": b"]q\0(" + b"K\x01" * 1000 + b"e" + b"".join(b"](h\0h\0h\0eq\0" for _ in range(30)) + b".",
        "copies": b"]q\0(" + b"K\x01" * 5000 + b"e](" + b"cbuiltins\nlist\nh\0\x85R" * 20_000 + b"e.",
        "no end": b"}",
        "empty stack": b"0.",
        "no mark": b"t.",
        "no memo": b"h\x07.",
        "a list as key": b"}]K\x01s.",
        "a claim of 4 GB": b"X\xff\xff\xff\xffabc.",
        "a long number": b"L" + b"9" * 100_000 + b"L\n.",
        "a call of a call": b"ctorch._tensor\n_rebuild_from_type_v2\n" * 5000 + b".",
    }.items(),
    ids=lambda item: item[0],
)
def test_odd_pickles_neither_crash_nor_fill_memory(tmp_path: Path, pickled: tuple[str, bytes]) -> None:
    file = as_zip(tmp_path / "odd.pt", pickled[1])
    try:
        assert len(read_torch(file).values) < 10
    except BrokenFile as error:
        assert "odd.pt" in str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.binary(max_size=120), st.booleans())
@example(b"\x80\x02}q\0.", True)
def test_any_bytes_are_a_model_error_or_data(tmp_path: Path, content: bytes, zipped: bool) -> None:
    file = tmp_path / "fuzz.pt"
    if zipped:
        as_zip(file, content)
    else:
        file.write_bytes(content)
    try:
        assert isinstance(read_torch(file), TorchFile)
    except ModelError as error:
        assert str(error)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 255), st.booleans())
def test_one_wrong_byte_is_a_model_error_or_data(tmp_path: Path, position: int, byte: int, new: bool) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(5), "b": [1, "c"]}, buffer, _use_new_zipfile_serialization=new)
    content = bytearray(buffer.getvalue())
    content[position % len(content)] = byte
    file = tmp_path / "flipped.pt"
    file.write_bytes(content)
    try:
        read = read_torch(file)
    except ModelError as error:
        assert str(error)
    else:
        for entry in read.entries.values():
            assert 0 <= entry.start <= entry.start + entry.size <= len(content)
