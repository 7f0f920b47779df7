"""On the starter model every sampler's picture comes again, bit for bit, from the text that it carries."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from PIL import Image

from modules.engine.engine import Engine
from modules.images.files import PictureFiles
from modules.images.metadata import inside
from modules.request import Request, make_request
from modules.server.again import request_again
from modules.server.recall import Knows, recall_text
from modules.settings import ROOT
from tests.fake_models import engine_on
from tests.fakes import RecordingReport
from tests.test_variants import SAMPLERS

STEPS = {"Restart": 20}  # fewer have no restarts
NUMBERS = {
    "eta": 0.7,
    "eta_ddim": 0.3,
    "s_churn": 3.0,
    "s_tmin": 0.1,
    "s_tmax": 9.0,
    "s_noise": 1.02,
    "sigma_max": 12.5,
    "rho": 5.0,
    "sgm_noise_multiplier": True,
}


@pytest.fixture(scope="module")
def starter() -> Engine:
    return engine_on(ROOT)


def made(engine: Engine, request: Request, folder: Path) -> Path:
    ((_, path),) = engine.generate(request, RecordingReport(), PictureFiles(folder).save)
    return path


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_comes_again_from_its_text(starter: Engine, tmp_path: Path, sampler: str) -> None:
    values: dict[str, Any] = {"prompt": "a red [circle|star]", "negative_prompt": "blue", "sampler": sampler, "seed": 5}
    values |= {"steps": STEPS.get(sampler, 3), "width": 64, "height": 64, "model": "starter", "schedule": "Karras"}
    path = made(starter, make_request({**values, "cfg_scale": 2, "sampling": NUMBERS}), tmp_path / "first")
    found = inside(path)
    assert found is not None
    knows = cast(Knows, SimpleNamespace(catalog=starter.catalog, offers=starter.offers()))
    recalled = recall_text(found.parameters, knows)
    assert recalled.left == () and recalled.recipe is None, "the text alone says it all"
    again = made(starter, request_again(recalled, knows, starter.inputs), tmp_path / "again")
    assert Image.open(again).tobytes() == Image.open(path).tobytes()
    assert "Schedule max sigma: 12.5, Schedule rho: 5, SGM noise multiplier: True" in found.parameters
