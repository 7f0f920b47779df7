"""Requests through the whole engine on the starter model: what the pictures show."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.engine.engine import Engine
from modules.request import make_request
from modules.settings import ROOT
from tests.fake_models import engine_on
from tests.fakes import RecordingReport

RGB = tuple[float, float, float]
LOOKS: dict[str, Callable[[RGB], bool]] = {
    "red": lambda c: c[0] > c[1] + 60 and c[0] > c[2] + 60,
    "green": lambda c: c[1] > c[0] + 30 and c[1] > c[2] + 30,
    "blue": lambda c: c[2] > c[0] + 30 and c[2] > c[1],
    "yellow": lambda c: c[0] > c[2] + 60 and c[1] > c[2] + 60,
    "white": lambda c: min(c) > 190,
    "black": lambda c: max(c) < 80,
}


@pytest.fixture(scope="module")
def starter() -> Engine:
    return engine_on(ROOT)


def make(engine: Engine, prompt: str, **values: Any) -> Image.Image:
    request = make_request({"model": "starter", "prompt": prompt, "seed": 1, **values})
    ((picture, _),) = engine.generate(request, RecordingReport(), lambda picture: picture)
    return picture.image


def colour(image: Image.Image, left: float, top: float, right: float, bottom: float) -> RGB:
    """The median colour of a part of the picture; sides as fractions."""
    width, height = image.size
    part = np.asarray(image)[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
    red, green, blue = np.median(part.reshape(-1, 3), axis=0)
    return float(red), float(green), float(blue)


def middle(image: Image.Image) -> RGB:
    return colour(image, 0.42, 0.42, 0.58, 0.58)


def corners(image: Image.Image) -> list[RGB]:
    return [colour(image, x, y, x + 0.08, y + 0.08) for x in (0.0, 0.92) for y in (0.0, 0.92)]


@pytest.mark.parametrize(
    ("thing", "background"), [("red", "blue"), ("yellow", "green"), ("blue", "yellow"), ("white", "red")]
)
def test_a_circle_on_a_background(starter: Engine, thing: str, background: str) -> None:
    image = make(starter, f"a {thing} circle on a {background} background")
    assert image.size == (128, 128), "the starter's own size, when none is asked for"
    assert LOOKS[thing](middle(image)), f"the middle is {middle(image)}"
    right = [LOOKS[background](corner) for corner in corners(image)]
    assert sum(right) >= 3, f"the corners are {corners(image)}"


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M SDE", "UniPC", "Heun"])
def test_every_kind_of_sampler_shows_it(starter: Engine, sampler: str) -> None:
    image = make(starter, "a red circle on a blue background", sampler=sampler)
    assert LOOKS["red"](middle(image)), f"the middle is {middle(image)}"
    assert sum(LOOKS["blue"](corner) for corner in corners(image)) >= 3, f"the corners are {corners(image)}"


def test_the_negative_prompt_keeps_things_away(starter: Engine) -> None:
    """Without a word about the background, forbidding a colour makes it rarer over some seeds."""

    def blue(negative: str) -> float:
        pictures = [make(starter, "a red circle", negative_prompt=negative, seed=seed) for seed in range(3)]
        return sum(LOOKS["blue"](corner) for image in pictures for corner in corners(image)) / 12

    assert blue("blue background") <= blue("")
    assert blue("blue background") < 0.3


def test_the_preview_shows_the_picture(starter: Engine) -> None:
    report = RecordingReport()
    request = make_request({"model": "starter", "prompt": "a red circle on a blue background", "seed": 1})
    ((_, _),) = starter.generate(request, report, lambda picture: picture)
    previews = [event for event in report.events if event.kind == "preview"]
    image = Image.open(io.BytesIO(base64.b64decode(previews[-1].webp))).convert("RGB")
    assert image.size == (128, 128)
    assert LOOKS["red"](middle(image)), f"the middle is {middle(image)}"
