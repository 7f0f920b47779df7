"""Controls on the whole route: when they act, what they refuse, what the recipe says of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.engine.engine import Engine
from modules.errors import BadRequest, EaselError, UnknownModel, WrongFamily
from modules.hooks import JobView, Ring, hookimpl
from modules.images import infotext
from modules.images.inputs import Inputs
from modules.model_manager.control_check import checked_controls
from modules.request import Request
from modules.result import Picture
from modules.tasks import make_detect, read_task
from tests.fake_controls import (
    controls_folder,
    make_controlnet,
    write_control_file,
    write_control_folder,
    write_state,
)
from tests.fake_models import SD2_UNET, SDXL_UNET, UNET, checkpoints, engine_on, make_sd1, make_sd2, make_sdxl
from tests.fakes import RecordingReport, ask


def unit(picture: str, model: str = "folder", **values: Any) -> dict[str, Any]:
    return {"image": picture, "model": model, **values}


def made(engine: Engine, *units: dict[str, Any], **values: Any) -> list[Picture]:
    values = {"steps": 4, "model": "one", "seed": 7, "sampler": "Euler", "width": 64, "height": 64} | values
    request = ask("a cat", controls=list(units), **values)
    return [picture for picture, _ in engine.generate(request, RecordingReport(), lambda picture: picture)]


def drawn(engine: Engine, *units: dict[str, Any], **values: Any) -> bytes:
    return made(engine, *units, **values)[0].image.tobytes()


def test_a_control_changes_the_picture_and_weight_0_does_not(engine: Engine, picture: str) -> None:
    plain = drawn(engine)
    assert drawn(engine, unit(picture)) != plain
    assert drawn(engine, unit(picture, weight=0)) == plain


@pytest.mark.parametrize("sampler", ["Euler", "Heun"])
def test_it_acts_from_start_to_end_alone(engine: Engine, picture: str, sampler: str) -> None:
    """Of ten steps: nothing behind the last, the same from the first to the last as always, and shares in between."""
    steps = {"steps": 10, "sampler": sampler}
    plain, always = drawn(engine, **steps), drawn(engine, unit(picture), **steps)
    assert drawn(engine, unit(picture, start=0.95, end=1), **steps) == plain
    assert drawn(engine, unit(picture, start=0, end=0.9), **steps) == always
    early, late = (drawn(engine, unit(picture) | each, **steps) for each in ({"end": 0.4}, {"start": 0.5}))
    assert len({plain, always, early, late}) == 4


class Watching:
    """Keeps the guess of each step."""

    def __init__(self) -> None:
        self.guesses: list[Tensor] = []

    @hookimpl
    def around_denoise(self, job: JobView) -> Ring:
        def ring(inner: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, float], Tensor]:
            def step(x: Tensor, sigma: float) -> Tensor:
                self.guesses.append(inner(x, sigma).clone())
                return self.guesses[-1]

            return step

        return ring


def test_what_came_before_the_start_is_as_without(root: Path, picture: str) -> None:
    """The guess of each step up to the start is the same, bit for bit, and each one after it is another."""
    seen = []
    for units in ((), (unit(picture, start=0.5),)):
        watching = Watching()
        drawn(engine_on(root, watching), *units, steps=6)
        seen.append(watching.guesses)
    assert [torch.equal(plain, controlled) for plain, controlled in zip(*seen, strict=True)] == [True] * 3 + [False] * 3


def test_the_same_control_in_every_layout_is_the_same_picture(engine: Engine, picture: str) -> None:
    names = ("folder", "diffusers", "cldm", "prefixed")
    assert len({drawn(engine, unit(picture, name)) for name in names}) == 1


def test_two_units_are_not_one(engine: Engine, picture: str) -> None:
    one, other = unit(picture), unit(picture, "other")
    assert len({drawn(engine, one), drawn(engine, other), drawn(engine, one, other)}) == 3
    assert drawn(engine, one, {**other, "weight": 0}) == drawn(engine, one)


def test_a_picture_does_not_depend_on_its_batch(engine: Engine, picture: str) -> None:
    for each in (unit(picture), {"image": picture, "preprocessor": "reference_only"}):
        together = made(engine, each, batch_size=2)
        apart = [made(engine, each, seed=seed)[0] for seed in (7, 8)]
        assert [each.image.tobytes() for each in together] == [each.image.tobytes() for each in apart]


def test_a_mask_keeps_it_to_a_part(engine: Engine, picture: str, left_half: str) -> None:
    plain, whole, half = (
        np.asarray(made(engine, *units, steps=2)[0].image, float)
        for units in ((), (unit(picture),), (unit(picture, mask=left_half),))
    )
    left, right = slice(0, 24), slice(40, 64)
    assert np.abs(half[:, right] - plain[:, right]).mean() < np.abs(whole[:, right] - plain[:, right]).mean()
    assert np.abs(half[:, left] - plain[:, left]).mean() > 0


def test_reference_needs_no_model(engine: Engine, picture: str, left_half: str) -> None:
    reference = {"image": picture, "preprocessor": "reference_only"}
    plain = drawn(engine)
    found = drawn(engine, reference)
    assert found != plain
    assert drawn(engine, {**reference, "image": left_half}) != found
    assert drawn(engine) == plain, "nothing of it stays"


def test_the_preprocessor_draws_the_hint(engine: Engine, picture: str) -> None:
    canny = unit(picture, preprocessor="canny", resolution=96)
    assert drawn(engine, canny) != drawn(engine, unit(picture))
    assert drawn(engine, canny) != drawn(engine, {**canny, "preprocessor": "invert"})


def test_a_hint_can_be_looked_at_without_any_model(root: Path, picture: str) -> None:
    fresh = engine_on(root)
    task = make_detect({"image": picture, "preprocessor": "canny", "resolution": 128})
    name = fresh.detect(task, RecordingReport())
    hint = Inputs(root / ".easel" / "inputs").open(name)
    assert hint.size == (128, 192)
    assert set(np.unique(np.asarray(hint))) == {0, 255}
    perfect = task.model_copy(update={"pixel_perfect": True, "width": 64, "height": 64})
    assert Inputs(root / ".easel" / "inputs").open(fresh.detect(perfect, RecordingReport())).size == (64, 96)
    assert fresh.resident() == ()
    assert read_task(task.model_dump_json()) == task
    with pytest.raises(BadRequest, match="64 to 2048"):
        make_detect({"image": picture, "preprocessor": "canny", "resolution": 1})
    with pytest.raises(BadRequest, match="image"):
        make_detect({"image": "../x", "preprocessor": "canny"})


def test_the_recipe_says_what_was_used(engine: Engine, picture: str) -> None:
    found = made(engine, unit(picture, preprocessor="canny", options={"low": 50}, weight=0.75, end=0.8, mode="prompt"))[
        0
    ]
    (used,) = found.recipe.controls
    assert used.sliders == (50, 200)
    file = engine.catalog.hashed(engine.catalog.find("folder", "controlnet"))
    assert used.model_hash == file.sha256[:8] != ""
    text = infotext.write(found.recipe)
    assert infotext.read(text)["ControlNet 0"] == (
        f"Module: canny, Model: folder [{file.sha256[:8]}], Weight: 0.75, Resize Mode: Crop and Resize, "
        "Processor Res: 512, Threshold A: 50, Threshold B: 200, Guidance Start: 0, Guidance End: 0.8, "
        "Pixel Perfect: False, Control Mode: My prompt is more important"
    )


def test_networks_stay_in_memory_and_are_told_of(root: Path, picture: str) -> None:
    fresh = engine_on(root)
    drawn(fresh, unit(picture), unit(picture, "other"))
    told = fresh.resident()
    assert [each.name for each in told] == ["folder", "other", "one"]
    assert told[0].size == sum(each.nbytes for each in make_controlnet().parameters())
    assert [part for part, _ in told[0].parts] == ["ControlNet"]
    fresh.unload("")
    assert fresh.resident() == ()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, str]:
    """Checkpoints and ControlNets of three families, and one of another width."""
    folder = tmp_path_factory.mktemp("mixed")
    make_sd1(checkpoints(folder) / "one")
    make_sd2(checkpoints(folder) / "two")
    make_sdxl(checkpoints(folder) / "xl")
    places = controls_folder(folder)
    write_control_file(places / "for-sd1.safetensors", make_controlnet(), "control_model")
    write_control_file(places / "for-sd2.safetensors", make_controlnet(SD2_UNET), "cldm")
    write_control_folder(places / "for-sdxl", make_controlnet(SDXL_UNET))
    write_control_file(places / "wide.safetensors", make_controlnet({**UNET, "block_out_channels": [32, 96]}))
    write_state(places / "lllite.safetensors", {"lllite_unet_x.down.weight": _zeros()})
    write_state(
        places / "face.safetensors", {"image_proj.norm.weight": _zeros(), "ip_adapter.1.to_k_ip.weight": _zeros()}
    )
    write_state(places / "words.safetensors", {"emb_params": _zeros()})
    name = Inputs(folder / ".easel" / "inputs").keep(Image.new("RGB", (64, 64), "white"))
    return engine_on(folder), name


def _zeros() -> Tensor:
    return torch.zeros(2, 2)


def test_the_catalog_knows_their_families(mixed: tuple[Engine, str]) -> None:
    files = {file.name: file for file in mixed[0].catalog.files("controlnet")}
    families = {name: file.family for name, file in files.items() if not file.problem}
    assert families == {"for-sd1": "sd1", "for-sd2": "sd2", "for-sdxl": "sdxl", "wide": "sd1"}
    assert {name: file.problem for name, file in files.items() if file.problem} == {
        "lllite": "control_unsupported",
        "face": "control_unsupported",
        "words": "control_unknown",
    }
    with pytest.raises(WrongFamily, match=r"face\.safetensors is of the kind IP-Adapter FaceID"):
        mixed[0].catalog.find("face", "controlnet")


@pytest.mark.parametrize(("checkpoint", "control"), [("one", "for-sd1"), ("two", "for-sd2"), ("xl", "for-sdxl")])
def test_each_family_has_its_own(mixed: tuple[Engine, str], checkpoint: str, control: str) -> None:
    engine, picture = mixed
    assert drawn(engine, unit(picture, control), model=checkpoint) != drawn(engine, model=checkpoint)


def test_another_checkpoint_takes_the_room_of_networks_it_does_not_use(mixed: tuple[Engine, str]) -> None:
    engine, picture = mixed
    engine.unload("")
    drawn(engine, unit(picture, "for-sd1"), steps=1)
    drawn(engine, unit(picture, "for-sdxl"), model="xl", steps=1)
    assert [each.name for each in engine.resident()] == ["for-sdxl", "one", "xl"]


@pytest.mark.parametrize(
    ("checkpoint", "control", "says"),
    [
        ("one", "for-sdxl", "for-sdxl was made for sdxl, but the checkpoint one is sd1"),
        ("xl", "for-sd1", "for-sd1 was made for sd1, but the checkpoint xl is sdxl"),
        ("two", "for-sd1", "for-sd1 was made for sd1, but the checkpoint two is sd2"),
        (
            "one",
            "wide",
            r"wide does not fit the checkpoint one: both are sd1, but their layers differ \(32, 96; 16 and",
        ),
    ],
)
def test_a_wrong_pair_is_refused_by_name_before_anything_is_loaded(
    mixed: tuple[Engine, str], checkpoint: str, control: str, says: str
) -> None:
    engine, picture = mixed
    engine.unload("")
    request = ask("", controls=[unit(picture, control)], model=checkpoint)
    with pytest.raises(WrongFamily, match=says):
        checked(engine, request)
    with pytest.raises(WrongFamily, match=says):
        drawn(engine, unit(picture, control), model=checkpoint)
    assert engine.resident() == ()


def checked(engine: Engine, request: Request) -> Request:
    checkpoint = engine.catalog.find(request.model)
    return checked_controls(request, checkpoint, engine.catalog, engine.offers(), lambda name: True)


def test_names_are_settled_before_a_job_is_queued(engine: Engine, picture: str) -> None:
    asked = ask("", model="one", controls=[unit(picture, "Folder [0123456789]", preprocessor="Canny")])
    (found,) = checked(engine, asked).controls
    assert (found.model, found.preprocessor) == ("folder", "canny")
    assert checked(engine, ask("", model="one")).controls == ()


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"model": "nowhere"}, UnknownModel, "nowhere"),
        ({"preprocessor": "magic"}, BadRequest, "no preprocessor named magic"),
        ({"preprocessor": "canny", "options": {"thr": 3}}, BadRequest, "no option named thr. Allowed are: low, high"),
        ({"preprocessor": "canny", "options": {"low": 900}}, BadRequest, "low"),
        ({"image": ""}, BadRequest, "no picture"),
        ({"model": "", "preprocessor": "canny"}, BadRequest, "Choose a model"),
        ({"start": 0.6, "end": 0.5}, BadRequest, "begin before it ends"),
    ],
)
def test_what_makes_no_sense_is_refused(
    engine: Engine, picture: str, values: dict[str, Any], error: type[EaselError], says: str
) -> None:
    with pytest.raises(error, match=says):
        checked(engine, ask("", model="one", controls=[unit(picture) | values]))


def test_a_picture_that_is_gone_is_refused(engine: Engine) -> None:
    request = ask("", model="one", controls=[unit("0" * 64)])
    with pytest.raises(BadRequest, match="not here any more"):
        checked_controls(request, engine.catalog.find("one"), engine.catalog, engine.offers(), lambda name: False)
