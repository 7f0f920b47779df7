"""Second passes and refiners on the starter model: what they show, and that their pictures come out of files again."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from modules.engine.engine import Engine
from modules.events import Step
from modules.images import infotext
from modules.images.files import PictureFiles
from modules.images.metadata import Inside, inside
from modules.request import make_request
from modules.result import Picture
from modules.server.again import request_again, request_larger
from modules.server.recall import Knows, recall, recall_text
from modules.settings import ROOT
from modules.ui.fields import as_request
from tests.fake_loras import kohya, write_lora
from tests.fake_models import checkpoints, engine_on
from tests.fakes import RecordingReport
from tests.test_route import LOOKS, corners, difference, middle

STARTER = ROOT / "models" / "Stable-diffusion" / "starter"
UNET = Path("unet") / "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine on the starter, on the starter with its weights shaken a little, and on a LoRA for either."""
    root = tmp_path_factory.mktemp("second")
    checkpoints(root).mkdir(parents=True)
    shutil.copytree(STARTER, checkpoints(root) / "starter")
    other = shutil.copytree(STARTER, checkpoints(root) / "other")
    weights = {name: each * 1.02 if each.ndim == 4 else each for name, each in load_file(other / UNET).items()}
    save_file(weights, other / UNET)
    key = next(name for name in weights if name.endswith("attn2.to_v.weight"))
    out, into = weights[key].shape
    torch.manual_seed(0)
    ranks = {
        "lora_down.weight": torch.randn(4, into),
        "lora_up.weight": torch.randn(out, 4),
        "alpha": torch.tensor(4.0),
    }
    layers = {kohya("unet", key.removesuffix(".weight")): ranks}
    write_lora(root / "models" / "Lora" / "bent.safetensors", layers)
    return engine_on(root)


@pytest.fixture(scope="module")
def knows(engine: Engine) -> Knows:
    return cast(Knows, SimpleNamespace(catalog=engine.catalog, offers=engine.offers()))


def made(engine: Engine, report: RecordingReport | None = None, **values: Any) -> Picture:
    asked = {"model": "starter", "seed": 1, "steps": 12, "width": 128, "height": 128, **values}
    generated = engine.generate(make_request(asked), report or RecordingReport(), lambda picture: picture)
    ((picture, _),) = generated
    return picture


def of_form(engine: Engine, values: dict[str, Any]) -> Picture:
    """Make what a form with those values asks for."""
    kept = {name: value for name, value in values.items() if not name.startswith("in_tiles")}
    if not kept.pop("hires_on"):
        kept = {name: value for name, value in kept.items() if not name.startswith("hires/")}
    return made(engine, **{name: value for name, value in as_request(kept).items() if name != "soft"})


def test_the_second_pass_shows_what_its_own_prompt_asks_for(engine: Engine) -> None:
    hires = {
        "upscaler": "Latent",
        "denoising_strength": 0.9,
        "scale": 1,
        "prompt": "a yellow circle on a green background",
    }
    picture = made(engine, prompt="a red circle on a blue background", hires=hires)
    assert LOOKS["yellow"](middle(picture.image)), f"the middle is {middle(picture.image)}"
    assert sum(LOOKS["green"](corner) for corner in corners(picture.image)) >= 3
    plain = made(engine, prompt="a red circle on a blue background", hires={**hires, "prompt": ""})
    assert LOOKS["red"](middle(plain.image)) and sum(LOOKS["blue"](each) for each in corners(plain.image)) >= 3


def test_a_refiner_goes_on_with_the_picture_that_was_begun(engine: Engine) -> None:
    asked: dict[str, Any] = {"prompt": "a red circle on a blue background", "steps": 20}
    plain, refined = made(engine, **asked), made(engine, **asked, refiner={"model": "other", "switch_at": 0.7})
    assert refined.recipe.refiner is not None
    assert 0 < difference(refined.image, plain.image) < 30
    assert LOOKS["red"](middle(refined.image))


@pytest.mark.parametrize(
    "asked",
    [
        {"hires": {"model": "other", "prompt": "a green tree, on white", "denoising_strength": 0.6, "scale": 1.25}},
        {"hires": {"upscaler": "Lanczos", "negative_prompt": "red", "cfg_scale": 4, "steps": 6, "scale": 1.25}},
        {"refiner": {"model": "other", "switch_at": 0.4}},
        {"refiner": {"model": "other", "switch_at": 0.5, "switch_by": "steps"}, "sampler": "DPM++ 2M SDE"},
        {
            "hires": {"model": "other", "denoising_strength": 0.5, "scale": 1.25},
            "refiner": {"model": "starter", "switch_at": 0.6, "passes": "both"},
        },
        {"variation": {"seed": 9, "strength": 0.3}},
        {"variation": {"seed": 9, "strength": 0.2, "from_width": 64, "from_height": 64}, "noise_source": "NV"},
        {"prompt": "a [red:green:0.5] [circle|star] AND a tree :0.4"},
        {"prompt": "a red circle <lora:bent:0.7>"},
        {"prompt": "a ((red)) circle", "encoding": {"old_emphasis": True}, "clip_skip": 2},
        {"merging": {"merge_ratio": 0.3}, "tiling": True},
    ],
)
def test_picture_text_form_and_the_same_picture(engine: Engine, knows: Knows, asked: dict[str, Any]) -> None:
    picture = made(engine, **{"prompt": "a red circle", "steps": 8, **asked})
    assert picture.image.tobytes() != made(engine, prompt="a red circle", steps=8).image.tobytes()
    text = infotext.write(picture.recipe)
    told = recall_text(text, knows)
    assert told.left == ()
    again = of_form(engine, dict(told.values))
    assert again.image.tobytes() == picture.image.tobytes()
    assert infotext.write(again.recipe) == text
    recalled = recall(Inside(text, picture.recipe, {"parameters": text}), knows)
    request = request_again(recalled, knows, engine.inputs)
    ((verified, _),) = engine.generate(request, RecordingReport(), lambda picture: picture)
    assert verified.image.tobytes() == picture.image.tobytes()


def test_a_finished_picture_becomes_larger_by_a_second_pass_alone(engine: Engine, knows: Knows, tmp_path: Path) -> None:
    picture = made(engine, prompt="a red circle on a blue background")
    path = PictureFiles(tmp_path).save(picture)
    found = inside(path)
    assert found is not None
    hires = {"upscaler": "Latent", "denoising_strength": 0.3, "scale": 1.5, "steps": 10}
    request = request_larger(recall(found, knows), knows, engine.inputs, path, hires)
    assert (request.seed, request.prompt, request.images) == (1, picture.recipe.prompt, 1)
    report = RecordingReport()
    ((larger, _),) = engine.generate(request, report, lambda picture: picture)
    assert larger.image.size == (192, 192)
    assert difference(larger.image.resize((128, 128), Image.Resampling.BOX), picture.image) < 20
    assert [event.steps for event in report.events if isinstance(event, Step)] == [4] * 4, "no first pass"
    recalled = recall(Inside(infotext.write(larger.recipe), larger.recipe), knows)
    again = request_again(recalled, knows, engine.inputs)
    ((verified, _),) = engine.generate(again, RecordingReport(), lambda picture: picture)
    assert verified.image.tobytes() == larger.image.tobytes()
    # The text is what A1111 writes: that of a picture of two passes, which leads to nearly the same.
    both = of_form(engine, dict(recall_text(infotext.write(larger.recipe), knows).values))
    assert difference(both.image, larger.image) < 12
