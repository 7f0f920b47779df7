"""Small networks fitted to the starter model (`modules.starter.fit`): what they do to its pictures, and when not.

Each repaints the stage in its own colour, whatever colour the prompt asks for, and leaves the thing on it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.engine.engine import Engine
from modules.images import infotext
from modules.request import make_request
from modules.result import Picture
from modules.settings import ROOT
from tests.fake_models import engine_on
from tests.fakes import RecordingReport
from tests.test_route import LOOKS, RGB, corners, middle

DATA = Path(__file__).parent / "data"
PROMPT = "a white circle on a blue background"
# What is written into a prompt, at strength 1 and at 0, and the colour the stage then has.
LORA = ("{} <lora:green-stage:1>", "{} <lora:green-stage:0>", "green")
EMBEDDING = ("{}, yellow-stage", "{} (yellow-stage:0)", "yellow")
HYPERNETWORK = ("{} <hypernet:pink-stage:1>", "{} <hypernet:pink-stage:0>", "pink")
LOOKS_PINK: dict[str, Callable[[RGB], bool]] = {
    **LOOKS,
    "pink": lambda c: c[0] > 200 and c[0] > c[1] + 40 and c[2] > c[1],
}


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine_on(tmp_path_factory.mktemp("fitted"), model_roots=(ROOT / "models", DATA))


def make(engine: Engine, prompt: str, **values: Any) -> tuple[Picture, RecordingReport]:
    report = RecordingReport()
    request = make_request({"model": "starter", "prompt": prompt, "seed": 1, "steps": 10, **values})
    ((picture, _),) = engine.generate(request, report, lambda picture: None)
    return picture, report


def stage(image: Image.Image) -> list[str]:
    """The colours of the corners, as far as they have names."""
    return [next((name for name, looks in LOOKS_PINK.items() if looks(each)), str(each)) for each in corners(image)]


@pytest.fixture(scope="module")
def plain(starter: Engine) -> Image.Image:
    image = make(starter, PROMPT)[0].image
    assert stage(image).count("blue") >= 3
    return image


@pytest.mark.parametrize(("written", "colour"), [(each[0], each[2]) for each in (LORA, EMBEDDING, HYPERNETWORK)])
def test_at_strength_1_the_stage_is_repainted(starter: Engine, written: str, colour: str) -> None:
    picture, report = make(starter, written.format(PROMPT))
    assert stage(picture.image).count(colour) >= 3, stage(picture.image)
    assert LOOKS["white"](middle(picture.image)), f"the circle is {middle(picture.image)}"
    assert "note" not in report.kinds()


@pytest.mark.parametrize("written", [LORA[1], EMBEDDING[1], HYPERNETWORK[1]])
def test_at_strength_0_not_a_bit_is_different(starter: Engine, plain: Image.Image, written: str) -> None:
    assert make(starter, written.format(PROMPT))[0].image.tobytes() == plain.tobytes()


def test_afterwards_the_model_is_what_it_was(starter: Engine, plain: Image.Image) -> None:
    make(starter, "a <lora:green-stage:0.7> yellow-stage <hypernet:pink-stage:-0.5>", steps=2)
    assert make(starter, PROMPT)[0].image.tobytes() == plain.tobytes()


def test_the_picture_says_what_was_used(starter: Engine) -> None:
    prompt = "a circle, yellow-stage <lora:green-stage:1> <hypernet:pink-stage:0.5>"
    picture, _ = make(starter, prompt, steps=1, negative_prompt="(Yellow-Stage:0.5)")
    networks = picture.recipe.networks
    assert {kind: list(used) for kind, used in networks.items()} == {
        "lora": ["green-stage"],
        "hypernetwork": ["pink-stage"],
        "embedding": ["yellow-stage"],
    }
    hashes = {name: value for used in networks.values() for name, value in used.items()}
    assert all(len(value) == 12 for value in hashes.values())
    read = infotext.read(infotext.write(picture.recipe))
    assert read["Prompt"] == prompt
    assert read["TI hashes"] == f"yellow-stage: {hashes['yellow-stage']}"
    assert read["Lora hashes"] == f"green-stage: {hashes['green-stage']}"
    assert read["Hypernet hashes"] == f"pink-stage: {hashes['pink-stage']}"


def test_the_files_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in DATA.rglob("*") if file.is_file()}
    assert sizes
    assert max(sizes.values()) < 2**20
