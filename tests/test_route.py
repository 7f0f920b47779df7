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
from modules.engine.report import Wanted
from modules.errors import Cancelled
from modules.events import Step
from modules.images import infotext
from modules.images.outpaint import OVERLAP, Margins, extended
from modules.images.tiles import spans
from modules.request import make_request
from modules.result import Picture
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


def test_with_tokens_merged_it_still_shows_what_was_asked_for(starter: Engine) -> None:
    asked = "a red circle on a blue background"
    image = make(starter, asked, merging={"merge_ratio": 0.3})
    assert LOOKS["red"](middle(image)), f"the middle is {middle(image)}"
    assert sum(LOOKS["blue"](corner) for corner in corners(image)) >= 3, f"the corners are {corners(image)}"
    assert image.tobytes() != make(starter, asked).tobytes()
    assert image.tobytes() == make(starter, asked, merging={"merge_ratio": 0.3}).tobytes()


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


@pytest.fixture(scope="module")
def pair(starter: Engine) -> str:
    """A red circle to the left of a green tree on white, as a picture to paint over; its name."""
    image = make(starter, "a red circle next to a green tree on a white background")
    assert LOOKS["red"](colour(image, 0.2, 0.42, 0.35, 0.58))
    return starter.inputs.keep(image)


def test_img2img_keeps_layout_and_colours_when_little_is_changed(starter: Engine, pair: str) -> None:
    before = starter.inputs.open(pair)
    new = "a blue star next to a green tree on a white background"
    little = make(starter, new, init={"image": pair, "denoising_strength": 0.1})
    assert difference(little, before) < 12
    kept = make(
        starter,
        "a red circle next to a green tree on a white background",
        init={"image": pair, "denoising_strength": 0.3},
    )
    assert difference(kept, before) < 12
    assert LOOKS["red"](colour(kept, 0.2, 0.42, 0.35, 0.58))
    much = make(starter, new, init={"image": pair, "denoising_strength": 0.9})
    assert LOOKS["blue"](colour(much, 0.22, 0.45, 0.33, 0.58)), "at 0.9 the new prompt is followed"
    assert LOOKS["green"](colour(much, 0.65, 0.4, 0.8, 0.5))


def test_a_strength_of_nothing_gives_nearly_the_picture_back(starter: Engine, pair: str) -> None:
    image = make(starter, "a house", init={"image": pair, "denoising_strength": 0})
    assert difference(image, starter.inputs.open(pair)) < 6


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean absolute difference of their levels, 0..255."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize(
    "asked", [{}, {"fill": "noise"}, {"area": "masked", "padding": 16}, {"soft": {}}, {"blur": 0, "fill": "fill"}]
)
def test_inpainting_changes_what_is_masked_and_nothing_else(starter: Engine, pair: str, asked: dict[str, Any]) -> None:
    before = starter.inputs.open(pair)
    drawn = Image.new("L", before.size)
    drawn.paste(255, (0, 20, 66, 110))
    mask = {"image": starter.inputs.keep(drawn), **asked}
    strength = 1.0 if asked.get("fill") in ("noise", "fill") else 0.9
    image = make(
        starter,
        "a blue heart next to a green tree on a white background",
        init={"image": pair, "denoising_strength": strength},
        mask=mask,
    )
    assert image.size == before.size
    assert LOOKS["blue"](colour(image, 0.2, 0.42, 0.35, 0.55)), "the left thing is another one"
    reach = 66 + int(2.5 * mask.get("blur", 4) + 0.5) + 1
    if "soft" not in asked:
        assert np.array_equal(np.asarray(image)[:, reach:], np.asarray(before)[:, reach:])
    else:
        assert difference(image.crop((84, 0, 128, 128)), before.crop((84, 0, 128, 128))) < 2


def test_the_same_picture_comes_again_from_its_recipe(starter: Engine, pair: str) -> None:
    asked: dict[str, Any] = {"init": {"image": pair, "denoising_strength": 0.6}, "steps": 6}
    first, second = (make(starter, "a blue circle", **asked) for _ in range(2))
    assert np.array_equal(np.asarray(first), np.asarray(second))


def test_a_small_variation_is_nearly_the_same_picture_and_a_full_one_the_second_seeds(starter: Engine) -> None:
    def varied(strength: float) -> Image.Image:
        return make(starter, "a red star", steps=8, variation={"seed": 2, "strength": strength})

    plain, second = (make(starter, "a red star", steps=8, seed=seed) for seed in (1, 2))
    near, full = varied(0.05), varied(1.0)
    assert 0 < difference(near, plain) < difference(second, plain) / 2
    assert difference(full, second) < 1, "rounding apart"


def steps_between(image: Image.Image, axis: int) -> tuple[float, float]:
    """Return how far opposite borders differ, and how far those neighbours inside differ that differ most."""
    lines = np.moveaxis(np.asarray(image, float), axis, 0)
    inside = np.abs(np.diff(lines, axis=0)).mean((1, 2))
    return float(np.abs(lines[0] - lines[-1]).mean()), float(inside.max())


def test_opposite_borders_fit_together_where_that_is_asked_for(starter: Engine) -> None:
    """The floor of a scene is darker than its wall, so they do not by themselves. A thing may end at a border."""

    def seams(seed: int, tiling: bool) -> list[float]:
        image = make(starter, "a red circle on a blue background", seed=seed, steps=10, tiling=tiling)
        return [wrap / most for wrap, most in (steps_between(image, axis) for axis in (0, 1))]

    plain, fitting = ([seams(seed, tiling) for seed in (1, 2, 3)] for tiling in (False, True))
    assert min(up for up, _ in plain) > 1, "top and bottom differ more than any neighbours inside"
    assert np.mean(fitting) < 0.5, "both pairs of borders differ as neighbours inside do"
    assert seams(1, False) == plain[0], "afterwards all is as it was"


@pytest.mark.parametrize("upscaler", ["Latent", "starter-2x"])
def test_a_second_pass_makes_the_same_picture_larger(starter: Engine, upscaler: str) -> None:
    asked: dict[str, Any] = {
        "prompt": "a red mushroom on a yellow background",
        "seed": 4,
        "steps": 12,
        "width": 128,
        "height": 128,
    }
    small = make(starter, **asked)
    hires = {"upscaler": upscaler, "denoising_strength": 0.1, "steps": 10, "sampler": "k_euler", "schedule": "karras"}
    report = RecordingReport()
    request = make_request({"model": "starter", **asked, "hires": hires})
    ((picture, _),) = starter.generate(request, report, lambda picture: picture)
    assert picture.image.size == (256, 256) == picture.recipe.size
    assert difference(picture.image.resize((128, 128), Image.Resampling.BOX), small) < 20
    assert [(step.step, step.steps) for step in report.events if isinstance(step, Step)][-1] == (14, 14), "12 and 2"
    text = infotext.write(picture.recipe)
    assert "Size: 128x128, " in text and f"Hires steps: 10, Hires upscaler: {upscaler}, " in text
    assert "Denoising strength: 0.1, Hires sampler: Euler, Hires upscale: 2, " in text


def test_a_picture_is_painted_on_downwards_without_a_seam(starter: Engine) -> None:
    kept = 128 - OVERLAP - int(2.5 * 4 + 0.5) - 1  # rows that the mask and its blur leave alone
    joint, others = [], []
    for seed in (1, 2, 3):
        above = make(starter, "a yellow house on a blue background", seed=seed)
        whole, new = extended(above, Margins(down=64))
        image = make(
            starter,
            "a yellow house above a green tree on a blue background",
            seed=seed,
            cfg_scale=4.0,
            width=128,
            height=128,
            init={"image": starter.inputs.keep(whole)},
            mask={"image": starter.inputs.keep(new), "area": "masked", "padding": 64},
        )
        assert image.size == (128, 192)
        assert np.array_equal(np.asarray(image)[:kept], np.asarray(above)[:kept])
        assert LOOKS["green"](colour(image, 0.42, 0.75, 0.58, 0.85)), "there is the tree"
        ground = np.asarray(image, float)[:, np.r_[0:12, 116:128]]  # where no thing has an edge of its own
        assert np.abs(ground[80:100].mean((0, 1)) - ground[150:185].mean((0, 1))).max() < 45, "it is the same ground"
        steps = np.abs(np.diff(ground, axis=0)).mean((1, 2))
        joint.append(steps[kept - 4 : 132].max())
        others.append(np.delete(steps, range(kept - 4, 132)).max())
    assert np.mean(joint) < np.mean(others), "no row stands out where old and new meet"


@pytest.mark.parametrize("colours", [("yellow", "red"), ("blue", "white")])
def test_canny_control_keeps_the_silhouette_while_the_prompt_chooses_the_colours(
    starter: Engine, colours: tuple[str, str]
) -> None:
    rows, columns = np.mgrid[:128, :128]
    disc = (rows - 66) ** 2 + (columns - 62) ** 2 < 30**2
    drawn = Image.fromarray(np.where(disc[..., None], (40, 150, 70), (250, 250, 250)).astype(np.uint8))
    unit = {
        "image": starter.inputs.keep(drawn),
        "preprocessor": "canny",
        "model": "starter-canny",
        "pixel_perfect": True,
    }
    thing, ground = colours
    image = make(starter, f"a {thing} circle on a {ground} background", controls=[unit])
    assert LOOKS[thing](colour(image, 0.4, 0.42, 0.56, 0.6)) and LOOKS[ground](colour(image, 0, 0, 0.1, 0.1))
    pixels = np.asarray(image, float)
    object_, paper = (np.array(colour(image, *box)) for box in ((0.4, 0.42, 0.56, 0.6), (0, 0, 0.1, 0.1)))
    inside = np.abs(pixels - object_).sum(-1) < np.abs(pixels - paper).sum(-1)
    overlap = (inside & disc).sum() / (inside | disc).sum()
    assert overlap > 0.75, f"they overlap by {overlap:.2f}"


def test_two_units_at_once_are_not_one(starter: Engine) -> None:
    drawn = Image.new("RGB", (128, 128), "white")
    drawn.paste("black", (40, 30, 90, 100))
    name = starter.inputs.keep(drawn)
    unit = {"image": name, "preprocessor": "canny", "model": "starter-canny", "weight": 0.6}
    pictures = [
        make(starter, "a red circle on a blue background", steps=4, controls=units)
        for units in ([], [unit], [unit, {**unit, "preprocessor": "invert", "weight": 0.4}])
    ]
    assert len({picture.tobytes() for picture in pictures}) == 3
    silent = make(starter, "a red circle on a blue background", steps=4, controls=[{**unit, "weight": 0}])
    assert silent.tobytes() == pictures[0].tobytes(), "a weight of 0 changes nothing, bit for bit"


PAIR = "a red circle next to a green tree on a white background"


def in_tiles(engine: Engine, picture: str, report: RecordingReport | None = None, **tiles: Any) -> Picture:
    request = make_request(
        {
            "model": "starter",
            "prompt": PAIR,
            "seed": 1,
            "steps": 20,
            "init": {"image": picture, "denoising_strength": 0.1},
            "tiles": {"scale": 2, "overlap": 32, "upscaler": "starter-2x", **tiles},
        }
    )
    ((picture_made, _),) = engine.generate(request, report or RecordingReport(), lambda picture: picture)
    return picture_made


@pytest.mark.parametrize("joined", ["end", "step"])
def test_a_picture_becomes_larger_in_tiles_without_a_seam(starter: Engine, pair: str, joined: str) -> None:
    before = starter.inputs.open(pair)
    report = RecordingReport()
    made = in_tiles(starter, pair, report, joined=joined)
    assert made.image.size == (256, 256)
    small = made.image.resize((128, 128), Image.Resampling.LANCZOS)
    assert difference(small, before) < 14, "colours and layout stay"
    assert LOOKS["red"](colour(made.image, 0.2, 0.42, 0.35, 0.58))
    assert LOOKS["green"](colour(made.image, 0.65, 0.4, 0.8, 0.5))
    sharp = before.resize((256, 256), Image.Resampling.LANCZOS)
    assert difference(made.image, sharp) > 0.5, "it is painted over, not resampled alone"
    # Against the picture that was made larger alone, what the tiles change is no greater where one ends.
    borders = [edge for span in spans(256, 128, 32) for edge in (span.start, span.end) if 0 < edge < 256]
    changed = np.asarray(made.image, float) - np.asarray(sharp, float)
    for axis in (0, 1):
        steps = np.abs(np.diff(changed, axis=axis)).mean((1 - axis, 2))
        assert max(steps[edge - 1] for edge in borders) < np.percentile(steps, 97)
    told = [event for event in report.events if event.kind == "step"]
    count = {"end": 9 * 3, "step": 3}[joined]  # nine tiles, int(0.1 * 20) + 1 steps
    assert [event.step for event in told] == list(range(1, count + 1)) and told[-1].steps == count
    assert made.recipe.tiles is not None and (made.recipe.tiles.width, made.recipe.width) == (128, 256)
    entries = infotext.read(infotext.write(made.recipe))
    assert (entries["SD upscale overlap"], entries["SD upscale upscaler"]) == ("32", "starter-2x")


def test_a_stop_is_heard_between_tiles(starter: Engine, pair: str) -> None:
    going: list[Wanted] = ["go"] * 12
    report = RecordingReport(*going, "stop")
    with pytest.raises(Cancelled):
        in_tiles(starter, pair, report, upscaler="Lanczos")
    steps = [event.step for event in report.events if event.kind == "step"]
    assert 3 < len(steps) < 24, "in the middle of one of nine tiles"


def test_a_control_holds_within_each_tile(starter: Engine, pair: str) -> None:
    """The hint of a whole picture, cut to the tiles, keeps its edges where they were even at full strength."""
    unit = {"preprocessor": "canny", "model": "starter-canny", "pixel_perfect": True}
    request = {
        "width": 128,
        "height": 128,
        "steps": 8,
        "init": {"image": pair, "denoising_strength": 0.5},
        "tiles": {"scale": 1.5, "overlap": 64, "joined": "step"},
    }
    with_control, without = (make(starter, PAIR, **request, controls=units) for units in ([unit], []))
    before = starter.inputs.open(pair).resize((192, 192), Image.Resampling.LANCZOS)
    assert with_control.size == (192, 192)
    assert difference(with_control, before) < difference(without, before)
