"""What SDXL is told about a picture reaches it from a request, and from nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.engine.engine import Engine
from modules.images import infotext
from modules.request import Told
from tests.engine.test_engine import digests, make
from tests.fake_models import checkpoints, engine_on, make_refiner, make_sd1, make_sdxl

SMALL: dict[str, Any] = {"width": 64, "height": 64, "steps": 2}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = checkpoints(tmp_path_factory.mktemp("told"))
    make_sd1(folder / "one", seed=1)
    make_sdxl(folder / "large", seed=2)
    make_refiner(folder / "refiner", seed=3)
    return engine_on(Path(folder).parents[1])


@pytest.mark.parametrize(
    ("model", "asked", "entry"),
    [
        ("large", {"crop_top": 512}, "SDXL crop top: 512"),
        ("large", {"crop_left": 512}, "SDXL crop left: 512"),
        ("refiner", {"high_score": 1}, "SDXL high aesthetic score: 1"),
        ("refiner", {"low_score": 9.5}, "SDXL low aesthetic score: 9.5"),
    ],
)
def test_each_changes_the_picture_and_is_written_down(
    engine: Engine, model: str, asked: dict[str, Any], entry: str
) -> None:
    (plain,), (told,) = (make(engine, model=model, told=each, **SMALL) for each in (None, asked))
    assert digests([plain]) != digests([told])
    assert told.recipe.told == Told(**asked) and plain.recipe.told is None
    assert f", {entry}, " in infotext.write(told.recipe)
    assert digests(make(engine, model=model, **SMALL)) == digests([plain]), "the next picture knows nothing of it"


def test_a_network_that_does_not_listen_makes_the_same_picture(engine: Engine) -> None:
    asked = {"crop_top": 512, "low_score": 9}
    assert digests(make(engine, **SMALL)) == digests(make(engine, told=asked, **SMALL))
