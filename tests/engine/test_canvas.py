"""What is painted over: sizes, frames, fills, and pixels that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.engine.canvas import prepare, size_of
from modules.images.inputs import Inputs
from modules.request import Request, make_request
from tests.fakes import RecordingReport


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(tmp_path)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def box_mask(width: int, height: int, *box: int) -> Image.Image:
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask


def ask(inputs: Inputs, image: Image.Image, drawn: Image.Image | None = None, **values: Any) -> Request:
    part = {"image": inputs.keep(image), **values.pop("init", {})}
    masked = {"mask": {"image": inputs.keep(drawn), **values.pop("mask", {})}} if drawn is not None else {}
    return make_request({"init": part, **masked, **values})


@pytest.mark.parametrize(
    ("given", "asked", "found"),
    [
        ((200, 100), {}, (200, 96)),
        ((200, 100), {"width": 64}, (64, 96)),
        ((4000, 3000), {}, (2048, 1536)),
        ((9, 3000), {}, (64, 2048)),
        ((200, 100), {"width": 128, "height": 256}, (128, 256)),
    ],
)
def test_without_a_size_the_picture_has_its_own(
    inputs: Inputs, given: tuple[int, int], asked: dict[str, Any], found: tuple[int, int]
) -> None:
    assert size_of(ask(inputs, Image.new("RGB", given), **asked), inputs, 512) == found


def test_only_what_is_masked_has_the_models_size(inputs: Inputs) -> None:
    request = ask(inputs, Image.new("RGB", (200, 100)), box_mask(200, 100, 10, 10, 20, 20), mask={"area": "masked"})
    assert size_of(request, inputs, 512) == (512, 512)
    assert size_of(make_request({}), inputs, 512) == (512, 512)


@pytest.mark.parametrize("area", ["whole", "masked"])
@pytest.mark.parametrize("blur", [0, 4])
@pytest.mark.parametrize("correct", [False, True])
def test_what_the_mask_does_not_cover_stays_bit_for_bit(inputs: Inputs, area: str, blur: int, correct: bool) -> None:
    image = noise(128, 128)
    request = ask(
        inputs,
        image,
        box_mask(128, 128, 40, 40, 79, 79),
        mask={"area": area, "blur": blur, "padding": 8},
        init={"color_correction": correct},
        width=64 if area == "masked" else 128,
        height=64 if area == "masked" else 128,
    )
    canvas = prepare(request, inputs, request.width or 0, request.height or 0, RecordingReport())
    assert canvas is not None and canvas.begun.size == (request.width, request.height)
    result = np.asarray(canvas.finished(Image.new("RGB", canvas.begun.size, "red")))
    assert result.shape == (128, 128, 3)
    reach = int(2.5 * blur + 0.5) + 1
    changed = (result != np.asarray(image)).any(-1)
    rows, columns = np.where(changed)
    assert 40 - reach <= rows.min() and rows.max() < 80 + reach
    assert 40 - reach <= columns.min() and columns.max() < 80 + reach
    assert changed[44:76, 44:76].all()


def test_the_frame_has_the_shape_of_the_result_and_lies_in_the_picture(inputs: Inputs) -> None:
    request = ask(inputs, noise(300, 100), box_mask(300, 100, 270, 40, 289, 49), mask={"area": "masked", "padding": 4})
    canvas = prepare(request, inputs, 64, 64, RecordingReport())
    assert canvas is not None and canvas.box is not None
    left, top, right, bottom = canvas.box
    assert (left, right) == (266, 294) and right - left == bottom - top
    assert top >= 0 and bottom <= 100
    assert canvas.begun.size == (64, 64) and canvas.whole.size == (300, 100)


def test_an_empty_mask_is_told_of(inputs: Inputs) -> None:
    report = RecordingReport()
    request = ask(inputs, noise(64, 64), Image.new("L", (64, 64)), mask={"area": "masked"})
    canvas = prepare(request, inputs, 64, 64, report)
    assert canvas is not None and canvas.mask is None
    assert [getattr(event, "key", "") for event in report.events] == ["mask_blank"]


def test_fill_takes_the_colours_around(inputs: Inputs) -> None:
    image = Image.new("RGB", (128, 128), (10, 200, 30))
    ImageDraw.Draw(image).rectangle((40, 40, 80, 80), fill=(255, 0, 255))
    request = ask(inputs, image, box_mask(128, 128, 36, 36, 84, 84), mask={"fill": "fill", "blur": 0})
    canvas = prepare(request, inputs, 128, 128, RecordingReport())
    assert canvas is not None
    assert np.abs(np.asarray(canvas.begun, int) - (10, 200, 30)).max() <= 8


def test_an_inverted_mask_and_a_transparent_one(inputs: Inputs) -> None:
    drawn = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    ImageDraw.Draw(drawn).rectangle((0, 0, 31, 63), fill=(0, 0, 0, 255))
    plain = prepare(ask(inputs, noise(64, 64), drawn, mask={"blur": 0}), inputs, 64, 64, RecordingReport())
    turned = prepare(
        ask(inputs, noise(64, 64), drawn, mask={"blur": 0, "invert": True}), inputs, 64, 64, RecordingReport()
    )
    assert plain is not None and plain.mask is not None and turned is not None and turned.mask is not None
    assert (np.asarray(plain.mask)[:, :32] == 255).all() and (np.asarray(plain.mask)[:, 32:] == 0).all()
    assert (np.asarray(turned.mask) == 255 - np.asarray(plain.mask)).all()


def test_transparency_shows_the_background(inputs: Inputs) -> None:
    request = ask(inputs, Image.new("RGBA", (64, 64), (0, 0, 0, 0)), init={"background": "#102030"})
    canvas = prepare(request, inputs, 64, 64, RecordingReport())
    assert canvas is not None and canvas.begun.getpixel((5, 5)) == (0x10, 0x20, 0x30)


def test_colour_correction_gives_the_colours_of_the_picture(inputs: Inputs) -> None:
    request = ask(inputs, Image.new("RGB", (64, 64), (200, 60, 60)), init={"color_correction": True})
    canvas = prepare(request, inputs, 64, 64, RecordingReport())
    assert canvas is not None
    result = np.asarray(canvas.finished(Image.new("RGB", (64, 64), (60, 60, 200)))).reshape(-1, 3).mean(0)
    assert result[0] > result[2] + 40
