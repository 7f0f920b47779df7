"""Hints with holes, what is kept around them, and hints that are cut as the picture that is painted over is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.engine.canvas import prepare
from modules.engine.engine import Engine
from modules.engine.job import Job
from modules.errors import BadRequest
from modules.model_manager.control_check import checked_controls
from modules.request import Request
from tests.fakes import RecordingReport, ask

SIDE = 64
HOLES = ("inpaint_only", "inpaint_global_harmonious")


def kept(engine: Engine, pixels: np.ndarray) -> str:
    return engine.inputs.keep(Image.fromarray(pixels.astype(np.uint8)))


@pytest.fixture(scope="module")
def scene(engine: Engine) -> str:
    """A picture of 128 x 96 in which every pixel is another colour."""
    rows, columns = np.mgrid[:96, :128]
    return kept(engine, np.stack([rows * 2, columns, (rows + columns) % 256], axis=2))


@pytest.fixture(scope="module")
def hole(engine: Engine) -> str:
    """A mask of that size: white in 16..48 x 64..96."""
    pixels = np.zeros((96, 128, 3))
    pixels[16:48, 64:96] = 255
    return kept(engine, pixels)


def job_of(engine: Engine, request: Request, width: int, height: int) -> Job:
    sampler = engine.samplers["Euler"]
    return Job(request, request.shots(), 1, sampler, engine.schedules["Uniform"], width, height)


def hint(engine: Engine, unit: dict[str, Any], width: int = 128, height: int = 96, **values: Any) -> Tensor:
    """Return the hint (3, H, W) of a unit in a request."""
    request = ask("", seed=1, controls=[{"model": "one", **unit}], **values)
    made = engine.controls.hints.hint(request.controls[0], job_of(engine, request, width, height), torch.device("cpu"))
    return made[0]


@pytest.mark.parametrize("preprocessor", HOLES)
def test_what_is_masked_is_a_hole_in_the_hint(engine: Engine, scene: str, hole: str, preprocessor: str) -> None:
    """-1 in every colour exactly there, and the picture itself, unchanged, everywhere else."""
    pixels = torch.from_numpy(np.asarray(engine.inputs.open(scene)).copy()).permute(2, 0, 1) / 255
    found = hint(engine, {"image": scene, "mask": hole, "preprocessor": preprocessor})
    inside = torch.zeros(96, 128, dtype=torch.bool)
    inside[16:48, 64:96] = True
    assert bool((found[:, inside] == -1).all())
    assert torch.allclose(found[:, ~inside], pixels[:, ~inside])


def test_the_requests_own_mask_counts_where_a_unit_has_none(engine: Engine, scene: str, hole: str) -> None:
    asked: dict[str, Any] = {"init": {"image": scene}, "mask": {"image": hole}}
    unit = {"preprocessor": "inpaint_only"}
    assert torch.equal(hint(engine, unit, **asked), hint(engine, {"image": scene, "mask": hole, **unit}))
    turned = hint(engine, unit, init={"image": scene}, mask={"image": hole, "invert": True})
    assert torch.equal(turned == -1, hint(engine, unit, **asked) != -1)


def test_a_hole_without_a_mask_is_refused_before_it_is_queued(engine: Engine, scene: str) -> None:
    request = ask("", model="one", controls=[{"image": scene, "model": "folder", "preprocessor": "inpaint_only"}])
    with pytest.raises(BadRequest, match="inpaint_only needs a mask"):
        checked_controls(request, engine.catalog.find("one"), engine.catalog, engine.offers(), lambda name: True)


def made(engine: Engine, **values: Any) -> np.ndarray:
    asked = {"steps": 2, "model": "one", "seed": 7, "sampler": "Euler", "width": 128, "height": 96} | values
    ((picture, _),) = engine.generate(ask("a cat", **asked), RecordingReport(), lambda picture: picture)
    return np.asarray(picture.image)


def test_only_keeps_what_is_around_the_hole_and_harmonious_does_not(engine: Engine, scene: str, hole: str) -> None:
    """Without any picture to paint over: the unit's own is filled in, and every pixel away from the hole is its own."""
    original = np.asarray(engine.inputs.open(scene))
    unit = {"image": scene, "mask": hole, "model": "folder"}
    only, all_of_it = (made(engine, controls=[{**unit, "preprocessor": name}]) for name in HOLES)
    away = np.ones((96, 128), bool)
    away[0:64, 48:112] = False  # 16 pixels around it are the seam
    assert np.array_equal(only[away], original[away])
    assert not np.array_equal(all_of_it[away], original[away])
    inside = np.s_[24:40, 72:88]
    assert np.array_equal(only[inside], all_of_it[inside])
    assert not np.array_equal(only[inside], original[inside])


def test_what_is_kept_is_as_large_as_a_second_pass_makes_the_picture(engine: Engine, scene: str, hole: str) -> None:
    unit = {"image": scene, "mask": hole, "model": "folder", "preprocessor": "inpaint_only"}
    found = made(engine, controls=[unit], hires={"scale": 2})
    assert found.shape == (192, 256, 3)
    larger = np.asarray(engine.inputs.open(scene).resize((256, 192)), float)
    away = np.abs(found - larger)[140:]  # far below the hole
    assert away.mean() < 12, "it is the unit's own picture there, but for how it is made larger"


MASKED = {"area": "masked", "padding": 8}


def begun(engine: Engine, request: Request) -> Tensor:
    """Return the part of the picture that is made, as the engine begins from it."""
    canvas = prepare(request, engine.inputs, SIDE, SIDE, RecordingReport())
    assert canvas is not None and canvas.box is not None
    return torch.from_numpy(np.asarray(canvas.begun).copy()).permute(2, 0, 1) / 255


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("resize", ["crop", "fill", "stretch"])
def test_only_what_is_masked_is_what_the_hint_shows(
    engine: Engine, scene: str, hole: str, own: bool, resize: str
) -> None:
    """A unit with the picture itself, named or not, is the picture the engine begins from."""
    asked = {"init": {"image": scene}, "mask": {"image": hole, **MASKED}}
    unit = {"image": scene if own else "", "resize_mode": resize}
    found = hint(engine, unit, SIDE, SIDE, **asked)
    wanted = begun(engine, ask("", **asked))
    assert (found - wanted).abs().mean() < 0.01, "one is enlarged by Lanczos in Pillow, the other in OpenCV"
    whole = hint(engine, unit, SIDE, SIDE, init={"image": scene}, mask={"image": hole})
    assert (found - whole).abs().mean() > 0.05


def test_edges_line_up_with_the_part_that_is_made(engine: Engine, hole: str) -> None:
    """A bar in a unit's own picture of the same size lies in the hint where it lies in the frame."""
    bar = np.zeros((96, 128, 3))
    bar[:, 80:84] = 255
    asked = {"init": {"image": kept(engine, np.zeros((96, 128, 3)))}, "mask": {"image": hole, **MASKED}}
    found = hint(engine, {"image": kept(engine, bar)}, SIDE, SIDE, **asked)
    bright = (found[0].mean(dim=0) > 0.5).nonzero().flatten()
    frame = (56, 104)  # 64..96 and 8 pixels around, made 64 wide
    scale = SIDE / (frame[1] - frame[0])
    assert abs(float(bright[0]) - (80 - frame[0]) * scale) <= 1
    assert abs(float(bright[-1]) + 1 - (84 - frame[0]) * scale) <= 1


def test_a_picture_of_another_size_is_taken_whole(engine: Engine, scene: str, hole: str) -> None:
    other = kept(engine, np.random.default_rng(2).integers(0, 256, (50, 70, 3)))
    asked = {"init": {"image": scene}, "mask": {"image": hole, **MASKED}}
    assert torch.equal(hint(engine, {"image": other}, SIDE, SIDE, **asked), hint(engine, {"image": other}, SIDE, SIDE))


def test_holes_are_cut_alike(engine: Engine, scene: str, hole: str) -> None:
    asked = {"init": {"image": scene}, "mask": {"image": hole, **MASKED}}
    found = hint(engine, {"preprocessor": "inpaint_only"}, SIDE, SIDE, **asked) == -1
    rows, columns = found[0].any(dim=1).nonzero().flatten(), found[0].any(dim=0).nonzero().flatten()
    scale = SIDE / 48  # of the frame: 32 pixels and 8 around them
    assert abs(len(rows) - 32 * scale) <= 1 and abs(len(columns) - 32 * scale) <= 1


def test_a_units_mask_is_cut_with_its_picture(engine: Engine, scene: str, hole: str) -> None:
    pixels = np.zeros((96, 128, 3))
    pixels[:, :80] = 255
    unit = {"image": scene, "mask": kept(engine, pixels)}
    request = ask("", seed=1, controls=[unit], init={"image": scene}, mask={"image": hole, **MASKED})
    found = engine.controls.hints.mask(request.controls[0], job_of(engine, request, SIDE, SIDE), torch.device("cpu"))
    assert found is not None and found.shape == (1, 1, SIDE, SIDE)
    assert float(found.mean()) == pytest.approx(0.5, abs=0.03), "of the frame 56..104, what lies left of 80"


def test_an_inpainted_part_follows_its_control(engine: Engine, scene: str, hole: str) -> None:
    asked = {"init": {"image": scene}, "mask": {"image": hole, **MASKED}, "width": SIDE, "height": SIDE}
    unit = {"model": "folder", "preprocessor": "canny", "pixel_perfect": True}
    plain, held = (made(engine, **asked, controls=units) for units in ([], [unit]))
    assert plain.shape == held.shape == (96, 128, 3)
    away = np.ones((96, 128), bool)
    away[0:64, 48:112] = False
    assert np.array_equal(plain[away], held[away])
    assert not np.array_equal(plain, held)
