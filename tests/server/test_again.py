"""An old picture is made again by the real engine, comes out bit for bit, and what has changed since is named."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from modules.commands.rooms import builtins
from modules.engine.engine import Engine
from modules.errors import BadRequest, UnknownModel
from modules.images import infotext
from modules.images.files import PictureFiles
from modules.images.metadata import Inside, inside
from modules.model_manager.catalog import Catalog
from modules.plugins import make_plugins
from modules.request import make_request
from modules.server.again import Change, changes, compared, request_again
from modules.server.recall import Knows, recall, recall_text
from modules.settings import Settings
from tests.fake_models import checkpoints, make_sd1
from tests.fakes import RecordingReport


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("again")
    make_sd1(checkpoints(folder) / "tiny", seed=1)
    settings = Settings(data_dir=folder, device="cpu")
    return Engine(settings, make_plugins("engine", builtins("engine"), None), Catalog(settings))


@pytest.fixture(scope="module")
def knows(engine: Engine) -> Knows:
    return cast(Knows, SimpleNamespace(catalog=engine.catalog, offers=engine.offers()))


def made(engine: Engine, values: dict[str, Any]) -> Path:
    """Make the last picture of a request, and return its file."""
    files = PictureFiles(engine.settings.outputs)
    *_, (_, path) = engine.generate(make_request(values), RecordingReport(), files.save)
    return path


def look(path: Path) -> Inside:
    found = inside(path)
    assert found is not None
    return found


@pytest.mark.parametrize("painted_over", [False, True])
def test_a_picture_of_a_batch_is_made_again_bit_for_bit(engine: Engine, knows: Knows, painted_over: bool) -> None:
    values: dict[str, Any] = {
        "prompt": " a (cat:1.2)\n",
        "sampler": "Euler a",
        "steps": 3,
        "seed": 7,
        "batch_size": 2,
        "clip_skip": 2,
        "width": 64,
        "height": 64,
    }
    if painted_over:
        name = engine.inputs.keep(Image.new("RGB", (64, 64), "red"))
        values["init"] = {"image": name, "denoising_strength": 0.6}
    path = made(engine, values)
    recalled = recall(look(path), knows)
    request = request_again(recalled, knows, engine.inputs)
    assert (request.images, request.seed, request.prompt) == (1, 8, values["prompt"])
    again = made(engine, request.model_dump())
    found = compared(engine.inputs, engine.inputs.put(path.read_bytes()), again)
    assert found is not None and found[0].equal
    assert engine.inputs.open(found[1]).getextrema() == ((0, 0),) * 3
    now = look(again).recipe
    assert now is not None and changes(recalled, now) == []
    assert now.attention and now.versions.keys() >= {"easel", "torch", "diffusers"}
    assert f", Device: cpu, Dtype: fp32, Attention: {now.attention}, Torch: " in infotext.write(now)


def test_another_seed_is_different_and_other_factors_are_named(engine: Engine, knows: Knows) -> None:
    path = made(engine, {"prompt": "a cat", "steps": 2, "seed": 1, "width": 64, "height": 64})
    name = engine.inputs.put(path.read_bytes())
    found = compared(engine.inputs, name, made(engine, {"prompt": "a dog", "steps": 2, "seed": 2}))
    assert found is not None and not found[0].equal
    inside_it = look(path)
    assert inside_it.recipe is not None
    then = inside_it.recipe.model_copy(
        update={"device": "Big GPU", "versions": {**inside_it.recipe.versions, "torch": "1.0"}, "model_hash": ""}
    )
    old = recall(Inside(infotext.write(then), then), knows)
    assert [(each.name, each.then) for each in changes(old, inside_it.recipe)] == [
        ("device", "Big GPU"),
        ("torch", "1.0"),
    ]
    text = recall_text(infotext.write(then), knows)  # the same, of the text alone
    assert {each.name for each in changes(text, inside_it.recipe)} == {"device", "torch"}


def test_a_text_of_another_tool_can_be_tried(engine: Engine, knows: Knows) -> None:
    text = "a cat\nSteps: 2, Sampler: Euler, CFG scale: 5, Seed: 3, Size: 64x64, Model: tiny, RNG: NV, Version: v1.10.1"
    recalled = recall_text(text, knows)
    request = request_again(recalled, knows, engine.inputs)
    assert (request.seed, request.width, request.model) == (3, 64, "tiny")
    now = look(made(engine, request.model_dump())).recipe
    assert now is not None
    assert changes(recalled, now) == [
        Change("program", "AUTOMATIC1111 v1.10.1", "Easel 0.1.0"),
    ]


def test_what_cannot_be_made_again_is_refused_with_the_reason(engine: Engine, knows: Knows) -> None:
    path = made(engine, {"prompt": "a cat", "steps": 2, "seed": 1, "width": 64, "height": 64})
    recipe = look(path).recipe
    assert recipe is not None
    gone = recipe.model_copy(update={"model": "absent", "model_hash": "ffffffffff"})
    with pytest.raises(UnknownModel, match="absent is not here"):
        request_again(recall(Inside("", gone), knows), knows, engine.inputs)
    lost = {"image": "f" * 64, "denoising_strength": 0.5}
    with pytest.raises(BadRequest, match="not here any more"):
        painted = type(recipe).model_validate({**recipe.model_dump(), "init": lost})
        request_again(recall(Inside("", painted), knows), knows, engine.inputs)
    with pytest.raises(BadRequest, match="steps and a seed"):
        request_again(recall_text("a cat", knows), knows, engine.inputs)


def test_each_checkpoint_keeps_the_autoencoder_that_was_its_own(tmp_path: Path) -> None:
    """The one that takes over has a VAE beside it, and the first has none: no single name could say that."""
    for seed, name in enumerate(("one", "two", "three")):
        make_sd1(checkpoints(tmp_path) / name, seed=seed)
    vae = checkpoints(tmp_path) / "three" / "vae" / "diffusion_pytorch_model.safetensors"
    shutil.copy(vae, checkpoints(tmp_path) / "two.vae.safetensors")
    settings = Settings(data_dir=tmp_path, device="cpu")
    engine = Engine(settings, make_plugins("engine", builtins("engine"), None), Catalog(settings))
    knows = cast(Knows, SimpleNamespace(catalog=engine.catalog, offers=engine.offers()))
    refiner = {"model": "two", "switch_at": 0.5, "switch_by": "steps"}
    path = made(engine, {"model": "one", "prompt": "a", "steps": 2, "seed": 7, "refiner": refiner})
    recipe = look(path).recipe
    assert recipe is not None and recipe.refiner is not None
    assert (recipe.vae, recipe.refiner.vae) == ("", "two.vae.safetensors")
    again = made(engine, request_again(recall(look(path), knows), knows, engine.inputs).model_dump())
    assert Image.open(again).tobytes() == Image.open(path).tobytes()
    now = look(again).recipe
    assert now is not None and changes(recall(look(path), knows), now) == []


@pytest.mark.parametrize("whole", [True, False])
def test_words_that_were_read_in_another_way_are_read_so_again(engine: Engine, knows: Knows, whole: bool) -> None:
    values = {"prompt": "a (cat # not a dog", "steps": 2, "seed": 7, "width": 64, "height": 64, "model": "tiny"}
    values["encoding"] = {"old_emphasis": True, "comma_backtrack": 3, "comments": False}
    path = made(engine, values)
    inside_it = look(path)
    recalled = recall(inside_it, knows) if whole else recall_text(inside_it.parameters, knows)
    request = request_again(recalled, knows, engine.inputs)
    assert request.encoding is not None and request.encoding.model_dump(exclude_defaults=True) == values["encoding"]
    assert Image.open(made(engine, request.model_dump())).tobytes() == Image.open(path).tobytes()
    assert Image.open(made(engine, {**values, "encoding": None})).tobytes() != Image.open(path).tobytes()
