"""Whole checkpoints in one file: each kind that people have makes a picture, without a network."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from modules.engine.engine import Engine
from modules.model_manager.convert import convert
from modules.request import make_request
from modules.result import Picture
from modules.settings import ROOT
from modules.tasks import Convert
from tests.fake_checkpoints import KINDS, make_networks, write_single
from tests.fake_models import checkpoints, engine_on
from tests.fakes import RecordingReport
from tests.families.loading import load

FAMILY = {"sd1": "sd1", "sd2": "sd2", "sdxl": "sdxl", "refiner": "sdxl"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    root = tmp_path_factory.mktemp("data")
    for kind in KINDS:
        write_single(checkpoints(root) / f"{kind}.safetensors", kind)
    shutil.copytree(checkpoints(ROOT) / "starter", checkpoints(root) / "starter")
    return engine_on(root)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    yield


def make(engine: Engine, model: str, **values: Any) -> Picture:
    request = make_request({"model": model, "prompt": "a red circle", "seed": 1, "steps": 2, **values})
    ((picture, _),) = engine.generate(request, RecordingReport(), lambda picture: picture)
    return picture


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_picture_that_follows_its_words(engine: Engine, kind: str, no_network: None) -> None:
    picture = make(engine, kind)
    assert picture.recipe.family == FAMILY[kind.partition("-")[0]]
    assert picture.image.size == (64, 64)
    pixels = np.asarray(picture.image)
    assert pixels.std() > 1, "random weights give no even grey"
    assert not np.array_equal(np.asarray(make(engine, kind, prompt="a blue square").image), pixels)


def test_the_starter_in_one_file_makes_the_very_same_pictures(engine: Engine) -> None:
    task = Convert(model="starter", name="exported")
    place = convert(task, engine.catalog, lambda step, steps: None)
    assert place.suffix == ".safetensors"
    engine.catalog.refresh()
    folder, single = (
        make(engine, name, prompt="a red circle on a blue background") for name in ("starter", "exported")
    )
    assert single.recipe.model_hash != folder.recipe.model_hash
    assert single.image.size == folder.image.size == (128, 128)
    assert np.array_equal(np.asarray(single.image), np.asarray(folder.image))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, "mixed"])
def test_weights_are_what_was_stored_whatever_the_numbers(tmp_path: Path, dtype: torch.dtype | str) -> None:
    model = load(write_single(tmp_path / "one.safetensors", "sd1", dtype=dtype))
    networks = make_networks("sd1")
    stored = torch.float16 if dtype == "mixed" else dtype
    assert isinstance(stored, torch.dtype)
    for key, value in networks.unet.state_dict().items():
        small = stored.itemsize == 1 and value.ndim < 2
        expected = value.to(torch.float16 if small else stored).float()
        assert torch.equal(model.unet.get_parameter(key), expected)
    kernel = networks.vae.get_parameter("decoder.conv_in.weight")
    expected = kernel if dtype == "mixed" else kernel.to(stored).float()
    assert torch.equal(model.vae.get_parameter("decoder.conv_in.weight"), expected)


def test_averaged_copies_are_left_alone_and_trainers_files_are_read(tmp_path: Path) -> None:
    plain = load(write_single(tmp_path / "plain.safetensors", "sd1"))
    for other in (
        load(write_single(tmp_path / "ema.safetensors", "sd1", ema=True)),
        load(write_single(tmp_path / "trained.ckpt", "sd1", ckpt=True)),
    ):
        found = other.unet.state_dict()
        assert all(torch.equal(value, found[key]) for key, value in plain.unet.state_dict().items())
