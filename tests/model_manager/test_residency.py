from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import pytest
import torch

from modules.errors import BrokenFile
from modules.families.sd1 import Sd1
from modules.families.unet.model import UnetModel
from modules.model_manager.catalog import Catalog
from modules.model_manager.residency import ModelManager
from modules.settings import Settings
from tests.fake_models import checkpoints, make_sd1


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    for name in ("one", "two"):
        make_sd1(checkpoints(tmp_path) / name)
    return Catalog(Settings(data_dir=tmp_path))


@pytest.fixture
def manager() -> ModelManager:
    return ModelManager({"sd1": Sd1()}, torch.device("cpu"), lambda header: torch.float32)


def test_a_model_is_kept_until_another_is_asked_for(catalog: Catalog, manager: ModelManager) -> None:
    one, two = catalog.find("one"), catalog.find("two")
    assert not manager.holds(one)
    with manager.borrow(one) as first:
        pass
    with manager.borrow(one) as again:
        assert again is first
    with manager.borrow(two):
        assert manager.holds(two)
        assert not manager.holds(one)


def test_nothing_of_a_model_stays_after_a_switch(catalog: Catalog, manager: ModelManager) -> None:
    with manager.borrow(catalog.find("one")) as model:
        assert isinstance(model, UnetModel)
        weights = [weakref.ref(parameter) for parameter in model.unet.parameters()]
    del model
    with manager.borrow(catalog.find("two")):
        gc.collect()
        assert not any(weight() is not None for weight in weights)


def test_release_lets_go(catalog: Catalog, manager: ModelManager) -> None:
    with manager.borrow(catalog.find("one")) as model:
        gone = weakref.ref(model)
    del model
    manager.release()
    assert gone() is None
    assert not manager.holds(catalog.find("one"))


def test_a_model_that_changed_on_disk_is_loaded_anew(catalog: Catalog, manager: ModelManager) -> None:
    file = catalog.find("one")
    with manager.borrow(file) as first:
        pass
    os.utime(file.path / "unet" / "diffusion_pytorch_model.safetensors", (1, 1))
    with manager.borrow(file) as second:
        assert second is not first


def test_another_model_borrowed_meanwhile_does_not_take_the_first_away(catalog: Catalog, manager: ModelManager) -> None:
    one, two = catalog.find("one"), catalog.find("two")
    with manager.borrow(one) as first:
        with manager.borrow(two) as second:
            assert second is not first
        with manager.borrow(one) as same:
            assert same is first


def test_a_load_that_fails_keeps_nothing(catalog: Catalog, manager: ModelManager) -> None:
    one, two = catalog.find("one"), catalog.find("two")
    (two.path / "vae" / "config.json").unlink()
    with manager.borrow(one):
        pass
    with pytest.raises(BrokenFile), manager.borrow(two):
        pytest.fail("lent a broken model")
    assert not manager.holds(two)
    with manager.borrow(one):
        assert manager.holds(one)
