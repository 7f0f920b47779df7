"""Weights of networks for images: the same tensors whatever file holds them, and nothing of it is run."""

from pathlib import Path

import pytest
import torch

from modules.errors import BrokenFile, ModelError
from modules.model_manager.network_file import read_network
from tests.fake_upscalers import State, put_upscaler, swinir


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype for key in one
    )


@pytest.mark.parametrize("name", ["plain.safetensors", "plain.pth", "plain.pt", "plain.bin"])
def test_every_kind_of_file_gives_the_same_tensors(tmp_path: Path, name: str) -> None:
    state = {key: value.contiguous() for key, value in swinir().items()}  # with whole numbers among them
    assert same(read_network(put_upscaler(tmp_path, name, state)), state)


@pytest.mark.parametrize("wrapper", ["params", "params_ema", "state_dict", "params-ema"])
@pytest.mark.parametrize("zipped", [True, False])
def test_the_dictionary_around_them_is_taken_off(tmp_path: Path, wrapper: str, zipped: bool) -> None:
    state = {"conv.weight": torch.ones(2, 2), "conv.bias": torch.zeros(2)}
    path = tmp_path / "a.pth"
    torch.save({wrapper: state, "iteration": 7}, path, _use_new_zipfile_serialization=zipped)
    assert same(read_network(path), state)


def test_the_average_is_better_than_the_last_step(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"params": {"a": torch.zeros(1)}, "params_ema": {"a": torch.ones(1)}}, path)
    assert same(read_network(path), {"a": torch.ones(1)})


def test_a_pickle_that_runs_something_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ModelError):
        read_network(path)


def test_a_file_without_weights_is_no_network(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile):
        read_network(put_upscaler(tmp_path, "empty", {}))
