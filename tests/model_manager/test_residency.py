"""Models stay in memory under a budget, come back at once, and leave nothing behind when they go."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import torch

from modules.errors import BrokenFile, OutOfMemory
from modules.families.family import Header, Model
from modules.families.sd1 import Sd1
from modules.families.unet.model import UnetModel
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.memory import GIB
from modules.model_manager.residency import Limits, ModelManager
from modules.settings import Settings
from tests.fake_models import checkpoints, make_sd1

NAMES = ("one", "two", "three", "four")
FAMILY = Sd1()
CPU = torch.device("cpu")
ELSEWHERE = torch.device("cpu", 0)  # computes like the CPU, but the manager takes it for a device of its own


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(NAMES):
        make_sd1(checkpoints(root) / name, seed=seed)
    return Catalog(Settings(data_dir=root))


def make_manager(
    limits: Limits | None = None,
    family: Sd1 | None = None,
    device: torch.device = CPU,
    memory: Callable[[torch.device], tuple[int, int]] = lambda device: (64 * GIB, 64 * GIB),
) -> ModelManager:
    return ModelManager({"sd1": family or FAMILY}, device, lambda header: torch.float32, limits or Limits(), memory)


def lend(manager: ModelManager, file: ModelFile, vae: ModelFile | None = None) -> Model:
    with manager.borrow(file, vae) as model:
        return model


def names(manager: ModelManager) -> list[str]:
    return [each.name for each in manager.resident()]


def test_the_model_used_longest_ago_leaves_first(catalog: Catalog) -> None:
    manager = make_manager(Limits(count=2))
    one, two, three, _ = (catalog.find(name) for name in NAMES)
    first = lend(manager, one)
    lend(manager, two)
    assert lend(manager, one) is first, "it was kept"
    lend(manager, three)
    assert names(manager) == ["one", "three"]
    assert lend(manager, one) is first
    assert names(manager) == ["three", "one"]


def test_other_limits_hold_at_once(catalog: Catalog) -> None:
    manager = make_manager(Limits(count=4))
    one, two, three, four = (catalog.find(name) for name in NAMES)
    for file in (one, two, three):
        lend(manager, file)
    manager.limit(Limits(count=2))
    assert names(manager) == ["two", "three"]
    lend(manager, four)
    assert names(manager) == ["three", "four"]


def test_models_stay_as_long_as_there_is_room_for_them(catalog: Catalog) -> None:
    size = 0

    def memory(device: torch.device) -> tuple[int, int]:
        used = sum(each.size for each in manager.resident())
        return 2 * GIB + size * 5 // 2 - used, 4 * GIB

    manager = make_manager(Limits(count=10, reserve=2 * GIB), memory=memory)
    alone = make_manager()
    lend(alone, catalog.find("one"))
    size = alone.resident()[0].size
    for name in NAMES:
        lend(manager, catalog.find(name))
    assert names(manager) == ["three", "four"], "two and a half fit beside what is to stay free"


def test_what_is_told_of_a_model_is_what_it_occupies(catalog: Catalog) -> None:
    manager = make_manager()
    model = lend(manager, catalog.find("one"))
    (told,) = manager.resident()
    assert (told.name, told.family, told.place, told.dtype) == ("one", "sd1", "cpu", "float32")
    assert dict(told.parts)["unet"] == 4 * sum(each.numel() for each in model.parts["unet"].parameters())
    assert told.size == sum(size for _, size in told.parts)
    (more,) = manager.resident(beside=lambda of: 1000 if of is model else 0)
    assert (more.size, more.parts[-1]) == (told.size + 1000, ("loras", 1000))


def test_a_model_that_is_lent_stays_whatever_is_asked_for_meanwhile(catalog: Catalog) -> None:
    manager = make_manager(Limits(count=1))
    one, two = catalog.find("one"), catalog.find("two")
    with manager.borrow(one) as first:
        with manager.borrow(two) as second:
            assert second is not first
        manager.release()
        with manager.borrow(one) as same:
            assert same is first
    manager.release()
    assert names(manager) == []


def test_one_model_is_let_go_by_name_and_the_others_stay(catalog: Catalog) -> None:
    manager = make_manager()
    gone = weakref.ref(lend(manager, catalog.find("one")))
    kept = lend(manager, catalog.find("two"))
    manager.release("one")
    assert gone() is None
    assert not manager.holds(catalog.find("one"))
    assert lend(manager, catalog.find("two")) is kept


def test_nothing_of_a_model_stays_after_it_left(catalog: Catalog) -> None:
    manager = make_manager(Limits(count=1))
    model = lend(manager, catalog.find("one"))
    weights = [weakref.ref(parameter) for part in model.parts.values() for parameter in part.parameters()]
    del model
    lend(manager, catalog.find("two"))
    gc.collect()
    assert not any(weight() is not None for weight in weights)


def test_memory_does_not_grow_with_switches(catalog: Catalog) -> None:
    manager = make_manager(Limits(count=1))
    files = [catalog.find(name) for name in NAMES[:3]]
    for file in files:
        lend(manager, file)
    after = psutil.Process().memory_info().rss
    for file in files * 3:
        lend(manager, file)
    assert psutil.Process().memory_info().rss <= 1.02 * after


def test_a_model_that_changed_on_disk_is_loaded_anew(tmp_path: Path) -> None:
    make_sd1(checkpoints(tmp_path) / "one")
    file = Catalog(Settings(data_dir=tmp_path)).find("one")
    manager = make_manager()
    first = lend(manager, file)
    os.utime(file.path / "unet" / "diffusion_pytorch_model.safetensors", (1, 1))
    assert not manager.holds(file)
    assert lend(manager, file) is not first
    assert names(manager) == ["one"]


def test_a_load_that_fails_keeps_nothing_and_takes_nothing_away(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_sd1(checkpoints(tmp_path) / name)
    catalog = Catalog(Settings(data_dir=tmp_path))
    one, two = catalog.find("one"), catalog.find("two")
    (two.path / "vae" / "config.json").unlink()
    manager = make_manager()
    first = lend(manager, one)
    with pytest.raises(BrokenFile), manager.borrow(two):
        pytest.fail("lent a broken model")
    assert not manager.holds(two)
    assert lend(manager, one) is first


def test_weights_can_be_changed_in_place_after_a_load_in_inference_mode(catalog: Catalog) -> None:
    with torch.inference_mode():
        model = lend(make_manager(), catalog.find("one"))
    with torch.no_grad():
        next(model.parts["unet"].parameters()).add_(1)


# another autoencoder


def vae_of(catalog: Catalog, name: str) -> ModelFile:
    return ModelFile("other.safetensors", catalog.find(name).path, kind="vae")


def test_another_autoencoder_changes_pictures_and_nothing_else_is_loaded_again(catalog: Catalog) -> None:
    manager, file, vae = make_manager(), catalog.find("one"), vae_of(catalog, "two")
    latents = torch.randn(1, 4, 8, 8)
    own = lend(manager, file)
    before = own.decode(latents)
    assert not manager.holds(file, vae)
    other = lend(manager, file, vae)
    assert other.parts["unet"] is own.parts["unet"] and other.parts["text_encoder"] is own.parts["text_encoder"]
    assert torch.equal(other.decode(latents), lend(manager, catalog.find("two")).decode(latents))
    assert [(each.name, each.vae) for each in manager.resident()] == [("one", "other.safetensors"), ("two", "")]
    assert manager.holds(file, vae) and not manager.holds(file)
    assert torch.equal(lend(manager, file).decode(latents), before), "and its own again"


# no room


class Cramped(Sd1):
    """A family for whose models there is no room the first times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.homes: list[torch.device | None] = []

    def load(
        self,
        header: Header,
        device: torch.device,
        dtype: torch.dtype,
        vae: Header | None = None,
        home: torch.device | None = None,
    ) -> Model:
        self.homes.append(home)
        if self.times:
            self.times -= 1
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().load(header, device, dtype, vae, home)


def test_when_there_is_no_room_the_others_go_and_the_load_is_tried_again(catalog: Catalog) -> None:
    family = Cramped(0)
    manager = make_manager(family=family)
    lend(manager, catalog.find("one"))
    lend(manager, catalog.find("two"))
    family.times = 2
    lend(manager, catalog.find("three"))
    assert names(manager) == ["three"]


def test_without_room_even_alone_the_error_says_how_much_is_there(catalog: Catalog) -> None:
    manager = make_manager(family=Cramped(9), memory=lambda device: (3 * GIB, 8 * GIB))
    with pytest.raises(OutOfMemory) as error:
        lend(manager, catalog.find("one"))
    assert error.value.key == "out_of_memory_loading"
    told = error.value.values
    assert (told["model"], told["free"], told["total"]) == ("one", "3.0", "8.0")
    assert names(manager) == []


def test_a_model_larger_than_main_memory_is_not_tried(catalog: Catalog) -> None:
    family = Cramped(0)
    manager = make_manager(family=family, memory=lambda device: (100_000, 200_000))
    with pytest.raises(OutOfMemory):
        lend(manager, catalog.find("one"))
    assert family.homes == []


def test_on_a_device_without_room_components_take_turns_and_then_blocks(catalog: Catalog) -> None:
    family = Cramped(2)
    manager = make_manager(family=family, device=ELSEWHERE)
    lend(manager, catalog.find("one"))
    assert family.homes == [None, CPU, CPU]
    (told,) = manager.resident()
    assert told.place == "cpu:0 + cpu"


@pytest.mark.parametrize(("free", "place"), [(64.0, "cpu:0"), (2.0005, "cpu:0 + cpu"), (0.0, "cpu:0 + cpu")])
def test_how_much_is_on_the_device_follows_from_what_is_free(catalog: Catalog, free: float, place: str) -> None:
    manager = make_manager(
        device=ELSEWHERE, memory=lambda device: (int((64 if device == CPU else free) * GIB), 64 * GIB)
    )
    lend(manager, catalog.find("one"))
    assert manager.resident()[0].place == place


def test_a_model_can_be_made_to_need_less_and_makes_the_same_answers(catalog: Catalog) -> None:
    manager, file = make_manager(device=ELSEWHERE), catalog.find("one")
    latents = torch.randn(1, 4, 8, 8)
    before = lend(manager, file).decode(latents)
    assert [manager.offload(file) for _ in range(3)] == ["medvram", "lowvram", None]
    with manager.borrow(file) as model, manager.working(model):
        assert torch.equal(model.decode(latents), before)
    assert make_manager().offload(file) is None, "a CPU has nothing to gain"


def test_limits_ask_for_turns(catalog: Catalog) -> None:
    manager = make_manager(replace(Limits(), offload="lowvram"), device=ELSEWHERE)
    assert isinstance(lend(manager, catalog.find("one")), UnetModel)
    assert manager.resident()[0].place == "cpu:0 + cpu"
